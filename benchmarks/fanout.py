"""One tick, many clients: what a delivery costs, how late it is, what is lost.

    python benchmarks/fanout.py [--seconds 3] [--plain] [SCENARIO …]

The gateway (``twistd openalgo-ws``) runs on one core, the load generator on another. README.md tells what
the scenarios are and how to read the figures. Results go to ``build/bench``: a JSON file and a plot each.
"""

from __future__ import annotations

import argparse
import os
import resource
from collections.abc import Callable, Sequence
from typing import Any

import fairness
import figures
import floor
import load
import whole_way
from loadgen import OUTPUT, library
from scenarios import FANOUT
from server import PlainServer, Server, cores

#: Of a stalled client; short, so that the end of it is seen.
SLOW_SECONDS = 3

#: The floor's part of a scenario.
FLOOR_SECONDS = 1.0

#: The figures of `plain.py` that are told.
COMPARED = ("cpu_seconds_per_million", "microseconds_per_tick", "ticks_per_second", "p50_ms", "p99_ms")

Measured = tuple[dict[str, Any], list[float]]


def fanout(name: str, seconds: float) -> Measured:
    """A scenario of one tick source on the bus and many clients."""
    scenario = FANOUT[name]
    settings = {
        "WS_MAX_CONNECTIONS": "20000",
        "WS_SLOW_CLIENT_SECONDS": str(SLOW_SECONDS),
    }
    with Server(cores()[0], settings) as server:
        return load.run(name, scenario, server, seconds)


def plain(name: str, seconds: float) -> dict[str, Any]:
    """What counts of `plain.py` in the same scenario."""
    with PlainServer(cores()[0], {}) as server:
        found, _ = load.run(name, FANOUT[name], server, seconds)
    return {f"plain_{figure}": found[figure] for figure in COMPARED if found.get(figure) is not None}


def whole_way_throttled(name: str, seconds: float) -> Measured:
    return whole_way.measure(name, seconds, cores()[0], None)


def whole_way_unthrottled(name: str, seconds: float) -> Measured:
    return whole_way.measure(name, seconds, cores()[0], 0)


def fair(name: str, seconds: float) -> Measured:
    with Server(cores()[0], {"WS_MAX_CONNECTIONS": "20000"}) as server:
        return fairness.measure(server, seconds)


SCENARIOS: dict[str, Callable[[str, float], Measured]] = {
    **dict.fromkeys(FANOUT, fanout),
    "S7a": whole_way_throttled,
    "S7b": whole_way_unthrottled,
    "fairness": fair,
}


def selected(asked: Sequence[str]) -> list[str]:
    """Scenarios by their names or what these begin with (S6: S6a, S6b, S6c); all if none is asked for.
    ValueError names what there is not."""
    found = []
    for word in asked:
        matching = [name for name in SCENARIOS if name == word] or [
            name for name in SCENARIOS if name.startswith(word)
        ]
        if not matching:
            raise ValueError(f"there is no scenario {word}; there are {', '.join(SCENARIOS)}")
        found += matching
    return found or list(SCENARIOS)


def show(found: dict[str, Any]) -> None:
    rest = {key: value for key, value in found.items() if key not in {"scenario", "what", "machine"}}
    print(figures.lines(f"{found['scenario']}: {found['what']}", rest), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each scenario")
    parser.add_argument(
        "--plain", action="store_true", help="measure plain.py beside it, where all read all the time"
    )
    asked = parser.parse_args()
    try:
        names = selected(asked.scenarios)
    except ValueError as wrong:
        parser.error(str(wrong))
    library()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    machine = figures.machine()
    server_core, load_core = cores()
    os.sched_setaffinity(0, {load_core})
    print(machine + (", server and load on one core" if server_core == load_core else ""))
    for name in names:
        # Measured anew each time: a machine that is shared changes from minute to minute.
        ground = floor.measure(
            min(1000, FANOUT[name].clients) if name in FANOUT else 100, FLOOR_SECONDS, server_core
        )
        found, delays = SCENARIOS[name](name, asked.seconds)
        found |= {"machine": machine, "floor20": ground}
        cost = found.get("cpu_seconds_per_million")
        if cost is not None:
            found["times_floor"] = cost / ground
        if asked.plain and name in FANOUT and not FANOUT[name].stalled:
            found |= plain(name, asked.seconds)
            if cost is not None:
                found["times_plain"] = cost / found["plain_cpu_seconds_per_million"]
        show(found)
        figures.write(OUTPUT, name, found, delays)


if __name__ == "__main__":
    main()
