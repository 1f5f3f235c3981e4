"""Tradejini's Nxtrad stream 3.1: whole lists out as JSON text, tagged packets in (`wire`).

Source: the official Python and TypeScript stream SDKs. A subscription replaces the list of its feed,
so the codec keeps both lists and sends the whole of the one that changes. The touchline (L1) says
only what has changed; the book (L5) is whole and has no prices beside its levels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue
from openalgo_adapters.tradejini.orders import OrderReader
from openalgo_adapters.tradejini.wire import SEGMENT_OF, FieldReader, packets, scale_of
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    LoginFailed,
    Malformed,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["MarketCodec", "OrderCodec"]

_L1, _L5, _OHLC, _AUTH, _STATUS, _EVENT, _PONG, _GREEKS, _IV = range(10, 19)
_SILENT = frozenset({_OHLC, _STATUS, _GREEKS, _IV})
_UNAUTHORISED = 4001

# Field ids.
_AUTH_STATUS, _SEGMENT, _TOKEN, _LTT_ID = 25, 26, 27, 46
_BID_PRICE, _BID_QUANTITY, _BID_ORDERS, _ASK_PRICE, _ASK_QUANTITY, _ASK_ORDERS = range(49, 55)

#: How a packet begins, as a rule.
_ABOUT = (_SEGMENT, _TOKEN)

# What is remembered of an instrument, in the order of Tick's fields.
_FIELDS, _LTT = 14, 13
_QUOTE = slice(1, _LTT)
_NO_QUOTE = [None] * (_LTT - 1)
#: Field id → place in the memory.
_PRICES = {29: 0, 30: 1, 31: 2, 32: 3, 33: 4, 36: 7, 42: 11, 43: 12}
_COUNTS = {40: 5, 39: 6, 47: 8, 48: 9, 44: 10}

_TOKENS = range(-(1 << 31), 1 << 31)


class _Held:
    """A subscribed key: its instrument and what is known of it."""

    __slots__ = ("instrument", "memory")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.memory: list[Any] = [None] * _FIELDS

    def merge(self, ids: Sequence[int], values: Sequence[Any], divisor: int, digits: int) -> None:
        memory, prices, counts = self.memory, _PRICES, _COUNTS
        for number, value in zip(ids, values, strict=True):
            if number in prices:
                memory[prices[number]] = round(value / divisor, digits)
            elif number in counts:
                memory[counts[number]] = value
            elif number == _LTT_ID and value > 0:
                # (single source: taken for true UTC.)
                memory[_LTT] = value * 1000


class MarketCodec(FeedCodec):
    """One connection for ticks."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._orders = OrderReader(credentials)
        self._reader = FieldReader()
        self._held: dict[tuple[int, int], _Held] = {}
        #: The lists as they are subscribed: touchlines and books.
        self._touchlines: dict[str, None] = {}
        self._books: dict[str, None] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        key, token = (self._credentials.get(name, "") for name in ("api_key", "access_token"))
        return Dial(url=f"wss://api.tradejini.com/v2.1/stream?token={key}:{token}&version=3.1")

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        if status in (401, 403):
            return Verdict(Cause.TOKEN, f"the token, or this address, is refused (HTTP {status})")
        return super().refused(status, headers, body)

    def closed(self, code: int | None, reason: str) -> Verdict:
        # (conflict: an older FAQ says 401, which is no code that a WebSocket can close with.)
        if code == _UNAUTHORISED:
            return Verdict(Cause.TOKEN, "the token, or this address, is refused (code 4001)")
        return super().closed(code, reason)

    def heartbeat(self) -> Send:
        return _line({"type": "PING"})

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        touchlines, books = list(self._touchlines), list(self._books)
        for (instrument, _, new), key, held in keyed(changes, _key_of, self._held, self._refused):
            name = f"{key[1]}_{_segment(instrument)}"
            if new is None:
                self._held.pop(key, None)
                self._touchlines.pop(name, None)
            elif held is None:
                self._held[key] = _Held(instrument)
                self._touchlines[name] = None
            # (conflict: the peer takes the book alone, which has no prices.)
            if new is not None and new.mode is Mode.DEPTH:
                self._books[name] = None
            else:
                self._books.pop(name, None)
        return [*_frames("L1", touchlines, self._touchlines), *_frames("L5", books, self._books)]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return [Malformed("a text frame")]
        events = []
        try:
            for kind, body in packets(data):
                try:
                    if kind == _L1:
                        self._touchline(body, events)
                    elif kind == _L5:
                        self._book(body, events)
                    else:
                        events += self._other(kind, body)
                except BadValue as problem:
                    events.append(Malformed(str(problem)))
        except BadValue as problem:
            events.append(Malformed(str(problem)))
        return events

    def answered(self, request: HttpRequest, response: HttpResponse | None) -> list[Event]:
        return self._orders.answered(response)

    def _touchline(self, body: bytes, events: list[Event]) -> None:
        ids, values = self._reader.read(body)
        held, divisor, digits = self._of(ids, values)
        if held is not None:
            held.merge(ids, values, divisor, digits)
            kind = Mode.LTP if held.memory[_QUOTE] == _NO_QUOTE else Mode.QUOTE
            # Positional, in the order of the memory and of Tick's fields: this runs for every tick.
            events.append(Tick(held.instrument, kind, *held.memory))

    def _book(self, body: bytes, events: list[Event]) -> None:
        ids, values = self._reader.read(body)
        held, divisor, digits = self._of(ids, values)
        depth = _depth(ids, values, divisor, digits)
        if held is not None:
            held.merge(ids, values, divisor, digits)
            fields = [*held.memory, None, depth]
            events.append(Tick(held.instrument, Mode.DEPTH, *fields))

    def _of(self, ids: Sequence[int], values: Sequence[Any]) -> tuple[_Held | None, int, int]:
        """Whom a packet is about, price divisor and decimals."""
        if ids[:2] == _ABOUT:
            segment, token = values[0], values[1]
        elif _SEGMENT in ids and _TOKEN in ids:
            segment, token = values[ids.index(_SEGMENT)], values[ids.index(_TOKEN)]
        else:
            raise BadValue("a packet about no instrument")
        divisor, digits = scale_of(segment)
        return self._held.get((segment, token)), divisor, digits

    def _other(self, kind: int, body: bytes) -> list[Event]:
        if kind in _SILENT:
            return []
        if kind == _PONG:
            return [Alive()]
        if kind == _EVENT:
            return self._orders.event(body)
        if kind == _AUTH:
            # (single source: the peer acts on it, the SDKs drop it.)
            ids, values = self._reader.read(body)
            if ids == (_AUTH_STATUS,) and values == (1,):
                return [Alive()]
            return [LoginFailed(Verdict(Cause.TOKEN, "the broker refused the token"))]
        raise BadValue("a packet of an unknown type")


class OrderCodec(MarketCodec):
    """One connection for order updates: the same stream, on which only events are subscribed."""

    def opened(self) -> list[Send]:
        # (single source: the form of the list.)
        return [_line({"type": "event", "action": "sub", "events": ["orders"]})]

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []


def _segment(instrument: Instrument) -> str:
    """The segment's name in the broker's keys."""
    if instrument.brexchange in SEGMENT_OF:
        return instrument.brexchange
    return instrument.exchange.removesuffix("_INDEX")


def _key_of(instrument: Instrument) -> tuple[int, int] | None:
    segment = SEGMENT_OF.get(_segment(instrument))
    digits = instrument.token.removeprefix("-")
    if segment is None or not digits.isascii() or not digits.isdigit() or len(digits) > 10:
        return None
    token = int(instrument.token)
    return (segment, token) if token in _TOKENS else None


def _frames(feed: str, old: Sequence[str], new: Mapping[str, None]) -> list[Send]:
    if old == list(new):
        return []
    if not new:
        return [_line({"type": feed, "action": "unsub"})]
    return [_line({"type": feed, "action": "sub", "tokens": [{"t": name} for name in new]})]


def _line(message: object) -> str:
    return json.dumps(message, separators=(",", ":")) + "\n"


def _depth(ids: Sequence[int], values: Sequence[Any], divisor: int, digits: int) -> Depth:
    """The levels in their order: each begins with its price."""
    buy: list[Level] = []
    sell: list[Level] = []
    for number, value in zip(ids, values, strict=True):
        if not _BID_PRICE <= number <= _ASK_ORDERS:
            continue
        side = buy if number < _ASK_PRICE else sell
        if number in (_BID_PRICE, _ASK_PRICE):
            side.append(Level(round(value / divisor, digits), 0, 0))
        elif not side:
            raise BadValue("a level without its price")
        elif number in (_BID_QUANTITY, _ASK_QUANTITY):
            side[-1].quantity = value
        else:
            side[-1].orders = value
    return Depth(buy, sell)
