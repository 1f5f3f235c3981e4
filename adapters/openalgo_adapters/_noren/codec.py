"""Noren's WebSocket: one JSON object per text message, both ways.

Source: NorenRestApiOAuth 0.0.41 and the brokers' documents. Values are decimal strings, prices in
rupees. ``tk``/``dk`` are snapshots of touchline and depth, ``tf``/``df`` the fields that changed;
each of the families touchline, depth and LTP (``lk``/``lf``) has a memory of its own per key
``SEGMENT|TOKEN``, and every data frame gives one full tick of what its family remembers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from openalgo_adapters._common.times import ist_ms
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters._noren.orders import order_update
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

__all__ = ["SEGMENTS", "NorenCodec", "segment_of"]

#: Segment of the stream by OpenAlgo exchange; older databases hold the index names as brexchange.
SEGMENTS: Mapping[str, str] = {
    **{name: name for name in ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO", "BCO", "NCDEX")},
    "NSE_INDEX": "NSE",
    "BSE_INDEX": "BSE",
    "MCX_INDEX": "MCX",
}

#: Keys of one subscribe frame; none is published.
_KEYS = 100

# The families that remember apart from each other.
_TOUCH, _BOOK, _LAST = range(3)
_DATA = {"tk": _TOUCH, "tf": _TOUCH, "dk": _BOOK, "df": _BOOK, "lk": _LAST, "lf": _LAST}
_ON = {_TOUCH: "t", _BOOK: "d"}
_OFF = {_TOUCH: "u", _BOOK: "ud"}

_LOGIN = frozenset({"ak", "ck", "cf"})
_QUIET = frozenset({"uk", "udk", "ulk", "upk", "ok", "uok", "pk", "hk", "h", "pm", "am", "rm", "ms"})

# What a family remembers: one list, its first places in the order of Tick's fields.
_LTT, _STAMP, _CLOCK, _BUY, _SELL, _PLACES = 13, 14, 15, 16, 31, 46
_QUOTE = slice(1, _LTT)
_NO_QUOTE = [None] * (_LTT - 1)
_LEVELS = range(5)
#: Orders at the open, in the pre-open session, stand in the book at this price (2^32 − 1 paise).
_AT_OPEN = 42949672.95
_DAY = 86_400
_IST = 19_800

_WHOLE_TIME = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
_CLOCK_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])", re.ASCII)


def segment_of(instrument: Instrument) -> str | None:
    """The stream's segment of an instrument; None if there is none."""
    return SEGMENTS.get(instrument.brexchange) or SEGMENTS.get(instrument.exchange)


# Readers of values: None for what is no finite number, so that the memory stays as it is.


def _price(value: object) -> float | None:
    if type(value) is str:
        try:
            number = float(value)
        except ValueError:
            return None
        if "_" in value:
            return None
    elif type(value) is float or type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            return None
    else:
        return None
    # Infinity and NaN have no difference of zero.
    return number if number - number == 0.0 else None


def _count(value: object) -> int | None:
    """The whole part, exact beyond what a float holds; no wire carries more than 63 bits."""
    if type(value) is str and len(value) < 19 and value.isdigit() and value.isascii():
        return int(value)
    number = _price(value)
    if number is None or abs(number) >= 1 << 63:
        return None
    return int(Decimal(value.strip())) if isinstance(value, str) else int(number)


def _feed_time(value: object) -> int | None:
    seconds = _count(value)
    return None if seconds is None or abs(seconds) > 1 << 40 else seconds * 1000


def _trade_time(value: object) -> int | None:
    """Seconds of the Indian day (below `_DAY`) for a bare time, else epoch milliseconds."""
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        return None
    value = value.strip()
    clock = _CLOCK_TIME.fullmatch(value)
    if clock is not None:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
    if _WHOLE_TIME.fullmatch(value):
        try:
            moment = ist_ms(value, "%d-%m-%Y %H:%M:%S")
        except BadValue:
            return None
        return moment if moment >= _DAY else None
    if value.isascii() and value.isdigit() and 9 <= len(value) <= 16:
        moment = int(value) * (1000 if len(value) <= 11 else 1)
        return moment if moment >= _DAY else None
    return None


_Read = Callable[[object], float | int | None]

#: By name on the wire: place in the memory, how to read, and whether a zero may replace a value.
_FIELDS: dict[str, tuple[int, _Read, bool]] = {
    "lp": (0, _price, True),
    # Some gateways send 0.00 for "unchanged" in these.
    "o": (1, _price, False),
    "h": (2, _price, False),
    "l": (3, _price, False),
    "c": (4, _price, False),
    "v": (5, _count, True),
    "ltq": (6, _count, True),
    "ap": (7, _price, False),
    "tbq": (8, _count, True),
    "tsq": (9, _count, True),
    # Never `toi`, the underlying's total. (conflict: the peer publishes that one.)
    "oi": (10, _count, True),
    "uc": (11, _price, True),
    "lc": (12, _price, True),
    "ft": (_STAMP, _feed_time, True),
    "ltt": (_CLOCK, _trade_time, True),
}
_BOOK_FIELDS = {
    **_FIELDS,
    **{
        f"{side}{what}{level + 1}": (start + 5 * part + level, read, True)
        for side, start in (("b", _BUY), ("s", _SELL))
        for part, (what, read) in enumerate((("p", _price), ("q", _count), ("o", _count)))
        for level in _LEVELS
    },
}
_READ: tuple[Mapping[str, tuple[int, _Read, bool]], ...] = (_FIELDS, _BOOK_FIELDS, _FIELDS)


class _Held:
    """A subscribed key: its instrument, the family asked for, and what each family remembers."""

    __slots__ = ("instrument", "memory", "wanted")

    def __init__(self, instrument: Instrument, wanted: int) -> None:
        self.instrument = instrument
        self.wanted = wanted
        self.memory: list[list[Any] | None] = [None, None, None]


class NorenCodec(FeedCodec):
    """One connection of a Noren broker: ticks and order updates. A broker sets `url`."""

    url: ClassVar[str]

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self.credentials = credentials
        self._held: dict[str, _Held] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        return Dial(url=self.url)

    def opened(self) -> list[Send]:
        return [frame(self.login())]

    def login(self) -> dict[str, str]:
        """The login frame. (conflict: documents have ``usertoken``, clients ``accesstoken``.)"""
        return {
            "t": "a",
            "uid": self.user_id,
            "actid": self.account,
            "source": "API",
            "accesstoken": self.credentials.get("access_token", ""),
        }

    @property
    def user_id(self) -> str:
        """The login id."""
        return self.credentials.get("user_id", "")

    @property
    def account(self) -> str:
        """The account, which is the user's id for retail accounts."""
        return self.credentials.get("actid") or self.user_id

    def order_subscription(self) -> list[Event]:
        """What is sent back when the login is through, to get order updates on the same socket."""
        return [Reply(frame({"t": "o", "actid": self.account}))]

    def heartbeat(self) -> Send | None:
        return '{"t":"h"}'

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        # The token is not in the upgrade: these are a wrong path, or an address that is not allowed.
        if status in (401, 403):
            return Verdict(Cause.FATAL, f"the broker refused the path or the address (HTTP {status})")
        return super().refused(status, headers, body)

    def closed(self, code: int | None, reason: str) -> Verdict:
        if code == 1000:
            return Verdict(Cause.EVICTED, "another session of this user took over (code 1000)", 5.0)
        return super().closed(code, reason)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[int, list[str]] = {}
        wanted: dict[int, list[str]] = {}
        left: dict[int, list[str]] = {}
        for instrument, _, new in changes:
            key = _key_of(instrument)
            held = self._held.get(key) if key else None
            if key is None:
                self._refused.append(Rejected("no segment or no token of this broker", (instrument,)))
            elif held is not None and not _same(held.instrument, instrument):
                if new is not None:
                    self._refused.append(Rejected("its key is taken by another instrument", (instrument,)))
            elif new is None:
                if held is not None:
                    del self._held[key]
                    dropped.setdefault(held.wanted, []).append(key)
            elif held is None:
                self._held[key] = _Held(instrument, _family(new))
                wanted.setdefault(_family(new), []).append(key)
            elif held.wanted != _family(new):
                wanted.setdefault(_family(new), []).append(key)
                left.setdefault(held.wanted, []).append(key)
                held.memory[held.wanted] = None
                held.wanted = _family(new)
        # A change of mode takes the new stream before it gives up the old one.
        return [*_frames(_OFF, dropped), *_frames(_ON, wanted), *_frames(_OFF, left)]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        try:
            message = json_object(data)
            kind = message.get("t")
            if type(kind) is not str:
                raise BadValue("no type")
            family = _DATA.get(kind)
            if family is None:
                return self._other(kind, message)
            segment, token = message.get("e"), message.get("tk")
            if type(segment) is not str or type(token) is not str:
                segment, token = text(segment), text(token)
            if not segment or not token:
                raise BadValue("data without segment or token")
        except BadValue as problem:
            return [Malformed(str(problem))]
        held = self._held.get(f"{segment}|{token}")
        if held is None:
            return []
        memory = held.memory[family]
        if memory is None:
            memory = held.memory[family] = [None] * _PLACES
        return _tick(held.instrument, memory, family) if _merge(memory, message, _READ[family]) else []

    def _other(self, kind: str, message: dict[str, Any]) -> list[Event]:
        if kind in _QUIET:
            return [Alive()]
        if kind == "om":
            return [order_update(message)]
        if kind in _LOGIN:
            said = message.get("s", message.get("k"))
            if isinstance(said, str) and said.upper() == "OK":
                return [LoggedIn(), *self.order_subscription()]
            return [LoginFailed(Verdict(Cause.TOKEN, "the broker refused the login"))]
        raise BadValue("unknown type")


def frame(value: Mapping[str, str]) -> str:
    """JSON as the vendor's clients write it."""
    return json.dumps(value, separators=(",", ":"))


def _family(wish: Wish) -> int:
    return _BOOK if wish.mode is Mode.DEPTH else _TOUCH


def _key_of(instrument: Instrument) -> str | None:
    segment, token = segment_of(instrument), instrument.token
    return f"{segment}|{token}" if segment and token.isascii() and token.isalnum() else None


def _same(one: Instrument, other: Instrument) -> bool:
    return one.symbol == other.symbol and one.exchange == other.exchange


def _frames(tasks: Mapping[int, str], keys: Mapping[int, list[str]]) -> Iterable[str]:
    for family, wanted in sorted(keys.items()):
        for start in range(0, len(wanted), _KEYS):
            yield frame({"t": tasks[family], "k": "#".join(wanted[start : start + _KEYS])})


def _merge(
    memory: list[Any], message: Mapping[str, object], fields: Mapping[str, tuple[int, _Read, bool]]
) -> bool:
    """Take over what the message says; whether anything is known then."""
    find = fields.get
    for name, value in message.items():
        field = find(name)
        if field is not None:
            place, read, zero = field
            new = read(value)
            if new is not None and (new or zero or not memory[place]):
                memory[place] = new
    return memory.count(None) < _PLACES


def _tick(instrument: Instrument, memory: list[Any], family: int) -> list[Event]:
    clock, stamp = memory[_CLOCK], memory[_STAMP] or None
    traded = _dated(clock, stamp) if clock is not None and clock < _DAY else clock
    # Positional, in the order of the memory and of Tick's fields: this runs for every tick.
    fields = memory[:_LTT]
    fields += (traded, stamp)
    if family == _BOOK:
        fields.append(Depth(_side(memory, _BUY), _side(memory, _SELL)))
        return [Tick(instrument, Mode.DEPTH, *fields)]
    kind = Mode.LTP if fields[_QUOTE] == _NO_QUOTE else Mode.QUOTE
    return [Tick(instrument, kind, *fields)]


def _dated(clock: int, stamp: int | None) -> int | None:
    """A bare time of day on the Indian day of the feed's time, or on the one before."""
    if stamp is None:
        return None
    seconds = stamp // 1000
    moment = seconds - (seconds + _IST) % _DAY + clock
    if moment > seconds + 60:
        moment -= _DAY
    return moment * 1000


def _side(memory: list[Any], start: int) -> list[Level]:
    return [
        Level(price, memory[place + 5] or 0, memory[place + 10])
        for place in range(start, start + 5)
        if (price := memory[place]) is not None and 0 < price != _AT_OPEN
    ]
