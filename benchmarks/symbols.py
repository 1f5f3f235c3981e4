"""What an instrument master costs: memory of the index, time to build it and to look things up, time
to store and read a master, and how late the reactor comes while one is read.

    python benchmarks/symbols.py [--instruments 250000]
"""

from __future__ import annotations

import argparse
import gc
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from openalgo_ws.accounts.database import Database
from openalgo_ws.adapter import Adapter, MasterRow
from openalgo_ws.symbols.index import IndexBuilder, SymbolIndex, give_way
from openalgo_ws.symbols.service import SymbolService
from openalgo_ws.symbols.store import replace
from openalgo_ws.tick import Instrument

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MEGABYTE = 1024 * 1024


def instruments() -> Iterator[Instrument]:
    """A master in the proportions of a real one: mostly options, some under a segment name of their own."""
    token = 100_000
    for number in range(12_000):
        token += 256
        exchange = "NSE" if number % 3 else "BSE"
        yield Instrument(f"STOCK{number}", exchange, str(token), f"STOCK{number}-EQ", exchange, 0.05, 1)
    while True:
        token += 256
        kind = "CE" if token % 512 else "PE"
        month = MONTHS[token // 256 % 12]
        name = f"UNDERLYING{token // 256 % 220}{token // 3072 % 28 + 1:02}{month}26{token // 64}{kind}"
        yield Instrument(name, "NFO", str(token), f"{name}x", "NSE_FNO", 0.05, 25 * (token // 256 % 60))


def build(count: int, pause: Callable[[], None] | None) -> SymbolIndex:
    builder = IndexBuilder(pause)
    for instrument in islice(instruments(), count):
        builder.add(instrument)
    return builder.finish()


def held_up(count: int, pause: Callable[[], None] | None) -> tuple[float, list[float]]:
    """Build in a thread; how late a thread that wakes every millisecond comes meanwhile (seconds)."""
    worker = threading.Thread(target=build, args=(count, pause))
    late = []
    begin = time.perf_counter()
    worker.start()
    while worker.is_alive():
        before = time.perf_counter()
        time.sleep(0.001)
        late.append(time.perf_counter() - before - 0.001)
    return time.perf_counter() - begin, sorted(late)


class Master:
    """A broker whose master is read as it stands."""

    name = "bench"

    def instrument(self, row: MasterRow) -> Instrument:
        return Instrument(
            row.symbol, row.exchange, row.token, row.brsymbol, row.brexchange, row.tick_size, row.lotsize
        )


def through_the_database(count: int, folder: Path) -> None:
    """Store a master in an SQLite file, and let the service read it on a live reactor."""
    database = Database(f"sqlite:///{folder / 'bench.db'}")
    database.prepare()
    rows = [
        MasterRow(
            symbol=one.symbol,
            brsymbol=one.brsymbol,
            name="",
            exchange=one.exchange,
            brexchange=one.brexchange,
            token=one.token,
            tick_size=one.tick_size,
            lotsize=one.lotsize,
        )
        for one in islice(instruments(), count)
    ]
    for label in ("store", "store again"):
        begin = time.perf_counter()
        database.call(lambda connection: replace(connection, "bench", rows))
        print(f"{label:<22}{time.perf_counter() - begin:8.2f} s")
    rows.clear()

    async def main(reactor: Any) -> None:
        database.start()
        service = SymbolService(reactor, database, lambda name: cast("Adapter", Master()))
        late: list[float] = []
        beats = [time.perf_counter()]

        def beat() -> None:
            late.append(time.perf_counter() - beats[-1] - 0.001)
            beats.append(time.perf_counter())

        # As the server does after its start: the collector then passes over what is there to stay.
        gc.collect()
        gc.freeze()
        beats[0] = time.perf_counter()
        heart = LoopingCall(beat)
        heart.start(0.001, now=False)
        begin = time.perf_counter()
        index = await service.index("bench")
        took = time.perf_counter() - begin
        heart.stop()
        late.sort()
        print(f"read into an index    {took:8.2f} s   {index!r}")
        print(
            f"reactor late          {late[len(late) // 2] * 1e3:8.2f} ms median, "
            f"{late[int(len(late) * 0.99)] * 1e3:.2f} ms p99, {late[-1] * 1e3:.2f} ms worst"
        )
        await service.stopService()
        database.stop()

    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))


def timed(lookups: int, look_up: Callable[[], object]) -> float:
    begin = time.perf_counter()
    for _ in range(lookups):
        look_up()
    return (time.perf_counter() - begin) / lookups * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instruments", type=int, default=250_000)
    count = parser.parse_args().instruments

    begin = time.perf_counter()
    index = build(count, None)
    print(f"build, alone          {time.perf_counter() - begin:8.2f} s   {index!r}")

    tracemalloc.start()
    traced = build(count, None)
    current, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"memory                {current / MEGABYTE:8.1f} MB  (peak {peak / MEGABYTE:.1f} MB)")
    print(f"buffers               {traced.nbytes / MEGABYTE:8.1f} MB")

    for label, pause in (("without pauses", None), ("with pauses", give_way)):
        took, late = held_up(count, pause)
        print(
            f"other thread late     {late[len(late) // 2] * 1e3:8.2f} ms median, "
            f"{late[int(len(late) * 0.99)] * 1e3:.2f} ms p99, {late[-1] * 1e3:.2f} ms worst "
            f"({label}, build {took:.2f} s)"
        )

    sample = random.Random(1).sample(list(index), 50_000)
    by_name = iter([(one.symbol, one.exchange) for one in sample])
    by_key = iter([(one.token, one.brexchange) for one in sample])
    print(f"lookup                {timed(50_000, lambda: index.lookup(*next(by_name))):8.2f} µs")
    print(f"by token              {timed(50_000, lambda: index.by_token(*next(by_key))):8.2f} µs")
    for text in ("STOCK777", "UNDERLYING17 CE", "ING"):
        begin = time.perf_counter()
        found = index.search(text)
        print(f"search {text:<15}{(time.perf_counter() - begin) * 1e3:8.1f} ms  {found[0].symbol}")
    begin = time.perf_counter()
    del traced
    print(f"give back             {(time.perf_counter() - begin) * 1e3:8.2f} ms")
    with TemporaryDirectory() as folder:
        through_the_database(count, Path(folder))


if __name__ == "__main__":
    main()
