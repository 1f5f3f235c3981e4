"""The binary format: time to pack and unpack, and bytes a tick, beside JSON.

    python benchmarks/binary.py

The best of many short runs counts, so that a neighbour on the machine does not. The exit code is 1 if a
head takes more than 200 ns to pack or to unpack, a record of a batch more than 50 ns, or if either is
less than ten times as fast as the standard library's JSON of the same tick.
"""

from __future__ import annotations

import json
import sys
import timeit
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from openalgo_ws.encoding.binary import BinaryMarketData, BinaryMarketDataBatch
from openalgo_ws.encoding.data import encode
from openalgo_ws.encoding.exact import record_of
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

HEAD_NS = 200
BATCH_NS = 50
TIMES_JSON = 10
RECORDS = 1000

TICK = Tick(
    Instrument("RELIANCE", "NSE", "738561"),
    Mode.DEPTH,
    ltp=1437.5,
    open=1430.0,
    high=1441.05,
    low=1428.6,
    close=1433.1,
    volume=8_412_905,
    last_trade_quantity=25,
    avg_trade_price=1436.87,
    total_buy_quantity=412_388,
    total_sell_quantity=398_120,
    oi=0,
    upper_circuit=1576.4,
    lower_circuit=1289.8,
    ltt=1_795_246_999_000,
    depth=Depth(
        [Level(round(1437.5 - 0.05 * n, 2), 100 + n, 3 + n) for n in range(5)],
        [Level(round(1437.55 + 0.05 * n, 2), 120 + n, 4 + n) for n in range(5)],
    ),
)


def nanoseconds(call: Callable[[], object], number: int = 2000, runs: int = 200) -> float:
    """The time of a call, at its best."""
    return min(timeit.repeat(call, number=number, repeat=runs)) / number * 1e9


def message(mode: Mode) -> bytes:
    """The whole message in the default format."""
    body = encode(TICK, mode, 1_795_246_999_441).body.decode()
    broker = '"broker":"zerodha"'
    head = f'{{"type":"market_data","symbol":"RELIANCE","exchange":"NSE","mode":{int(mode)},{broker},"data":'
    return f"{head}{body}}}".encode()


def record(mode: Mode) -> BinaryMarketData:
    return record_of(encode(TICK, mode, 1_795_246_999_441).body, 7, mode)


def main() -> int:
    console = Console()
    failed = False

    table = Table(
        "", "pack ns", "unpack ns", "json.dumps ns", "json.loads ns", "times JSON", "bytes", "of JSON"
    )
    for mode in Mode:
        text, one = message(mode), record(mode)
        packed, parsed = one.pack(), json.loads(text)
        packing = nanoseconds(one.pack)
        unpacking = nanoseconds(lambda packed=packed: BinaryMarketData.unpack(packed))  # type: ignore[misc]
        dumping = nanoseconds(lambda parsed=parsed: json.dumps(parsed), 300)  # type: ignore[misc]
        loading = nanoseconds(lambda text=text: json.loads(text), 300)  # type: ignore[misc]
        times = (dumping + loading) / (packing + unpacking)
        if mode is Mode.LTP:
            failed |= max(packing, unpacking) > HEAD_NS
        numbers = (packing, unpacking, dumping, loading)
        table.add_row(
            mode.title,
            *(f"{each:,.0f}" for each in numbers),
            f"{times:.1f}",
            str(len(packed)),
            f"{len(packed) / len(text):.0%}",
        )
    console.print(table)

    table = Table(
        f"{RECORDS} records", "pack ns a record", "columns ns a record", "times JSON", "bytes a tick"
    )
    for mode in Mode:
        records = [record(mode).pack()] * RECORDS
        frames = list(BinaryMarketDataBatch.split(records))
        packing = nanoseconds(lambda r=records: list(BinaryMarketDataBatch.split(r)), 20) / RECORDS  # type: ignore[misc]
        reading = nanoseconds(lambda f=frames: [_columns(each) for each in f], 20) / RECORDS  # type: ignore[misc]
        parsed, text = json.loads(message(mode)), message(mode)
        dumping = nanoseconds(lambda parsed=parsed: json.dumps(parsed), 300)  # type: ignore[misc]
        loading = nanoseconds(lambda text=text: json.loads(text), 300)  # type: ignore[misc]
        times = min(dumping / packing, loading / reading)
        if mode is Mode.LTP:
            failed |= max(packing, reading) > BATCH_NS
        failed |= times < TIMES_JSON
        size = sum(map(len, frames)) / RECORDS
        table.add_row(mode.title, f"{packing:.1f}", f"{reading:.1f}", f"{times:,.0f}", f"{size:.1f}")
    console.print(table)

    making = nanoseconds(lambda: record(Mode.DEPTH), 200)
    console.print(f"from a five-level tick to its record by way of JSON: {making / 1000:.1f} µs")
    return int(failed)


def _columns(frame: bytes) -> object:
    """What a reader of a batch does: look at every record's price."""
    return BinaryMarketDataBatch(frame).array()["ltp"].max()


if __name__ == "__main__":
    sys.exit(main())
