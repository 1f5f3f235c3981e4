"""The fields of Firstock's data messages: where each is remembered, and how it is read.

Nearly every message is what it should be, so it is decoded by type, which costs a third of reading it
field by field. What doesn't pass that way is read the careful way (`merge`), where a value that can't be
read costs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, field
from msgspec.structs import astuple

from openalgo_ws.tick import Level

__all__ = ["BUY", "FIELDS", "PLACES", "SELL", "Data", "merge", "taken_over", "whole"]

#: From here on a number is the sentinel 2^63, or a neighbour of it.
_SENTINEL = 9.2e18
#: Times from here on are milliseconds. (conflict: the document says ms, real values are seconds.)
_MILLISECONDS = 100_000_000_000

# What is remembered of an instrument, in the order of Tick's fields; then the two sides.
FIELDS, BUY, SELL, PLACES = 15, 15, 16, 17
_LEVELS = 5


def _number(value: object) -> float | int | None:
    """A finite number below the sentinel; None for anything else."""
    if isinstance(value, str):
        try:
            number: float | int = int(value) if value.isdigit() and len(value) < 20 else float(value)
        except ValueError:
            return None
        if "_" in value:
            return None
    elif type(value) is int or type(value) is float:
        number = value
    else:
        return None
    # NaN is not below anything.
    return number if -_SENTINEL < number < _SENTINEL else None


def _price(value: object) -> float | None:
    """Paise; 0 means not available."""
    number = _number(value)
    return round(number / 100, 2) if number else None


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _time(value: object) -> int | None:
    number = _number(value)
    if not number or number < 0:
        return None
    return int(number) if number >= _MILLISECONDS else int(number) * 1000


#: By name on the wire: place in Tick's order, and how to read.
_READ: Mapping[str, tuple[int, Callable[[object], Any]]] = {
    "i_last_traded_price": (0, _price),
    "i_open_price": (1, _price),
    "i_high_price": (2, _price),
    "i_low_price": (3, _price),
    "close_price": (4, _price),
    "i_closing_price": (4, _price),
    "i_volume_traded_today": (5, _count),
    "i_last_trade_quantity": (6, _count),
    "i_average_trade_price": (7, _price),
    "i_total_buy_quantity": (8, _count),
    "i_total_sell_quantity": (9, _count),
    # Never i_total_open_interest, the underlying's. (conflict: the peer uses that one.)
    "i_open_interest": (10, _count),
    "i_upper_circuit_limit": (11, _price),
    "i_lower_circuit_limit": (12, _price),
    "i_last_trade_time": (13, _time),
    "i_feed_time": (14, _time),
}


class Data(msgspec.Struct, gc=False):
    """What is under a key, if all of it is as documented: first the prices, counts and times."""

    ltp: int | float | None = field(name="i_last_traded_price", default=None)
    open: int | float | None = field(name="i_open_price", default=None)
    high: int | float | None = field(name="i_high_price", default=None)
    low: int | float | None = field(name="i_low_price", default=None)
    close: int | float | None = field(name="close_price", default=None)
    closing: int | float | None = field(name="i_closing_price", default=None)
    average: int | float | None = field(name="i_average_trade_price", default=None)
    upper: int | float | None = field(name="i_upper_circuit_limit", default=None)
    lower: int | float | None = field(name="i_lower_circuit_limit", default=None)
    volume: int | float | None = field(name="i_volume_traded_today", default=None)
    last_quantity: int | float | None = field(name="i_last_trade_quantity", default=None)
    total_buy: int | float | None = field(name="i_total_buy_quantity", default=None)
    total_sell: int | float | None = field(name="i_total_sell_quantity", default=None)
    oi: int | float | None = field(name="i_open_interest", default=None)
    trade_time: int | float | None = field(name="i_last_trade_time", default=None)
    feed_time: int | float | None = field(name="i_feed_time", default=None)
    #: A level's price is in paise here.
    buy: list[Level] | None = field(name="best_buy", default=None)
    sell: list[Level] | None = field(name="best_sell", default=None)
    #: Greeks have a message of their own.
    gamma: Any = UNSET


# Where they are remembered.
_PRICES = (0, 1, 2, 3, 4, 4, 7, 11, 12)
_COUNTS = (5, 6, 8, 9, 10)
_TIMES = (13, 14)
_COUNTS_AT = len(_PRICES)
_TIMES_AT = _COUNTS_AT + len(_COUNTS)
_BUY_AT = _TIMES_AT + len(_TIMES)

#: A data message by type, by key; msgspec.DecodeError for any other.
whole = msgspec.json.Decoder(dict[str, Data]).decode


def taken_over(memory: list[Any], data: Data) -> bool:
    """Take over what is available; whether anything is known then."""
    values = astuple(data)
    for place, value in zip(_PRICES, values, strict=False):
        if value and -_SENTINEL < value < _SENTINEL:
            # A whole number of paise by 100 is the nearest float there is: nothing to round.
            memory[place] = value / 100 if type(value) is int else round(value / 100, 2)
    for place, value in zip(_COUNTS, values[_COUNTS_AT:], strict=False):
        if value is not None and -_SENTINEL < value < _SENTINEL:
            memory[place] = int(value)
    for place, value in zip(_TIMES, values[_TIMES_AT:], strict=False):
        if value and 0 < value < _SENTINEL:
            memory[place] = int(value) if value >= _MILLISECONDS else int(value) * 1000
    for place, side in ((BUY, data.buy), (SELL, data.sell)):
        if side:
            levels = _levels(side)
            if levels is not None:
                memory[place] = levels
    return memory.count(None) < PLACES


def _levels(side: list[Level]) -> list[Level] | None:
    """A side in rupees; None if it is not carried."""
    carried = False
    result = []
    for level in side if len(side) <= _LEVELS else side[:_LEVELS]:
        price, quantity, orders = level.price, level.quantity, level.orders
        if not -_SENTINEL < price < _SENTINEL:
            continue
        carried = True
        if price > 0:
            level.price = price / 100 if price.is_integer() else round(price / 100, 2)
            if type(quantity) is not int or not -_SENTINEL < quantity < _SENTINEL:
                level.quantity = _count(quantity) or 0
            if orders is not None and orders >= _SENTINEL:
                level.orders = None
            result.append(level)
    return result if carried else None


def merge(memory: list[Any], message: Mapping[str, object]) -> bool:
    """Take over what is available; whether anything is known then."""
    find = _READ.get
    for name, value in message.items():
        field = find(name)
        if field is not None:
            place, read = field
            new = read(value)
            if new is not None:
                memory[place] = new
    for place, name in ((BUY, "best_buy"), (SELL, "best_sell")):
        side = message.get(name)
        if type(side) is list:
            levels = _side(side)
            if levels is not None:
                memory[place] = levels
    return memory.count(None) < PLACES


def _side(levels: list[Any]) -> list[Level] | None:
    """A side of the book; None if it is not carried, that is, if no level has a usable price."""
    carried = False
    result = []
    for level in levels[:_LEVELS]:
        if type(level) is not dict:
            continue
        price = _number(level.get("price"))
        if price is None:
            continue
        carried = True
        if price > 0:
            result.append(
                Level(round(price / 100, 2), _count(level.get("quantity")) or 0, _count(level.get("orders")))
            )
    return result if carried else None
