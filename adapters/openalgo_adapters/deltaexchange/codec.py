"""Delta Exchange India: JSON channels, by symbol. Market data is public; orders have a host of their own.

Source: docs.delta.exchange (India), "Websocket Feed"; there is no official SDK that streams. A
ticker comes every five seconds and a trade at once, so both are subscribed in every mode, and what
they say is remembered: each message gives one tick of all that is known.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue, finite
from openalgo_adapters.deltaexchange.book import Book, level_pairs
from openalgo_adapters.deltaexchange.orders import order_updates
from openalgo_adapters.deltaexchange.values import Measure, milliseconds
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    LoggedIn,
    LoginFailed,
    Malformed,
    Rejected,
    Reply,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["PrivateCodec", "PublicCodec"]

#: The deepest book that comes whole (`ob_l2`); a deeper one comes as changes (`ob_updates`).
WHOLE = 15
#: Symbols of one frame. (single source: the peer.)
_SYMBOLS = 150
#: Seconds to wait after HTTP 429: five to ten minutes are asked for.
_TOO_MANY = 300.0

#: (conflict: the peer takes the ticker alone for a price, which is then up to five seconds old.)
_PRICES = ("ticker", "trades")

# What is remembered of an instrument, in the order of Tick's fields.
_FIELDS = 14
_LTP, _OHL, _LAST, _OI, _UPPER, _LOWER, _LTT = 0, (1, 2, 3), 6, 10, 11, 12, 13
_QUOTE = slice(1, _LTT)
_NO_QUOTE = [None] * (_LTT - 1)


class _Message(msgspec.Struct, gc=False):
    """Any message: the members that are read, unchecked."""

    type: Any = None
    sy: Any = None
    ts: Any = None
    p: Any = None
    s: Any = None
    t: Any = None
    d: Any = None
    sp: Any = None
    a: Any = None
    b: Any = None
    seq: Any = None
    cs: Any = None
    action: Any = None
    symbol: Any = None
    channels: Any = None
    success: Any = None
    message: Any = None
    status: Any = None


_decode = msgspec.json.Decoder(_Message).decode


class _Held:
    """A subscribed symbol: what is wanted and what is known of it."""

    __slots__ = ("book", "instrument", "memory", "resumed", "wish")

    def __init__(self, instrument: Instrument, wish: Wish) -> None:
        self.instrument = instrument
        self.wish = wish
        self.memory: list[Any] = [None] * _FIELDS
        self.forget_book()

    def forget_book(self) -> None:
        self.book: Book | None = None
        #: Whether a snapshot has been asked for again and has not come yet.
        self.resumed = False

    def tick(self, stamp: object, depth: Depth | None = None) -> Tick:
        memory = self.memory
        kind = Mode.DEPTH
        if depth is None:
            kind = Mode.LTP if memory[_QUOTE] == _NO_QUOTE else Mode.QUOTE
        # Positional, in the order of the memory and of Tick's fields: this runs for every tick.
        fields = [*memory, milliseconds(stamp), depth]
        return Tick(self.instrument, kind, *fields)


class PublicCodec(FeedCodec):
    """One connection to the public host."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._held: dict[str, _Held] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        return Dial(url="wss://public-socket.india.delta.exchange")

    def opened(self) -> list[Send]:
        # (conflict: the peer sends none, and pings.)
        return [_text({"type": "enable_heartbeat"})]

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        if status == 429:
            return Verdict(Cause.TOO_MANY, "too many connections (HTTP 429)", _TOO_MANY)
        return super().refused(status, headers, body)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped, wanted = _Request("unsubscribe"), _Request("subscribe")
        ours = keyed(
            changes,
            lambda instrument: instrument.brsymbol or None,
            self._held,
            self._refused,
            keyless="no symbol of this broker",
            taken="its symbol is taken by another instrument",
        )
        for (instrument, _, new), symbol, held in ours:
            before, after = _book_channel(None if held is None else held.wish), _book_channel(new)
            if before != after:
                dropped.books += [(before, symbol)] if before else []
                wanted.books += [(after, symbol)] if after else []
            if new is None:
                if held is not None:
                    del self._held[symbol]
                    dropped.prices.append(symbol)
            elif held is None:
                self._held[symbol] = _Held(instrument, new)
                wanted.prices.append(symbol)
            else:
                held.wish = new
                if before != after:
                    held.forget_book()
        return [*dropped.frames(), *wanted.frames()]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        try:
            message = _decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return [Malformed("not a JSON object")]
        kind = message.type
        if kind == "trades":
            return self._trade(message)
        if kind == "ticker":
            return self._ticker(message)
        if kind == "ob_l2":
            return self._whole_book(message)
        if kind == "ob_updates":
            return self._book_change(message)
        return self._other(kind, message, data)

    def _other(self, kind: object, message: _Message, data: str | bytes) -> list[Event]:
        if kind in ("heartbeat", "pong"):
            return [Alive()]
        if kind == "error":
            return [Rejected(_said(message.message))]
        if kind == "subscriptions":
            return self._subscriptions(message.channels)
        if kind == "key-auth":
            return self._logged_in(message)
        if kind == "orders":
            return order_updates(data)
        return []

    def _logged_in(self, message: _Message) -> list[Event]:
        if message.success is False:
            return [LoginFailed(Verdict(Cause.TOKEN, f"the login was refused: {_said(message.status)}"))]
        return []

    def _subscriptions(self, channels: object) -> list[Event]:
        """What was asked for; a channel that is refused has an error in the place of its symbols."""
        return [
            Rejected(f"{_said(channel.get('name'))}: {_said(channel['error'])}")
            for channel in (channels if isinstance(channels, list) else ())
            if isinstance(channel, dict) and "error" in channel
        ]

    def _of(self, *names: object) -> _Held | None:
        """What is held under the first of these that is a name."""
        for name in names:
            if isinstance(name, str):
                return self._held.get(name)
        return None

    def _trade(self, message: _Message) -> list[Event]:
        held = self._of(message.sy)
        if held is None:
            return []
        price = finite(message.p)
        if price is None or price <= 0:
            return [Malformed("a trade without a price")]
        memory = held.memory
        memory[_LTP] = price
        _take(memory, _LAST, finite(message.s))
        _take(memory, _LTT, milliseconds(message.t))
        return [held.tick(message.ts)]

    def _ticker(self, message: _Message) -> list[Event]:
        if type(message.d) is not list:
            return [Malformed("a ticker without entries")]
        events: list[Event] = []
        for entry in message.d:
            if type(entry) is not dict:
                events.append(Malformed("an entry of a ticker that is no object"))
                continue
            # The name above may be an option chain's.
            held = self._of(entry.get("s"), message.sy)
            if held is not None and _merge(held.memory, entry, message.sp):
                events.append(held.tick(message.ts))
        return events

    def _whole_book(self, message: _Message) -> list[Event]:
        held = self._of(message.sy)
        if held is None:
            return []
        try:
            depth = Depth(_levels(message.b), _levels(message.a))
        except BadValue as problem:
            return [Malformed(str(problem))]
        return [held.tick(message.ts, depth)]

    def _book_change(self, message: _Message) -> list[Event]:
        held = self._of(message.sy, message.symbol)
        if held is None:
            return []
        # (single source: the name of this member.)
        if message.action == "snapshot":
            held.forget_book()
            held.book = Book()
        elif message.action == "error":
            return [Rejected("no book is available", (held.instrument,)), *self._resume(held)]
        elif message.action != "update":
            return []
        if held.book is None:
            return []
        try:
            held.book.apply(message.a, message.b, message.seq, message.cs)
        except BadValue as problem:
            return [Malformed(str(problem)), *self._resume(held)]
        return [held.tick(message.ts, held.book.depth(held.wish.depth))]

    @staticmethod
    def _resume(held: _Held) -> list[Event]:
        """Drop the book, and ask for a new one unless that has been done and brought nothing."""
        held.book = None
        if held.resumed:
            return []
        held.resumed = True
        # A second subscription of what is subscribed brings no snapshot.
        return [
            Reply(_request(action, ["ob_updates"], [held.instrument.brsymbol]))
            for action in ("unsubscribe", "subscribe")
        ]


class PrivateCodec(PublicCodec):
    """One connection to the private host, for order updates."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        super().__init__(credentials, environment)
        self._credentials = credentials
        self._environment = environment

    def dial(self) -> Dial:
        return Dial(url="wss://socket.india.delta.exchange")

    def opened(self) -> list[Send]:
        stamp = str(int(self._environment.now()))
        secret = self._credentials.get("api_secret", "").encode()
        signature = hmac.new(secret, f"GET{stamp}/live".encode(), hashlib.sha256).hexdigest()
        # (single source: the time may be off by 5 s.)
        login = {"api-key": self._credentials.get("api_key", ""), "signature": signature, "timestamp": stamp}
        return [*super().opened(), _text({"type": "key-auth", "payload": login})]

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def _logged_in(self, message: _Message) -> list[Event]:
        if message.success is not True:
            return super()._logged_in(message)
        return [LoggedIn(), Reply(_request("subscribe", ["orders"], ["all"]))]


class _Request:
    """What is to be subscribed, or unsubscribed, in one operation."""

    def __init__(self, action: str) -> None:
        self._action = action
        self.prices: list[str] = []
        self.books: list[tuple[str, str]] = []

    def frames(self) -> list[Send]:
        starts = range(0, len(self.prices), _SYMBOLS)
        frames = [_request(self._action, _PRICES, self.prices[start : start + _SYMBOLS]) for start in starts]
        # One symbol a frame. (conflict: 136 in one have been seen to work.)
        return [*frames, *(_request(self._action, [channel], [symbol]) for channel, symbol in self.books)]


def _book_channel(wish: Wish | None) -> str | None:
    if wish is None or wish.mode is not Mode.DEPTH:
        return None
    return "ob_l2" if wish.depth <= WHOLE else "ob_updates"


def _request(action: str, channels: Iterable[str], symbols: Sequence[str]) -> str:
    named = [{"name": channel, "symbols": symbols} for channel in channels]
    return _text({"type": action, "payload": {"channels": named}})


def _text(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


def _said(value: object) -> str:
    return value[:200] if isinstance(value, str) and value else "no reason given"


def _take(memory: list[Any], place: int, value: float | None) -> None:
    if value is not None:
        memory[place] = value


def _merge(memory: list[Any], entry: Mapping[str, Any], spot: object) -> bool:
    """Take over what is available; whether anything is known then."""
    values = entry.get("ohlc")
    last = None
    if type(values) is list and len(values) == 4:
        for place, value in zip(_OHL, values, strict=False):
            _take(memory, place, finite(value))
        last = finite(values[3])
    # (conflict: the peer takes the mark price for the last one, and the last one for a close.)
    if last is not None and last > 0:
        memory[_LTP] = last
    elif memory[_LTP] is None:
        memory[_LTP] = _positive(entry.get("m")) or _positive(spot)
    values = entry.get("oi")
    if type(values) is list and values:
        _take(memory, _OI, finite(values[0]))
    values = entry.get("pb")
    if type(values) is list and len(values) == 2:
        _take(memory, _LOWER, finite(values[0]))
        _take(memory, _UPPER, finite(values[1]))
    return memory.count(None) < _FIELDS


def _positive(value: object) -> Measure:
    number = finite(value)
    return number if number is not None and number > 0 else None


def _levels(side: object) -> list[Level]:
    return [Level(price, size) for price, size in level_pairs(side)]
