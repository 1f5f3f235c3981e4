"""A complete installation on this machine, under load: what does it carry, how fast, in how much memory?

    python examples/production [--seconds 30] [--stay]

Starts a simulated broker, the server with the configuration of ``openalgo-ws.env`` (workers, status page,
alerts) and clients, offers ticks at several rates, and prints what came of it. README.md says what to change
for a real broker.

Exit code 1 unless all instruments are live and no last value of any is missing.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "benchmarks"))

import figures  # noqa: E402
from installation import Installation, Load, live, settings_from  # noqa: E402

from clients import Refused  # noqa: E402
from openalgo_ws.config import SettingsError  # noqa: E402
from openalgo_ws.config.sources import read_file  # noqa: E402

#: What a rate must stay below to count as carried (ms).
AIM = 10.0

_COLUMNS = (
    ("offered", "offered", ",.0f"),
    ("ticks/s", "ticks_per_second", ",.0f"),
    ("deliveries/s", "deliveries_per_second", ",.0f"),
    ("p50 ms", "p50_ms", ".2f"),
    ("p99 ms", "p99_ms", ".2f"),
    ("cores", "cores_busy", ".2f"),
    ("waiting", "waiting", ".2f"),
    ("MB", "memory_mb", ",.0f"),
)


def say(text: str) -> None:
    """Print a line at once, for whoever reads through a pipe."""
    print(text, flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """The figures of each rate in a line."""
    lines = ["".join(f"{title:>14}" for title, _, _ in _COLUMNS)]
    for row in rows:
        cells = ("-" if row[name] is None else format(row[name], form) for _, name, form in _COLUMNS)
        lines.append("".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def load_average() -> str:
    return " ".join(f"{one:.1f}" for one in os.getloadavg())


def carried(rows: list[dict[str, Any]]) -> str:
    """The highest of the rates whose p99 is as it should be."""
    good = [row["deliveries_per_second"] for row in rows if row["p99_ms"] is not None and row["p99_ms"] < AIM]
    return f"{max(good):,.0f} deliveries/s" if good else "none of these rates"


def produce(load: Load, settings: dict[str, str], stay: bool) -> int:
    """Run it all; the exit code."""
    say(f"{figures.machine()}; load average before {load_average()}")
    with Installation(load, settings) as plant:
        size = len(plant.names)
        say(f"broker: {size:,} instruments, accounts: {len(plant.broker.logins)}")
        say(f"server: port {plant.server.port}, processes: {len(plant.server.processes())}")
        say(f"status page: {plant.page}, metrics: {plant.page}metrics")
        plant.connect()
        count = plant.wait_until_live()
        say(f"clients: {load.clients}, each with {load.symbols:,} of the {load.busy:,} busiest, one with all")
        say(f"live: {count:,} of {size:,} instruments")
        found = plant.run()
        status = plant.status()
        say(table(found.rates))
        say(f"carried with p99 below {AIM:g} ms: {carried(found.rates)}")
        say(f"memory of the server: {plant.server.memory()[0]:,.0f} MB")
        say(f"traded: {found.traded:,} of {size:,} instruments")
        say(f"conflated: {found.conflated:,} deliveries, last values missing: {found.lost:,}")
        say(f"still live: {live(status):,} of {size:,} instruments")
        say(f"alerts: {', '.join(alert['name'] for alert in status['alerts']) or 'none'}")
        say(f"load average after {load_average()}")
        if stay:
            plant.broker.tell("rate", load.rates[0])
            say(f"it goes on with {load.rates[0]:,.0f} ticks/s until Ctrl-C: {plant.page}")
            wait_for_signal()
    return int(count < size or found.lost > 0)


def wait_for_signal() -> None:
    """Until Ctrl-C or SIGTERM."""
    try:
        signal.pause()
    except KeyboardInterrupt:
        say("ending")


def interrupted(*_: object) -> NoReturn:
    """SIGTERM ends it as Ctrl-C does: everything that was started is ended."""
    raise KeyboardInterrupt


def numbers(text: str) -> list[float]:
    """Rates, separated by commas."""
    found = [float(part) for part in text.split(",")]
    if not all(0 < one < float("inf") for one in found):
        raise ValueError(text)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        "examples/production", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=HERE / "openalgo-ws.env", help="the server's settings")
    parser.add_argument("--seconds", type=float, default=30.0, help="of load, for all rates together")
    parser.add_argument("--stay", action="store_true", help="then go on until Ctrl-C")
    parser.add_argument("--instruments", type=int, default=10_000)
    parser.add_argument("--busy", type=int, default=250, help="instruments that half of the ticks are of")
    parser.add_argument("--clients", type=int, default=250)
    parser.add_argument("--symbols", type=int, default=200, help="busy instruments that each client holds")
    parser.add_argument("--rates", type=numbers, default=[1000.0, 2500.0, 5000.0], help="ticks/s offered")
    parser.add_argument("--throttle", type=int, default=0, help="ms that the clients ask for")
    asked = parser.parse_args()
    if not 0 < asked.symbols <= asked.busy <= asked.instruments:
        parser.error("it must be: 0 < symbols <= busy <= instruments")
    if asked.clients <= 0 or asked.seconds <= 0 or asked.throttle < 0:
        parser.error("there must be some clients and seconds, and a throttle of 0 or more")
    signal.signal(signal.SIGTERM, interrupted)
    try:
        settings = settings_from(read_file(asked.config))
    except SettingsError as error:
        parser.error(str(error))
    load = Load(
        instruments=asked.instruments,
        busy=asked.busy,
        clients=asked.clients,
        symbols=asked.symbols,
        throttle=asked.throttle,
        rates=asked.rates,
        seconds=asked.seconds,
    )
    try:
        return produce(load, settings, asked.stay)
    except KeyboardInterrupt:
        return 130
    except Refused as error:
        sys.exit(f"a client was refused: {error}")


if __name__ == "__main__":
    sys.exit(main())
