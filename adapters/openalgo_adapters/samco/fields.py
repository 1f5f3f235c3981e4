"""The fields of Samco's tick objects: how they are read, and what is remembered of an instrument."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import field

from openalgo_adapters._common.times import IST, MONTHS
from openalgo_adapters._common.values import finite, whole_part
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["Data", "Held", "merge_book", "merge_quote", "tick_of"]

_LEVELS = 5
#: Stands between the thousands of some numbers.
_COMMA = ","


class Data(msgspec.Struct, gc=False):
    """A tick object's members as they come, of either stream."""

    sym: Any = None
    symbol: Any = None
    ltp: Any = None
    open: Any = field(name="o", default=None)
    high: Any = field(name="h", default=None)
    low: Any = field(name="l", default=None)
    close: Any = field(name="c", default=None)
    volume: Any = field(name="vol", default=None)
    last_quantity: Any = field(name="ltq", default=None)
    average: Any = field(name="avgPr", default=None)
    total_buy: Any = field(name="tBQ", default=None)
    total_sell: Any = field(name="tSQ", default=None)
    oi: Any = field(name="oI", default=None)
    book_buy: Any = field(name="tbq", default=None)
    book_sell: Any = field(name="taq", default=None)
    ltt_utc: Any = field(name="lttUTC", default=None)
    ltt: Any = None
    last_time: Any = field(name="lTrdT", default=None)
    bids: Any = field(name="bidValues", default=None)
    asks: Any = field(name="askValues", default=None)


class Held:
    """A subscribed key and what is remembered of it: the fields of a tick, None for the unknown."""

    __slots__ = ("asks", "bids", "depth", "instrument", "ltt", "values")

    def __init__(self, instrument: Instrument, depth: bool) -> None:
        self.instrument = instrument
        self.depth = depth
        #: In the order of Tick: ltp, open, high, low, close, volume, last quantity, average,
        #: total buy, total sell, oi.
        self.values: list[Any] = [None] * 11
        self.ltt: int | None = None
        self.bids: list[Level] | None = None
        self.asks: list[Level] | None = None


def merge_quote(held: Held, data: Data) -> None:
    """Take over what a ``quote`` has."""
    values = held.values
    if (number := finite(data.ltp, _COMMA)) is not None:
        values[0] = number
    if (number := finite(data.open, _COMMA)) is not None:
        values[1] = number
    if (number := finite(data.high, _COMMA)) is not None:
        values[2] = number
    if (number := finite(data.low, _COMMA)) is not None:
        values[3] = number
    if (number := finite(data.close, _COMMA)) is not None:
        values[4] = number
    if (count := whole_part(data.volume, _COMMA)) is not None:
        values[5] = count
    if (count := whole_part(data.last_quantity, _COMMA)) is not None:
        values[6] = count
    if (number := finite(data.average, _COMMA)) is not None:
        values[7] = number
    if (count := whole_part(data.total_buy, _COMMA)) is not None:
        values[8] = count
    if (count := whole_part(data.total_sell, _COMMA)) is not None:
        values[9] = count
    if (count := whole_part(data.oi, _COMMA)) is not None:
        values[10] = count
    _merge_time(held, data)


def merge_book(held: Held, data: Data) -> None:
    """Take over what a ``quote2`` has."""
    if (count := whole_part(data.book_buy, _COMMA)) is not None:
        held.values[8] = count
    if (count := whole_part(data.book_sell, _COMMA)) is not None:
        held.values[9] = count
    if isinstance(data.bids, list):
        held.bids = _levels(data.bids)
    if isinstance(data.asks, list):
        held.asks = _levels(data.asks)
    _merge_time(held, data)


def _merge_time(held: Held, data: Data) -> None:
    moment = _moment(data.ltt_utc, True)
    if moment is None and (moment := _moment(data.ltt, False)) is None:
        moment = _moment(data.last_time, False)
    if moment is not None:
        held.ltt = moment


def _levels(rows: Sequence[object]) -> list[Level]:
    """(conflict: ``no`` is a sequence number in the documentation, whose samples are counts.)"""
    levels = []
    for row in rows[:_LEVELS]:
        if not isinstance(row, dict):
            continue
        price, quantity = finite(row.get("price"), _COMMA), whole_part(row.get("qty"), _COMMA)
        if price is not None and quantity is not None and (price or quantity):
            levels.append(Level(price, quantity, whole_part(row.get("no"), _COMMA)))
    return levels


# fmt: off
def tick_of(held: Held) -> Tick | None:
    """The whole record; None while there is nothing in it."""
    bids, asks, values = held.bids, held.asks, held.values
    if bids is not None or asks is not None:
        kind, depth = Mode.DEPTH, Depth(bids or [], asks or [])
    else:
        depth = None
        if any(value is not None for value in values[1:6]):
            kind = Mode.QUOTE
        elif held.ltt is None and all(value is None for value in values):
            return None
        else:
            kind = Mode.LTP
    ltp, open_, high, low, close, volume, last, average, buy, sell, oi = values
    return Tick(
        held.instrument, kind, ltp, open_, high, low, close, volume, last, average, buy, sell, oi,
        None, None, held.ltt, None, depth,
    )
# fmt: on


_LONG_TIME = re.compile(
    r"([0-9]{1,2}) ([A-Za-z]{3}) ([0-9]{4}), ([0-9]{1,2}):([0-9]{2}):([0-9]{2}) ([AP])M", re.ASCII
)
# (single source: that the day comes before the month.)
_SHORT_TIME = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}) ([0-9]{1,2}):([0-9]{2}):([0-9]{2})", re.ASCII)


def _moment(value: object, utc: bool) -> int | None:
    return _read_time(value, utc) if type(value) is str and value else None


@lru_cache(maxsize=4096)
def _read_time(value: str, utc: bool) -> int | None:
    """Epoch milliseconds of either form; None for what is no time."""
    if found := _LONG_TIME.fullmatch(value.strip()):
        if found[2].upper() not in MONTHS or not 1 <= int(found[4]) <= 12:
            return None
        month = MONTHS.index(found[2].upper()) + 1
        hour = int(found[4]) % 12 + (12 if found[7] == "P" else 0)
    elif found := _SHORT_TIME.fullmatch(value.strip()):
        month, hour = int(found[2]), int(found[4])
    else:
        return None
    try:
        moment = datetime(
            int(found[3]),
            month,
            int(found[1]),
            hour,
            int(found[5]),
            int(found[6]),
            tzinfo=UTC if utc else IST,
        )
    except ValueError:
        return None
    return int(moment.timestamp()) * 1000
