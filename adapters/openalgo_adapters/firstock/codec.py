"""Firstock's feed V2: JSON objects of ``SEGMENT:TOKEN`` → fields, prices in paise.

Source: "Subscribe Feed V2" and firstock 1.2.11. What a message is follows from its members. All
modes get the same data, so one subscription serves them all. Whether messages are whole or partial
is not documented (single source: partial ones were seen): what is missing, or a sentinel near
2^63, is remembered, and every message gives one full tick of each instrument in it.

Speed: an LTP tick costs what a depth tick costs, since the broker sends (and we pass on) the whole book
in every mode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters._noren.orders import order_update, spelled
from openalgo_adapters.firstock.fields import BUY, FIELDS, PLACES, SELL, merge, taken_over, whole
from openalgo_ws.adapter import (
    Cause,
    Change,
    Dial,
    Disconnect,
    Environment,
    Event,
    FeedCodec,
    LoggedIn,
    LoginFailed,
    Malformed,
    Rejected,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Mode, Tick

__all__ = ["FirstockCodec"]

_SEGMENTS = {
    **{name: name for name in ("NSE", "BSE", "NFO", "BFO")},
    "NSE_INDEX": "NSE",
    "BSE_INDEX": "BSE",
}
#: Keys of one frame. (single source: our own choice, none is published.)
_KEYS = 100

_QUOTE = slice(1, 13)
_NO_QUOTE = [None] * 12


#: Anything else is at work, whatever the event (``reporttype``) says.
_STATUS = {
    "complete": "complete",
    "rejected": "rejected",
    "canceled": "cancelled",
    "cancelled": "cancelled",
    "amo canceled": "cancelled",
    "trigger pending": "trigger pending",
}


def _order_status(message: Mapping[str, Any]) -> str:
    return _STATUS.get(spelled(message.get("status")), "open")


class _Held:
    """A subscribed key: its instrument and what is known of it."""

    __slots__ = ("instrument", "memory")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.memory: list[Any] = [None] * PLACES


class FirstockCodec(FeedCodec):
    """One connection: ticks and order updates. The server speaks first."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[str, _Held] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        user, token = (quote(self._credentials.get(name, ""), safe="") for name in ("user_id", "susertoken"))
        # In force since 30 January 2026; the former path has no V2.
        return Dial(url=f"wss://socket.firstock.in/V2/ws?userId={user}&jKey={token}&source=developer-api")

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[str] = []
        wanted: list[str] = []
        for (instrument, _, new), key, held in keyed(changes, _key_of, self._held, self._refused):
            if new is None:
                if held is not None:
                    del self._held[key]
                    dropped.append(key)
            elif held is None:
                self._held[key] = _Held(instrument)
                wanted.append(key)
        return [*_frames("unsubscribe", dropped), *_frames("subscribe", wanted)]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            refused, self._refused = self._refused, []
            return refused + self.received(data)
        try:
            # What the decoder skips need not be UTF-8 for it.
            decoded = whole(data if isinstance(data, str) else data.decode())
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return self._carefully(data)
        events: list[Event] = []
        for key, fields in decoded.items():
            held = self._held.get(key)
            if held is None:
                # Taking over the same once more changes nothing.
                return self._carefully(data)
            if fields.gamma is UNSET and taken_over(held.memory, fields):
                events.append(_tick(held))
        return events if decoded else self._carefully(data)

    def _carefully(self, data: str | bytes) -> list[Event]:
        try:
            message = json_object(data)
            if "norenordno" in message:
                return [order_update(message, _order_status)]
        except BadValue as problem:
            return [Malformed(str(problem))]
        if "brkname" in message:
            return []
        if "status" in message and ("message" in message or len(message) <= 3):
            return [_answer(message)]
        if "c_symbol" in message and "c_exch_seg" in message:
            return self._flat(message)
        events: list[Event] = []
        unknown = True
        for key, fields in message.items():
            if ":" in key:
                unknown = False
                self._instrument(key, fields, events)
        return [Malformed("an object of unknown form")] if unknown else events

    def _flat(self, message: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        try:
            key = f"{text(message['c_exch_seg'])}:{text(message['c_symbol'])}"
        except BadValue as problem:
            return [Malformed(str(problem))]
        self._instrument(key, message, events)
        return events

    def _instrument(self, key: str, fields: object, events: list[Event]) -> None:
        held = self._held.get(key)
        if held is None or type(fields) is not dict:
            segment, _, token = key.partition(":")
            if not segment or not token or not isinstance(fields, dict):
                events.append(Malformed("a key without segment or token, or no object under it"))
            return
        # Greeks have a message of their own.
        if "gamma" not in fields and merge(held.memory, fields):
            events.append(_tick(held))


def _key_of(instrument: Instrument) -> str | None:
    segment = _SEGMENTS.get(instrument.brexchange) or _SEGMENTS.get(instrument.exchange)
    token = instrument.token
    return f"{segment}:{token}" if segment and token.isascii() and token.isalnum() else None


def _frames(action: str, keys: Sequence[str]) -> list[Send]:
    return [
        json.dumps({"action": action, "tokens": "|".join(keys[start : start + _KEYS])}, separators=(",", ":"))
        for start in range(0, len(keys), _KEYS)
    ]


def _answer(message: Mapping[str, object]) -> Event:
    """The first message of the server, or an error later on."""
    status, said = message.get("status"), message.get("message")
    if status == "success":
        return LoggedIn()
    words = said.lower() if isinstance(said, str) else ""
    if "unauthenticated" in words:
        return LoginFailed(Verdict(Cause.TOKEN, "the broker refused the token"))
    if "maximum sessions limit" in words:
        return Disconnect(Verdict(Cause.TOO_MANY, "too many sockets of this user", 60.0))
    return Rejected("the broker reports an error")


def _tick(held: _Held) -> Tick:
    memory = held.memory
    buy, sell = memory[BUY], memory[SELL]
    # Positional, in the order of the memory and of Tick's fields: this runs for every tick.
    fields = memory[:FIELDS]
    if buy is not None or sell is not None:
        # Copies, because the next tick may carry the same sides.
        fields.append(Depth(list(buy or ()), list(sell or ())))
        return Tick(held.instrument, Mode.DEPTH, *fields)
    kind = Mode.LTP if fields[_QUOTE] == _NO_QUOTE else Mode.QUOTE
    return Tick(held.instrument, kind, *fields)
