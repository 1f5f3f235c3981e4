"""The ``data`` object of a market-data message as a binary record, and back, to the last digit.

The JSON is what counts: whatever it says, the record says, as far as the format has a field for it.
Best bid and ask are those of the book, and change follows from ltp and close; neither is in a record.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

import msgspec

from openalgo_ws.encoding.binary import ABSENT, MAX_LEVELS, SNAPSHOT, BinaryLevel, BinaryMarketData, Kind
from openalgo_ws.encoding.scale import exact_units, largest_scale, number, to_units
from openalgo_ws.tick import Mode

__all__ = ["data_of", "record_of"]

_Number = int | float

# A member of an enumeration costs 0.1 µs where it is looked up; this is done for every tick.
_LTP, _DEPTH = Mode.LTP, Mode.DEPTH
_KIND_FULL, _KIND_DEPTH = Kind.FULL, Kind.DEPTH

#: The largest number that a level's quantity and orders have room for.
_MAX_U32 = 2**32 - 1
_MAX_U64 = 2**64 - 1
#: Quantities of more decimals than fit into 32 bits are no quantities but rounding errors.
_QTY_DECIMALS = 9

_PRICES = ("ltp", "open", "high", "low", "close", "avg_trade_price", "upper_circuit", "lower_circuit")
_QUANTITIES = ("volume", "total_buy_quantity", "total_sell_quantity", "oi", "last_trade_quantity")


class _Level(msgspec.Struct, gc=False):
    price: _Number
    quantity: _Number
    orders: int | None = None


class _Book(msgspec.Struct, gc=False):
    buy: list[_Level] = []
    sell: list[_Level] = []


class _Data(msgspec.Struct, gc=False):
    """The fields of a ``data`` object that a record has; prices first."""

    ltp: _Number | None = None
    open: _Number | None = None
    high: _Number | None = None
    low: _Number | None = None
    close: _Number | None = None
    avg_trade_price: _Number | None = None
    upper_circuit: _Number | None = None
    lower_circuit: _Number | None = None
    volume: _Number | None = None
    total_buy_quantity: _Number | None = None
    total_sell_quantity: _Number | None = None
    oi: _Number | None = None
    last_trade_quantity: _Number | None = None
    timestamp: _Number | None = None
    ltt: _Number | None = None
    depth: _Book | None = None
    # Older names of the platform's own processes.
    average_price: _Number | None = None
    last_quantity: _Number | None = None


_data = msgspec.json.Decoder(_Data).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_number = msgspec.json.Decoder(_Number).decode
_book = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode
_level = msgspec.json.Decoder(_Level).decode


def record_of(
    data: bytes, id: int, mode: Mode, *, price_scale: int = 2, qty_scale: int = 0, snapshot: bool = False
) -> BinaryMarketData:
    """A ``data`` object, as JSON text, as a record: HEAD for LTP, FULL for Quote, DEPTH where there is
    a book.

    The scales are those of the instrument. A record takes larger ones where a number needs more
    decimals, and smaller ones where a number would not fit into its field. What is no number counts as
    absent. The quantity of a level saturates where there is no exact scale at which it fits.
    """
    try:
        fields = _data(data)
    except msgspec.MsgspecError:
        fields = _salvaged(data)
    book = fields.depth
    if book is not None and max(len(book.buy), len(book.sell)) > MAX_LEVELS:
        fields.depth = _Book(book.buy[:MAX_LEVELS], book.sell[:MAX_LEVELS])
    build = _head if mode is _LTP else _full
    record = build(fields, id, mode, price_scale, qty_scale)
    if snapshot:
        record.flags = SNAPSHOT
    return record


def _head(data: _Data, id: int, mode: Mode, price_scale: int, qty_scale: int) -> BinaryMarketData:
    if data.ltp is not None and data.open is data.high is data.low is data.close is data.volume is None:
        price_scale, (ltp,) = exact_units([data.ltp], price_scale)
        stamp = _microseconds(data.timestamp)
        return BinaryMarketData(id, mode, price_scale, qty_scale, 0, stamp, ltp)
    prices = (data.ltp, data.open, data.high, data.low, data.close)
    price_scale, known = exact_units(_known(prices), price_scale)
    qty_scale, volume = exact_units(_known((data.volume,)), qty_scale)
    ltp, open_, high, low, close = _spread(prices, known)
    (traded,) = volume or (ABSENT,)
    stamp = _microseconds(data.timestamp)
    return BinaryMarketData(id, mode, price_scale, qty_scale, 0, stamp, ltp, open_, high, low, close, traded)


def _full(data: _Data, id: int, mode: Mode, price_scale: int, qty_scale: int) -> BinaryMarketData:
    prices = (
        data.ltp,
        data.open,
        data.high,
        data.low,
        data.close,
        data.avg_trade_price if data.avg_trade_price is not None else data.average_price,
        data.upper_circuit,
        data.lower_circuit,
    )
    quantities = (
        data.volume,
        data.total_buy_quantity,
        data.total_sell_quantity,
        data.oi,
        data.last_trade_quantity if data.last_trade_quantity is not None else data.last_quantity,
    )
    known, amounts = _known(prices), _known(quantities)
    book = data.depth if mode is _DEPTH else None
    levels: list[_Level] = []
    if book is not None:
        levels = book.buy + book.sell
        known += [level.price for level in levels]
    price_scale, known_units = exact_units(known, price_scale)
    qty_scale, amount_units = _quantities(amounts, [level.quantity for level in levels], qty_scale)
    ltp, open_, high, low, close, average, upper, lower = _spread(prices, known_units)
    volume, bought, sold, oi, last = _spread(quantities, amount_units)
    record = BinaryMarketData(
        id,
        mode,
        price_scale,
        qty_scale,
        0,
        _microseconds(data.timestamp),
        ltp,
        open_,
        high,
        low,
        close,
        volume,
        _microseconds(data.ltt),
        average,
        bought,
        sold,
        oi,
        upper,
        lower,
        last,
        _KIND_FULL,
    )
    if book is not None:
        record.kind = _KIND_DEPTH
        sizes = _u32(amount_units[len(amounts) :])
        orders = _u32([level.orders or 0 for level in levels])
        told = list(map(BinaryLevel, known_units[len(known) - len(levels) :], sizes, orders))
        record.buy, record.sell = told[: len(book.buy)], told[len(book.buy) :]
    return record


def _known(numbers: Iterable[_Number | None]) -> list[_Number]:
    return [value for value in numbers if value is not None]


def _spread(numbers: Sequence[_Number | None], known: Sequence[int]) -> Sequence[int]:
    """The units of the known numbers, which ``known`` begins with, each in its place."""
    if None not in numbers:
        return known[: len(numbers)]
    units = iter(known)
    return [ABSENT if value is None else next(units) for value in numbers]


def data_of(record: BinaryMarketData) -> dict[str, Any]:
    """The ``data`` object of a record, as its JSON form would have it.

    A level of nothing but zeros at the end of a side is missing, and ``orders`` of 0 are not known.
    The last trade time of an LTP message has no place in its record.
    """
    scale = record.price_scale
    data: dict[str, Any] = {}
    if record.ltp != ABSENT:
        data["ltp"] = number(record.ltp, scale)
    if record.ltt_us:
        data["ltt"] = _milliseconds(record.ltt_us)
    if record.timestamp_us:
        data["timestamp"] = _milliseconds(record.timestamp_us)
    for name in _PRICES[1:]:
        units = getattr(record, name)
        if units != ABSENT:
            data[name] = number(units, scale)
    for name in _QUANTITIES:
        units = getattr(record, name)
        if units != ABSENT:
            data[name] = _quantity(units, record.qty_scale)
    if record.mode >= Mode.QUOTE:
        _derive(data, record)
    if record.kind == Kind.DEPTH:
        data["depth"] = {"buy": _side(record, record.buy), "sell": _side(record, record.sell)}
    return data


def _derive(data: dict[str, Any], record: BinaryMarketData) -> None:
    for price, size, side in (("bid_price", "bid_size", record.buy), ("ask_price", "ask_size", record.sell)):
        if side and side[0].quantity:
            data[price] = number(side[0].price, record.price_scale)
            data[size] = _quantity(side[0].quantity, record.qty_scale)
    ltp, close = data.get("ltp"), data.get("close")
    if close and ltp is not None:
        change = ltp - close
        data["change"] = round(change, 2)
        data["change_percent"] = round(change / close * 100, 2)


def _side(record: BinaryMarketData, side: Sequence[BinaryLevel]) -> list[dict[str, Any]]:
    levels = []
    for level in side:
        told: dict[str, Any] = {
            "price": number(level.price, record.price_scale),
            "quantity": _quantity(level.quantity, record.qty_scale),
        }
        if level.orders:
            told["orders"] = level.orders
        levels.append(told)
    return levels


def _quantities(amounts: list[_Number], sizes: list[_Number], floor: int) -> tuple[int, list[int]]:
    """The scale of the quantities, and all of them in its units: those of the book have 32 bits only."""
    quantities = amounts + sizes
    if not sizes:
        return exact_units(quantities, floor)
    needed, units = exact_units(quantities, 0)
    if floor <= needed <= _QTY_DECIMALS:
        return needed, units
    room = largest_scale([max(sizes)], _MAX_U32)
    if needed > max(_QTY_DECIMALS, floor):
        needed = min(_QTY_DECIMALS, room)
    scale = max(needed, min(floor, room))
    return scale, to_units(quantities, scale)


def _u32(values: list[int]) -> list[int]:
    try:
        array("I", values)
    except OverflowError:
        pass
    else:
        return values
    return [max(0, min(value, _MAX_U32)) for value in values]


def _microseconds(milliseconds: _Number | None) -> int:
    if milliseconds is None or not 0 <= milliseconds <= _MAX_U64 // 1000:
        return 0
    if isinstance(milliseconds, int):
        return milliseconds * 1000
    return round(milliseconds * 1000)


def _milliseconds(microseconds: int) -> _Number:
    whole, rest = divmod(microseconds, 1000)
    return microseconds / 1000 if rest else whole


def _quantity(units: int, scale: int) -> _Number:
    whole, rest = divmod(units, 10**scale)
    return number(units, scale) if rest else whole


def _salvaged(data: bytes) -> _Data:
    """What a foreign publisher's object has of the fields in the usual form."""
    fields = _Data()
    for name, raw in _fields(data).items():
        if name == "depth":
            fields.depth = _salvaged_book(raw)
        elif name in _Data.__struct_fields__:
            setattr(fields, name, _salvaged_number(raw))
    return fields


def _salvaged_number(raw: msgspec.Raw) -> _Number | None:
    try:
        value = _number(raw)
    except msgspec.MsgspecError:
        return None
    return value if isfinite(value) else None


def _salvaged_book(raw: msgspec.Raw) -> _Book | None:
    try:
        sides = _book(raw)
    except msgspec.MsgspecError:
        return None
    return _Book(_salvaged_side(sides.get("buy", [])), _salvaged_side(sides.get("sell", [])))


def _salvaged_side(side: Sequence[msgspec.Raw]) -> list[_Level]:
    levels = []
    for raw in side:
        try:
            levels.append(_level(raw))
        except msgspec.MsgspecError:
            continue
    return levels
