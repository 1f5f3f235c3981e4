"""Noren's WebSocket: one JSON object per text message, both ways.

Source: NorenRestApiOAuth 0.0.41 and the brokers' documents. Values are decimal strings, prices in
rupees. ``tk``/``dk`` are snapshots of touchline and depth, ``tf``/``df`` the fields that changed;
each of the families touchline, depth and LTP (``lk``/``lf``) has a memory of its own per key
``SEGMENT|TOKEN``, and every data frame gives one full tick of what its family remembers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters._noren.fields import (
    BOOK,
    BUY,
    CLOCK,
    DATA,
    DAY,
    PLACES,
    QUOTE,
    SELL,
    STAMP,
    TOUCH,
    merge,
    taken_over,
    whole,
)
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

_ON = {TOUCH: "t", BOOK: "d"}
_OFF = {TOUCH: "u", BOOK: "ud"}

_LOGIN = frozenset({"ak", "ck", "cf"})
# hk and h: an answer to a heartbeat, whose time nothing depends on. (conflict: its name.)
_QUIET = frozenset({"uk", "udk", "ulk", "upk", "ok", "uok", "pk", "hk", "h", "pm", "am", "rm", "ms"})

_NO_QUOTE = [None] * (QUOTE - 1)
#: Orders at the open, in the pre-open session, stand in the book at this price (2^32 − 1 paise).
_AT_OPEN = 42949672.95
_IST = 19_800


def segment_of(instrument: Instrument) -> str | None:
    """The stream's segment of an instrument; None if there is none."""
    return SEGMENTS.get(instrument.brexchange) or SEGMENTS.get(instrument.exchange)


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
        for (instrument, _, new), key, held in keyed(changes, _key_of, self._held, self._refused):
            if new is None:
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
        decoded = whole(data)
        if decoded is not None:
            family, segment, token, values = decoded
            held = self._held.get(f"{segment}|{token}")
            if held is not None:
                memory = held.memory[family] = taken_over(held.memory[family] or _nothing(family), values)
                return _tick(held.instrument, memory, family)
        try:
            return self._carefully(data)
        except BadValue as problem:
            return [Malformed(str(problem))]

    def _carefully(self, data: str | bytes) -> list[Event]:
        message = json_object(data)
        kind = message.get("t")
        if type(kind) is not str:
            raise BadValue("no type")
        family = DATA.get(kind)
        if family is None:
            return self._other(kind, message)
        segment, token = text(message.get("e")), text(message.get("tk"))
        if not segment or not token:
            raise BadValue("data without segment or token")
        held = self._held.get(f"{segment}|{token}")
        if held is None:
            return []
        memory = held.memory[family]
        if memory is None:
            memory = held.memory[family] = _nothing(family)
        merge(memory, message, family)
        return _tick(held.instrument, memory, family)

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
    return BOOK if wish.mode is Mode.DEPTH else TOUCH


def _key_of(instrument: Instrument) -> str | None:
    segment, token = segment_of(instrument), instrument.token
    return f"{segment}|{token}" if segment and token.isascii() and token.isalnum() else None


def _frames(tasks: Mapping[int, str], keys: Mapping[int, list[str]]) -> Iterable[str]:
    for family, wanted in sorted(keys.items()):
        for start in range(0, len(wanted), _KEYS):
            yield frame({"t": tasks[family], "k": "#".join(wanted[start : start + _KEYS])})


def _nothing(family: int) -> list[Any]:
    return [None] * PLACES[family]


def _tick(instrument: Instrument, memory: list[Any], family: int) -> list[Event]:
    """One full tick, once anything is known."""
    if memory.count(None) == len(memory):
        return []
    clock, stamp = memory[CLOCK], memory[STAMP] or None
    traded = _dated(clock, stamp) if clock is not None and clock < DAY else clock
    # Positional, in the order of the memory and of Tick's fields: this runs for every tick.
    fields = memory[:QUOTE]
    fields += (traded, stamp)
    if family == BOOK:
        fields.append(Depth(_side(memory, BUY), _side(memory, SELL)))
        return [Tick(instrument, Mode.DEPTH, *fields)]
    kind = Mode.LTP if fields[1:QUOTE] == _NO_QUOTE else Mode.QUOTE
    return [Tick(instrument, kind, *fields)]


def _dated(clock: int, stamp: int | None) -> int | None:
    """A bare time of day on the Indian day of the feed's time, or on the one before."""
    if stamp is None:
        return None
    seconds = stamp // 1000
    moment = seconds - (seconds + _IST) % DAY + clock
    if moment > seconds + 60:
        moment -= DAY
    return moment * 1000


def _side(memory: list[Any], start: int) -> list[Level]:
    return [
        Level(price, memory[place + 5] or 0, memory[place + 10])
        for place in range(start, start + 5)
        if (price := memory[place]) is not None and 0 < price != _AT_OPEN
    ]
