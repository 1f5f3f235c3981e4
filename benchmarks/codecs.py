"""Decoding speed of every installed adapter: ticks per second on one core.

    python benchmarks/codecs.py [ADAPTER …] [--seconds S] [--instruments N]

The frames are made by the adapter's own simulator side, one message for a cycle of N instruments
(or as many messages as the broker would send), and decoded over and over. The processor's time is
what counts, so that other programs matter little, and of several short runs the best: on a busy
machine a long one is never undisturbed.

The floor is 100,000 LTP and 30,000 five-level depth ticks a second. A codec below it has to give its
reason, in a paragraph of its module's docstring that begins with ``Speed:``, which is printed below
the table. The exit code is 1 if one is below the floor without a reason, or can't be measured.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from random import Random

from rich.console import Console
from rich.table import Table

from openalgo_ws.adapter import Adapter, Feed, MasterRow
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, asked, make_codec, pick_feed
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Registry
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

FLOOR = {Mode.LTP: 100_000, Mode.DEPTH: 30_000}
RUNS = 5
#: Times that the market moves in the frames.
CYCLES = 3


def instruments(adapter: Adapter, count: int) -> list[Instrument]:
    """Made-up shares, in the broker's own form."""
    exchange = next(name for name in ("NSE", *adapter.exchanges) if name in adapter.exchanges)
    assert adapter.simulator is not None
    return [
        adapter.instrument(
            adapter.simulator.localise(
                MasterRow(
                    symbol=f"SHARE{n}",
                    brsymbol=f"SHARE{n}",
                    name=f"SHARE{n}",
                    exchange=exchange,
                    brexchange=adapter.exchanges[exchange],
                    # The low byte of a Kite token is the segment; elsewhere the number means nothing.
                    token=str(256 * (1000 + n) + 1),
                    tick_size=0.05,
                )
            )
        )
        for n in range(count)
    ]


def tick(instrument: Instrument, chance: Random) -> Tick:
    """A complete tick with a book of five levels."""
    paise = chance.randrange(5_000, 500_000, 5)

    def side(way: int) -> list[Level]:
        return [
            Level((paise + way * 5 * n) / 100, chance.randint(1, 5000), chance.randint(1, 50))
            for n in range(1, 6)
        ]

    return Tick(
        instrument,
        Mode.DEPTH,
        ltp=paise / 100,
        open=paise / 100,
        high=(paise + 100) / 100,
        low=(paise - 100) / 100,
        close=paise / 100,
        volume=chance.randint(1, 10_000_000),
        last_trade_quantity=chance.randint(1, 500),
        avg_trade_price=paise / 100,
        total_buy_quantity=chance.randint(1, 1_000_000),
        total_sell_quantity=chance.randint(1, 1_000_000),
        oi=chance.randint(1, 1_000_000),
        upper_circuit=(paise + 1000) / 100,
        lower_circuit=(paise - 1000) / 100,
        ltt=1_795_405_800_000,
        exchange_timestamp=1_795_405_800_000,
        depth=Depth(side(-1), side(1)),
    )


def frames_of(loop: Loopback, cycles: Sequence[Sequence[Tick]], held: set[Instrument]) -> list[str | bytes]:
    """What the simulator sends of these ticks."""
    frames: list[str | bytes] = []
    for ticks in cycles:
        loop.frames.clear()
        loop.tick([one for one in ticks if one.instrument in held])
        frames += loop.frames
    return frames


def measure(
    adapter: Adapter,
    feed: Feed,
    wishes: list[tuple[Instrument, Wish]],
    cycles: Sequence[Sequence[Tick]],
    seconds: float,
) -> float:
    """Ticks a second: decoded ticks of subscribed instruments over the time inside the codec."""
    held = {instrument for instrument, _ in wishes}
    loop = Loopback(adapter, feed, StillMarket(held))
    for start in range(0, len(wishes), feed.limits.per_change):
        loop.subscribe(wishes[start : start + feed.limits.per_change])
    frames = frames_of(loop, cycles, held)
    received = loop.codec.received
    per_round = sum(isinstance(event, Tick) for frame in frames for event in received(frame))
    if not per_round:
        raise RuntimeError("the simulator's frames give no ticks")
    best = 0.0
    for _ in range(RUNS):
        gc.collect()
        rounds, elapsed = 0, 0.0
        began = time.process_time()
        while elapsed < seconds:
            for frame in frames:
                received(frame)
            rounds += 1
            elapsed = time.process_time() - began
        best = max(best, rounds * per_round / elapsed)
    return best


def speeds_of(adapter: Adapter, count: int, seconds: float) -> tuple[dict[Mode, float], set[str]]:
    """One adapter in all three modes, and the reasons that its codecs give for being slow."""
    shares = instruments(adapter, count)
    chance = Random(1)
    cycles = [[tick(share, chance) for share in shares] for _ in range(CYCLES)]
    speeds: dict[Mode, float] = {}
    reasons: set[str] = set()
    for mode in Mode:
        feed = pick_feed(adapter, shares[0], mode, 5)
        wishes = [
            (share, dict(adapter.routes(share, asked(adapter, share, mode, 5)))[feed.name])
            for share in shares[: feed.limits.per_connection]
        ]
        speeds[mode] = measure(adapter, feed, wishes, cycles, seconds)
        if speeds[mode] < FLOOR.get(mode, 0):
            reasons.add(reason_of(adapter, feed))
    return speeds, reasons


def reason_of(adapter: Adapter, feed: Feed) -> str:
    """Why this codec may be slow: what its module says, or nothing."""
    codec = make_codec(adapter, feed, FixedEnvironment())
    for kind in type(codec).__mro__:
        document = sys.modules[kind.__module__].__doc__ or ""
        for paragraph in document.split("\n\n"):
            if paragraph.startswith("Speed:"):
                return " ".join(paragraph.removeprefix("Speed:").split())
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Decoding speed of the installed adapters.")
    parser.add_argument("adapters", nargs="*", help="only these (all)")
    parser.add_argument("--seconds", type=float, default=0.08, help="of each of the five runs (0.08)")
    parser.add_argument("--instruments", type=int, default=100, help="in one cycle (100)")
    options = parser.parse_args()

    registry = Registry()
    table = Table("adapter", *(f"{mode.title} ticks/s" for mode in Mode), "µs a depth tick", "")
    notes: list[str] = []
    failed = False
    for name in options.adapters or registry.names():
        try:
            adapter = registry.load(name)
        except (AdapterBroken, AdapterNotFound) as problem:
            table.add_row(name, "", "", "", "", str(problem))
            failed = True
            continue
        if adapter.simulator is None:
            table.add_row(name, "", "", "", "", "no simulator side")
            failed = True
            continue
        speeds, reasons = speeds_of(adapter, options.instruments, options.seconds)
        below = [mode.title for mode, floor in FLOOR.items() if speeds[mode] < floor]
        if below:
            said = " ".join(sorted(reasons - {""}))
            notes.append(f"{name}: {said or 'no reason is written down'}")
            failed = failed or "" in reasons
        table.add_row(
            name,
            *(f"{speeds[mode]:,.0f}" for mode in Mode),
            f"{1e6 / speeds[Mode.DEPTH]:.2f}",
            f"below the floor: {', '.join(below)}" if below else "",
        )
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
