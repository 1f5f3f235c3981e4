"""The JSON events: ``<code>-json-full`` with everything, ``<code>-json-partial`` with what has changed.

A partial event is text: ``t:2_35001,bi:0|150|23214.9|3,ai:0||23215.6|,ltp:23215.4``. Prices are in
rupees already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from openalgo_adapters._common.values import BadValue, integer, number
from openalgo_adapters._xts.segments import digits_of, milliseconds
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = [
    "BOOK",
    "INTEREST",
    "KINDS",
    "PRICE",
    "TOUCH",
    "Full",
    "Key",
    "Partial",
    "band_tick",
    "full_tick",
    "merged_tick",
    "read_full",
    "read_partial",
]

#: Message codes.
TOUCH, BOOK, INTEREST, PRICE = 1501, 1502, 1510, 1512
KINDS: Mapping[int, Mode] = {
    TOUCH: Mode.QUOTE,
    BOOK: Mode.DEPTH,
    INTEREST: Mode.QUOTE,
    PRICE: Mode.LTP,
}
#: No book has more levels; a number beyond is a mistake.
_MOST_LEVELS = 100
_LOWER_BAND, _UPPER_BAND = "87", "88"

#: Code of the segment and id: what an instrument is known by.
Key = tuple[int, int]


class _Row(msgspec.Struct, frozen=True, gc=False):
    """One level of a book."""

    Size: int
    Price: float
    TotalOrders: int | None = None


class _Touchline(msgspec.Struct, frozen=True, gc=False):
    """Prices and sums: the member ``Touchline``, or the root itself where the shape is flat."""

    LastTradedPrice: float | None = None
    # So spelt by the broker; some servers know better.
    LastTradedQunatity: int | None = None
    LastTradedQuantity: int | None = None
    TotalBuyQuantity: int | None = None
    TotalSellQuantity: int | None = None
    TotalTradedQuantity: int | None = None
    AverageTradedPrice: float | None = None
    LastTradedTime: int | None = None
    LastUpdateTime: int | None = None
    Open: float | None = None
    High: float | None = None
    Low: float | None = None
    Close: float | None = None


class Full(_Touchline, frozen=True, gc=False, kw_only=True):
    """A whole event, or a snapshot from the answer to a subscribe call."""

    ExchangeSegment: int
    ExchangeInstrumentID: int | str
    MessageCode: int | None = None
    ExchangeTimeStamp: int | None = None
    Touchline: _Touchline | float | str | bool | list[Any] | None = None
    Bids: list[_Row] | _Row | None = None
    Asks: list[_Row] | _Row | None = None
    OpenInterest: int | None = None

    @property
    def key(self) -> Key:
        """Whose event this is; `BadValue` if the id is no number."""
        return self.ExchangeSegment, integer(self.ExchangeInstrumentID)


_FULL = msgspec.json.Decoder(Full)


def read_full(payload: object) -> Full:
    """Text of JSON, or an object that has been read already."""
    try:
        if isinstance(payload, str):
            return _FULL.decode(payload)
        return msgspec.convert(payload, Full)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadValue("not an event of this shape") from None


def full_tick(instrument: Instrument, code: int, event: Full) -> Tick:
    """What a whole event says."""
    segment = event.ExchangeSegment
    stamp = milliseconds(segment, event.ExchangeTimeStamp)
    if code == INTEREST:
        return Tick(instrument, Mode.QUOTE, oi=event.OpenInterest, exchange_timestamp=stamp)
    touch = event.Touchline if isinstance(event.Touchline, _Touchline) else event
    quantity = touch.LastTradedQunatity
    if quantity is None:
        quantity = touch.LastTradedQuantity
    if stamp is None:
        stamp = milliseconds(segment, touch.LastUpdateTime)
    traded = milliseconds(segment, touch.LastTradedTime)
    digits = digits_of(segment)
    if code == PRICE:
        return Tick(
            instrument,
            Mode.LTP,
            _rounded(touch.LastTradedPrice, digits),
            last_trade_quantity=quantity,
            ltt=traded,
            exchange_timestamp=stamp,
        )
    depth = None
    if code == BOOK:
        if event.Bids is None or event.Asks is None:
            raise BadValue("a book without its sides")
        depth = Depth(_side(event.Bids, digits), _side(event.Asks, digits))
    return Tick(
        instrument,
        KINDS[code],
        _rounded(touch.LastTradedPrice, digits),
        _rounded(touch.Open, digits),
        _rounded(touch.High, digits),
        _rounded(touch.Low, digits),
        _rounded(touch.Close, digits),
        touch.TotalTradedQuantity,
        quantity,
        _rounded(touch.AverageTradedPrice, digits),
        touch.TotalBuyQuantity,
        touch.TotalSellQuantity,
        ltt=traded,
        exchange_timestamp=stamp,
        depth=depth,
    )


def _rounded(price: float | None, digits: int) -> float | None:
    return None if price is None else round(price, digits)


def _side(rows: list[_Row] | _Row, digits: int) -> list[Level]:
    """Best first, exactly as sent: levels of nothing stay."""
    if isinstance(rows, _Row):
        rows = [rows]
    return [Level(round(row.Price, digits), row.Size, row.TotalOrders) for row in rows]


class Partial(NamedTuple):
    """A partial event: whose it is, and its pairs."""

    key: Key
    pairs: Mapping[str, str]


def read_partial(payload: object) -> Partial:
    """Take ``key:value,key:value`` apart."""
    if not isinstance(payload, str):
        raise BadValue("a change that is not text")
    pairs: dict[str, str] = {}
    for pair in payload.split(","):
        name, colon, value = pair.partition(":")
        if not colon:
            raise BadValue("a change without its value")
        pairs[name.strip()] = value
    segment, _, token = pairs.get("t", "").partition("_")
    return Partial((integer(segment), integer(token)), pairs)


_PRICES = {"ap": "avg_trade_price", "o": "open", "h": "high", "l": "low", "c": "close"}
_SUMS = {"v": "volume", "tb": "total_buy_quantity", "ts": "total_sell_quantity"}
_TIMES = {"ltt": "ltt", "lut": "exchange_timestamp"}


def merged_tick(instrument: Instrument, code: int, last: Tick | None, change: Partial) -> Tick:
    """What is known after a change; ``last`` is what was known of the same code and stays as it is."""
    segment, digits = change.key[0], digits_of(change.key[0])
    new: dict[str, Any] = {}
    for name, value in change.pairs.items():
        if name in _TIMES:
            moment = milliseconds(segment, integer(value))
            # A time of 0 leaves the one that is known.
            if moment is not None:
                new[_TIMES[name]] = moment
        elif code == INTEREST:
            if name in ("o", "oi"):
                new["oi"] = integer(value)
        elif name == "ltp":
            new["ltp"] = round(number(value), digits)
        elif name == "ltq":
            new["last_trade_quantity"] = integer(value)
        elif code != PRICE and name in _PRICES:
            new[_PRICES[name]] = round(number(value), digits)
        elif code != PRICE and name in _SUMS:
            new[_SUMS[name]] = integer(value)
    if code == BOOK and ("bi" in change.pairs or "ai" in change.pairs):
        book = Depth([], []) if last is None or last.depth is None else last.depth
        new["depth"] = Depth(
            _changed(book.buy, change.pairs.get("bi"), digits),
            _changed(book.sell, change.pairs.get("ai"), digits),
        )
    if last is None:
        return Tick(instrument, KINDS[code], **new)
    return msgspec.structs.replace(last, **new)


def _changed(levels: list[Level], text: str | None, digits: int) -> list[Level]:
    """A side after its changes, ``index|size|price|orders`` each; an empty value has not changed."""
    if text is None:
        return levels
    values = text.split("|")
    if len(values) % 4:
        raise BadValue("a level that is not four values")
    levels = list(levels)
    for start in range(0, len(values), 4):
        place, size, price, orders = values[start : start + 4]
        index = integer(place)
        if not 0 <= index < _MOST_LEVELS:
            raise BadValue("a level that no book has")
        while len(levels) <= index:
            levels.append(Level(0.0, 0, 0))
        old = levels[index]
        levels[index] = Level(
            round(number(price), digits) if price else old.price,
            integer(size) if size else old.quantity,
            integer(orders) if orders else old.orders,
        )
    return levels


def band_tick(instrument: Instrument, change: Partial) -> Tick | None:
    """The price band from properties of an instrument, None if it is not among them.

    (conflict: the peer reads 110 to 119 as prices and quantities; 110 and 111 are execution bands.)
    """
    upper, lower = change.pairs.get(_UPPER_BAND), change.pairs.get(_LOWER_BAND)
    if upper is None and lower is None:
        return None
    digits = digits_of(change.key[0])
    return Tick(
        instrument,
        Mode.QUOTE,
        upper_circuit=None if upper is None else round(number(upper), digits),
        lower_circuit=None if lower is None else round(number(lower), digits),
    )
