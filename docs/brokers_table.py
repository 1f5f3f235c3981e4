"""Writes docs/brokers.md from the installed adapters, docs/brokers.d and the SDKs of the tests.

python docs/brokers_table.py > docs/brokers.md
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from textwrap import fill
from typing import Any

from openalgo_ws.adapter import Adapter
from openalgo_ws.registry import Registry
from tests.sdk.sdks import DISTRIBUTIONS, SDKS

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests" / "sdk"

HEAD = """# Brokers

Written by `python docs/brokers_table.py` from the adapters and `docs/brokers.d`. Every adapter passes its
vectors (`openalgo-ws conformance`), and each has a simulator: `openalgo-ws simulate BROKER`.
{sdks}
The others are [below](#sdks-that-ci-cannot-run); the last column says what they were checked against.

| broker | limits | book levels | exchanges | orders | checked against |
|---|---|---|---|---|---|
"""

IN_CI = """
## SDKs in CI

Each runs in an environment of its own against our simulator, and what it decodes is compared with what the
simulated exchange says, field by field.

| broker | SDK | modes | exchanges |
|---|---|---|---|
"""

NOT_IN_CI = """
## SDKs that CI cannot run

| broker | why |
|---|---|
"""

DOUBTS = """
## Doubts

Facts from a single source, or where sources disagree.
"""

#: The brokers whose SDKs the suite runs.
RUN = {sdk.broker for sdk in SDKS}


def page() -> str:
    """The whole page."""
    adapters, broken = Registry().all()
    assert not broken, broken
    notes = {name: _notes(name) for name in adapters}
    rows = [_row(adapter, notes[name]) for name, adapter in adapters.items()]
    doubts = [_doubts(adapter, notes[name]) for name, adapter in adapters.items()]
    connected = [adapter for name, adapter in adapters.items() if name in RUN]
    head = HEAD.format(sdks=_connected(connected))
    runs = [_run(adapter) for adapter in connected]
    reasons = [_reason(adapter, notes[name]) for name, adapter in adapters.items() if name not in RUN]
    return "".join([head, *rows, IN_CI, *runs, NOT_IN_CI, *reasons, DOUBTS, *doubts])


def _run(adapter: Adapter) -> str:
    """A line about the SDK that the suite connects."""
    mine = [sdk for sdk in SDKS if sdk.broker == adapter.name]
    pins = (TESTS / "requirements" / f"{mine[0].packages}.txt").read_text().split()
    package = DISTRIBUTIONS[mine[0].packages]
    version = next(pin.partition("==")[2] for pin in pins if pin.startswith(f"{package}=="))
    modes = ", ".join(dict.fromkeys(mode for sdk in mine for mode in sdk.modes))
    exchanges = " ".join(sorted({one for sdk in mine for one in sdk.exchanges if one in adapter.exchanges}))
    return f"| {adapter.title} | {package} {version} | {modes} | {exchanges} |\n"


def _reason(adapter: Adapter, notes: dict[str, Any]) -> str:
    """A line about the SDK that the suite doesn't connect."""
    assert notes["sdk"], f"docs/brokers.d/{adapter.name}.toml: why does the suite run no SDK?"
    return f"| {adapter.title} | {notes['sdk']} |\n"


def _connected(adapters: Iterable[Adapter]) -> str:
    """The sentence about the SDKs that the suite runs."""
    *most, last = (adapter.title for adapter in adapters)
    said = f"CI connects the [SDKs](#sdks-in-ci) of {', '.join(most)} and {last} to these simulators."
    return fill(said, 110, break_long_words=False, break_on_hyphens=False)


def _notes(name: str) -> dict[str, Any]:
    """What an adapter can't declare; "" where nothing was written down yet."""
    notes: dict[str, Any] = {"limits": "", "orders": "", "checked": "", "sdk": "", "doubts": []}
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
