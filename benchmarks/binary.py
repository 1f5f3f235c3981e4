"""The binary format: time to pack and unpack, and bytes a tick, beside JSON.

    python benchmarks/binary.py

The best of many short runs counts, so that a neighbour on the machine does not. A head is measured
twice: with a price alone, as of an LTP tick, and with all that it has room for. What `struct.unpack` and the
object take of unpacking a head is told beside it: Python can't do with less than their sum. The last lines
say what is beyond the aims: 200 ns to pack or to unpack a head, 50 ns for a record of a batch, ten times as
fast as the standard library's JSON of the same tick. That depends on the machine; the exit code is 0.
"""

from __future__ import annotations

import json
import struct
import timeit
from collections import deque

import figures
from rich.table import Table

from openalgo_ws.encoding.binary import BinaryMarketData, BinaryMarketDataBatch, Kind
from openalgo_ws.encoding.data import encode
from openalgo_ws.encoding.exact import record_of
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

HEAD = struct.Struct("<IBBBBQ6q")
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


def nanoseconds(statement: str, number: int = 2000, runs: int = 200, **names: object) -> float:
    """The time of a statement, as a program has it in a loop, at its best."""
    return min(timeit.repeat(statement, globals=names, number=number, repeat=runs)) / number * 1e9


def message(mode: Mode) -> bytes:
    """The whole message in the default format."""
    body = encode(TICK, mode, 1_795_246_999_441).body.decode()
    broker = '"broker":"zerodha"'
    head = f'{{"type":"market_data","symbol":"RELIANCE","exchange":"NSE","mode":{int(mode)},{broker},"data":'
    return f"{head}{body}}}".encode()


def record(mode: Mode) -> BinaryMarketData:
    return record_of(encode(TICK, mode, 1_795_246_999_441).body, 7, mode, price_scale=2)


def whole_head() -> BinaryMarketData:
    """A head with all that it has room for."""
    quote = record(Mode.QUOTE)
    names = BinaryMarketData.__struct_fields__[:12]
    return BinaryMarketData(*(getattr(quote, name) for name in names))


def main() -> None:
    console = figures.console()
    missed: list[str] = []

    table = Table(
        "", "pack ns", "unpack ns", "json.dumps ns", "json.loads ns", "times JSON", "bytes", "of JSON"
    )
    samples = [(mode.title, record(mode), message(mode)) for mode in Mode]
    samples.insert(1, ("LTP … volume", whole_head(), message(Mode.LTP)))
    for name, one, text in samples:
        packed = one.pack()
        packing = nanoseconds("one.pack()", one=one)
        unpacking = nanoseconds("Record.unpack(packed)", Record=BinaryMarketData, packed=packed)
        dumping, loading = _json_times(text)
        times = (dumping + loading) / (packing + unpacking)
        if one.kind == Kind.HEAD:
            missed += _beyond(f"{name}, pack", packing, HEAD_NS)
            missed += _beyond(f"{name}, unpack", unpacking, HEAD_NS)
        numbers = (packing, unpacking, dumping, loading)
        table.add_row(
            name,
            *(f"{each:,.0f}" for each in numbers),
            f"{times:.1f}",
            str(len(packed)),
            f"{len(packed) / len(text):.0%}",
        )
    console.print(table)
    packed = record(Mode.LTP).pack()
    fields = HEAD.unpack(packed)
    parsing = nanoseconds("unpack(packed)", unpack=HEAD.unpack, packed=packed)
    making = nanoseconds("Record(*fields)", Record=BinaryMarketData, fields=fields)
    console.print(f"of unpacking a head: struct.unpack {parsing:.0f} ns, the object {making:.0f} ns")

    table = Table(
        f"{RECORDS} records",
        "pack ns a record",
        "columns ns a record",
        "objects ns a record",
        "times JSON",
        "bytes a tick",
    )
    for mode in Mode:
        records = [record(mode).pack()] * RECORDS
        frames = list(BinaryMarketDataBatch.split(records))
        packing = nanoseconds("list(split(r))", 20, split=BinaryMarketDataBatch.split, r=records) / RECORDS
        reading = nanoseconds("for each in frames: columns(each)", 20, columns=_columns, frames=frames)
        reading /= RECORDS
        objects = nanoseconds("for each in frames: objects(each)", 5, 50, objects=_objects, frames=frames)
        dumping, loading = _json_times(message(mode))
        times = min(dumping / packing, loading / reading)
        if mode is Mode.LTP:
            missed += _beyond("batch, pack", packing, BATCH_NS)
            missed += _beyond("batch, columns", reading, BATCH_NS)
        if times < TIMES_JSON:
            missed.append(f"batch, {mode.title}: {times:.1f} times JSON, not {TIMES_JSON}")
        size = sum(map(len, frames)) / RECORDS
        numbers = (f"{packing:.1f}", f"{reading:.1f}", f"{objects / RECORDS:.0f}")
        table.add_row(mode.title, *numbers, f"{times:,.0f}", f"{size:.1f}")
    console.print(table)

    for mode in Mode:
        body = encode(TICK, mode, 1_795_246_999_441).body
        statement = "record_of(body, 7, mode, price_scale=2).pack()"
        whole = nanoseconds(statement, 200, record_of=record_of, body=body, mode=mode)
        console.print(f"from the JSON of a tick ({mode.title}) to its packed record: {whole / 1000:.1f} µs")
    console.print("\n".join(missed) or "all aims are reached")


def _beyond(what: str, took: float, aim: int) -> list[str]:
    return [f"{what}: {took:.0f} ns, beyond {aim}"] if took > aim else []


def _json_times(text: bytes) -> tuple[float, float]:
    """What the standard library takes to write a message and to read it."""
    parsed = json.loads(text)
    dumping = nanoseconds("dumps(parsed)", 300, dumps=json.dumps, parsed=parsed)
    return dumping, nanoseconds("loads(text)", 300, loads=json.loads, text=text)


def _objects(frame: bytes) -> object:
    """What a reader that wants objects does."""
    return deque(BinaryMarketDataBatch(frame), maxlen=0)


def _columns(frame: bytes) -> object:
    """What a reader of a batch does: look at every record's price."""
    return BinaryMarketDataBatch(frame).array()["ltp"].max()


if __name__ == "__main__":
    main()
