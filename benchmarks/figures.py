"""Figures of a run: percentiles, the printed lines, the JSON file and the plot."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from rich.console import Console

SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))


def console() -> Console:
    """Where tables go: as wide as the terminal, and in a file or a pipe as wide as they need."""
    wide = Console()
    return wide if wide.is_terminal else Console(width=160)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all do not exceed; of a sorted list."""
    if not ordered:
        raise ValueError("nothing was measured")
    rank = -(-share * len(ordered) // 1)
    return ordered[min(max(int(rank), 1), len(ordered)) - 1]


def latencies(values: Sequence[float]) -> dict[str, float | None]:
    """The percentiles and the worst of latencies in ms; None where none was measured."""
    ordered = sorted(values)
    found: dict[str, float | None] = {
        f"{name}_ms": round(percentile(ordered, share), 3) if ordered else None for name, share in SHARES
    }
    found["worst_ms"] = round(ordered[-1], 3) if ordered else None
    return found


def lines(title: str, figures: Mapping[str, Any]) -> str:
    """Figures as a table of two columns."""
    width = max(map(len, figures))
    rows = (f"  {name.replace('_', ' '):{width}}  {_text(value)}" for name, value in figures.items())
    return "\n".join((title, *rows))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plot(title: str, values: Sequence[float], unit: str = "ms") -> str:
    """An SVG drawing of a distribution: the value at each share, tails stretched, both axes logarithmic."""
    width, height, left, bottom = 640, 320, 60, 40
    ordered = sorted(value for value in values if value > 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="20" font-size="14">{escape(title)}</text>',
    ]
    if ordered:
        low, high = _decade(ordered[0], up=False), _decade(ordered[-1], up=True)

        def y(exponent: float) -> float:
            return height - bottom - (exponent - low) / (high - low) * (height - bottom - 30)

        for exponent in range(low, high + 1):
            at = y(exponent)
            parts.append(f'<path d="M{left} {at:.1f}H{width - 10}" stroke="#ddd"/>')
            label = f"{10.0**exponent:g} {escape(unit)}"
            parts.append(f'<text x="{left - 4}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
        # One step to the right leaves a tenth of what was left: 0, 90, 99, 99.9, 99.99 %.
        steps = 4
        points = []
        for index in range(201):
            place = index / 200 * steps
            value = percentile(ordered, 1 - 10**-place)
            points.append(f"{left + place / steps * (width - left - 10):.1f},{y(log10(value)):.1f}")
        for step, label in enumerate(("fastest", "90 %", "99 %", "99.9 %", "99.99 %")):
            x = left + step / steps * (width - left - 10)
            anchor = "end" if step == steps else "middle"
            parts.append(f'<text x="{x:.1f}" y="{height - 15}" text-anchor="{anchor}">{label}</text>')
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="#1f5fbf" stroke-width="2"/>')
    else:
        parts.append(f'<text x="{left}" y="{height // 2}">nothing was measured</text>')
    return "\n".join((*parts, "</svg>\n"))


def _decade(value: float, *, up: bool) -> int:
    return ceil(log10(value) + 1e-9) if up else floor(log10(value) - 1e-9)


def write(
    folder: Path, name: str, figures: Mapping[str, Any], values: Sequence[float], unit: str = "ms"
) -> None:
    """``NAME.json`` with the figures and ``NAME.svg`` with the distribution."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.svg").write_text(plot(name, values), encoding="utf-8")


def machine() -> str:
    """The processor's model and how many cores there are."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {len(os.sched_getaffinity(0))} cores"
