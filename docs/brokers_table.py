"""Writes docs/brokers.md from the installed adapters and docs/brokers.d.

python docs/brokers_table.py > docs/brokers.md
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openalgo_ws.adapter import Adapter
from openalgo_ws.registry import Registry

HERE = Path(__file__).parent

HEAD = """# Brokers

Written by `python docs/brokers_table.py` from the adapters and `docs/brokers.d`. Every adapter passes its
vectors (`openalgo-ws conformance`), and each has a simulator: `openalgo-ws simulate BROKER`.
CI connects the SDKs of {sdks} to these simulators (`tests/sdk`); for all others the
last column says what their vectors were made with.

| broker | limits | book levels | exchanges | orders | checked against |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    adapters, broken = Registry().all()
    assert not broken, broken
    notes = {name: _notes(name) for name in adapters}
    rows = [_row(adapter, notes[name]) for name, adapter in adapters.items()]
    doubts = [_doubts(adapter, notes[name]) for name, adapter in adapters.items()]
    between = "\n## Doubts\n\nFacts from a single source, or where sources disagree.\n"
    head = HEAD.format(sdks=_listed(adapters[name].title for name in _with_sdk()))
    return "".join([head, *rows, between, *doubts])


def _with_sdk() -> list[str]:
    """The brokers whose SDKs the suite runs."""
    return sorted(path.stem for path in (HERE.parent / "tests" / "sdk" / "requirements").glob("*.txt"))


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"


def _notes(name: str) -> dict[str, Any]:
    """What an adapter can't declare; "" where nothing was written down yet."""
    notes: dict[str, Any] = {"limits": "", "orders": "", "checked": "", "doubts": []}
    file = HERE / "brokers.d" / f"{name}.toml"
    if file.exists():
        notes |= tomllib.loads(file.read_text())
    return notes


def _row(adapter: Adapter, notes: dict[str, Any]) -> str:
    levels = sorted({level for levels in adapter.depth_levels.values() for level in levels})
    cells = (
        f"{adapter.title} (`{adapter.name}`)",
        notes["limits"],
        ", ".join(map(str, levels)) or "none",
        " ".join(sorted(adapter.exchanges)),
        notes["orders"],
        notes["checked"],
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _doubts(adapter: Adapter, notes: dict[str, Any]) -> str:
    lines = "".join(f"- {doubt}\n" for doubt in notes["doubts"])
    return f"\n### {adapter.title}\n\n{lines}" if lines else ""


if __name__ == "__main__":
    sys.stdout.write(page())
