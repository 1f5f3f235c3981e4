"""What both of 5paisa's sockets speak of: keys of instruments, and elements of messages as ticks."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, field

from openalgo_adapters._common.values import BadValue, integer, maybe_integer, maybe_number, number
from openalgo_ws.tick import INDEX_EXCHANGES, Depth, Instrument, Level, Mode, Tick

__all__ = ["EXCHANGES", "Element", "Held", "Key", "book", "code_of", "decode", "interest", "key_of", "quote"]

#: Exch and ExchType by OpenAlgo exchange.
_SEGMENTS = {
    "NSE": ("N", "C"),
    "BSE": ("B", "C"),
    # (single source: the SDK has a method for indices, which isn't needed.)
    "NSE_INDEX": ("N", "C"),
    "BSE_INDEX": ("B", "C"),
    "NFO": ("N", "D"),
    "BFO": ("B", "D"),
    "CDS": ("N", "U"),
    "BCD": ("B", "U"),
    "MCX": ("M", "D"),
}
#: The other way; what is traded on an exchange has no code of its own for indices.
EXCHANGES = {code: exchange for exchange, code in _SEGMENTS.items() if exchange not in INDEX_EXCHANGES}
_CURRENCY = "U"
_CODE_DIGITS = 12

_BUY, _SELL = 66, 83
#: No wire carries more than 63 bits.
_TOO_LARGE = 1 << 63
_DATE = re.compile(r"/Date\((-?[0-9]{1,15})(?:[+-][0-9]{4})?\)/", re.ASCII)

Key = tuple[str, str, int]


class Element(msgspec.Struct, gc=False):
    """An object of any kind; what it has decides which. Order updates are decoded apart."""

    exch: Any = field(name="Exch", default=None)
    exch_type: Any = field(name="ExchType", default=None)
    token: Any = field(name="Token", default=None)
    scrip_code: Any = field(name="ScripCode", default=None)
    req_type: Any = field(name="ReqType", default=UNSET)
    details: Any = field(name="Details", default=UNSET)
    open_interest: Any = field(name="OpenInterest", default=UNSET)
    last_rate: Any = field(name="LastRate", default=UNSET)
    last_quantity: Any = field(name="LastQty", default=None)
    volume: Any = field(name="TotalQty", default=None)
    high: Any = field(name="High", default=None)
    low: Any = field(name="Low", default=None)
    open: Any = field(name="OpenRate", default=None)
    close: Any = field(name="PClose", default=None)
    average: Any = field(name="AvgRate", default=None)
    total_buy: Any = field(name="TBidQ", default=None)
    total_sell: Any = field(name="TOffQ", default=None)
    tick_time: Any = field(name="TickDt", default=None)
    time: Any = field(name="Time", default=None)


decode = msgspec.json.Decoder(Element | list[Element]).decode


class Held(NamedTuple):
    instrument: Instrument
    #: Decimals of its prices.
    decimals: int
    #: The last prices that weren't zero: ltp, open, high, low, close, average.
    prices: list[float | None]

    @classmethod
    def of(cls, instrument: Instrument, key: Key) -> Held:
        """An instrument of which nothing is known yet."""
        return cls(instrument, 4 if key[1] == _CURRENCY else 2, [None] * 6)


def key_of(instrument: Instrument) -> Key | None:
    segment, token = _SEGMENTS.get(instrument.exchange), instrument.token
    if segment is None or not (token.isascii() and token.isdigit()) or len(token) > _CODE_DIGITS:
        return None
    return (*segment, int(token))


def code_of(value: object) -> int:
    if value is None:
        raise BadValue("data without its scrip code")
    return integer(value)


def quote(held: Held, element: Element) -> Tick:
    prices, decimals = held.prices, held.decimals
    fresh = (element.last_rate, element.open, element.high, element.low, element.close, element.average)
    for place, value in enumerate(fresh):
        # (The decoder lets no float through that isn't finite.)
        if type(value) is not float:
            value = maybe_number(value)
        # Zero, null and absent are the same: not in this message.
        if value:
            prices[place] = round(value, decimals)
    ltp, open_, high, low, close, average = prices
    moment = _date(element.tick_time)
    # fmt: off
    return Tick(
        held.instrument, Mode.QUOTE, ltp, open_, high, low, close,
        _whole(element.volume), _whole(element.last_quantity), average,
        _whole(element.total_buy), _whole(element.total_sell), None, None, None, moment, moment,
    )
    # fmt: on


def book(held: Held, element: Element) -> Tick:
    if not isinstance(element.details, list):
        raise BadValue("a book that is no list")
    sides: dict[int, list[Level]] = {_BUY: [], _SELL: []}
    for row in element.details:
        if not isinstance(row, dict):
            raise BadValue("a level that is no object")
        side = sides.get(integer(row.get("BbBuySellFlag")))
        if side is not None:
            price = round(number(row.get("Price")), held.decimals)
            side.append(Level(price, _needed(row.get("Quantity")), _whole(row.get("NumberOfOrders"))))
    return Tick(
        held.instrument,
        Mode.DEPTH,
        total_buy_quantity=_whole(element.total_buy),
        total_sell_quantity=_whole(element.total_sell),
        exchange_timestamp=_date(element.time),
        depth=Depth(sides[_BUY], sides[_SELL]),
    )


def interest(held: Held, element: Element) -> Tick:
    """(single source: the members of this message. Nothing here asks for it.)"""
    return Tick(
        held.instrument,
        Mode.QUOTE,
        oi=_needed(element.open_interest),
        exchange_timestamp=_date(element.tick_time),
    )


def _whole(value: object) -> int | None:
    whole = value if type(value) is int else maybe_integer(value)
    if whole is not None and not -_TOO_LARGE < whole < _TOO_LARGE:
        raise BadValue("a quantity out of range")
    return whole


def _needed(value: object) -> int:
    whole = _whole(value)
    if whole is None:
        raise BadValue("a quantity is missing")
    return whole


def _date(value: object) -> int | None:
    """Epoch milliseconds of ``/Date(…)/``; what follows the number changes nothing. None for no date."""
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    return max(int(found[1]), 0) or None if found is not None else None
