"""What an instrument index costs: memory, time to build, time to look up, and how long the build
holds up another thread.

    python benchmarks/symbols.py [--instruments 250000]
"""

from __future__ import annotations

import argparse
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice

from openalgo_ws.symbols.index import IndexBuilder, SymbolIndex, give_way
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


if __name__ == "__main__":
    main()
