"""Acme's stream: JSON text frames out, binary packets and JSON text frames in.

A binary frame is one packet after another. Integers are big-endian and unsigned, prices are in
paise, times are seconds since the epoch, 0 for none. ::

    u8 kind, u8 segment, u32 token, u32 ltp, u32 last trade time        kind 1
    ... u32 open, u32 high, u32 low, u32 close, u64 volume              kind 2
    ... 5 bids and 5 asks of u32 price, u32 quantity, u16 orders        kind 3

An index is never more than kind 2, and its volume means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from struct import Struct

import msgspec

from openalgo_ws.adapter import (
    Alive,
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
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["AcmeCodec"]

_SEGMENTS = {"NSE": 1, "BSE": 2, "NSEI": 3}
_MODES = {Mode.LTP: "ltp", Mode.QUOTE: "quote", Mode.DEPTH: "full"}
_PACKETS = {1: Struct(">BBIII"), 2: Struct(">BBIIIIIIIQ"), 3: Struct(">BBIIIIIIIQ" + "IIH" * 10)}

_EXPIRED = Verdict(Cause.TOKEN, "the token has expired")
_CLOSED = {4001: _EXPIRED, 4002: Verdict(Cause.TOO_MANY, "too many connections", 60.0)}


class _Message(msgspec.Struct):
    """A text frame of the server."""

    type: str
    code: str = ""
    keys: list[str] = []


_MESSAGE = msgspec.json.Decoder(_Message)


class AcmeCodec(FeedCodec):
    """One connection."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[tuple[int, int], Instrument] = {}
        self._keys: dict[str, Instrument] = {}

    def dial(self) -> Dial:
        return Dial(url="wss://stream.acme.example/v1")

    def opened(self) -> list[Send]:
        login = {name: self._credentials.get(name, "") for name in ("client", "token")}
        return [json.dumps({"op": "login", **login})]

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[str] = []
        wanted: dict[str, list[str]] = {}
        for instrument, old, new in changes:
            key = f"{instrument.brexchange}:{instrument.token}"
            if new is None:
                self._forget(key)
                dropped.append(key)
                continue
            self._keys[key] = instrument
            if instrument.token.isdecimal() and instrument.brexchange in _SEGMENTS:
                self._held[_SEGMENTS[instrument.brexchange], int(instrument.token)] = instrument
            if old is None or old.mode is not new.mode:
                wanted.setdefault(_MODES[new.mode], []).append(key)
        sends: list[Send] = []
        if dropped:
            sends.append(json.dumps({"op": "unsubscribe", "keys": dropped}))
        for mode, keys in wanted.items():
            sends.append(json.dumps({"op": "subscribe", "mode": mode, "keys": keys}))
        return sends

    def received(self, data: str | bytes) -> list[Event]:
        return self._text(data) if isinstance(data, str) else self._packets(data)

    def closed(self, code: int | None, reason: str) -> Verdict:
        return _CLOSED[code] if code in _CLOSED else super().closed(code, reason)

    def _text(self, data: str) -> list[Event]:
        try:
            message = _MESSAGE.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return [Malformed("not a message")]
        match message.type:
            case "heartbeat":
                return [Alive()]
            case "welcome":
                return [LoggedIn()]
            case "refused":
                return [LoginFailed(Verdict(Cause.TOKEN, "the broker refused the login"))]
            case "expired":
                return [Disconnect(_EXPIRED)]
            case "error":
                concerned = tuple(self._keys[key] for key in message.keys if key in self._keys)
                text = "the limit is reached" if message.code == "limit" else "unknown instrument"
                return [Rejected(text, concerned)]
        return [Malformed("no such type of message")]

    def _packets(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        place = 0
        while place < len(data):
            packet = _PACKETS.get(data[place])
            if packet is None or place + packet.size > len(data):
                # Where the next packet begins is unknown; what came before it counts.
                events.append(Malformed("no such packet, or a part of one"))
                break
            fields = packet.unpack_from(data, place)
            place += packet.size
            instrument = self._held.get((fields[1], fields[2]))
            # What was given up a moment ago may still be on its way.
            if instrument is not None:
                events.append(_tick(instrument, fields))
        return events

    def _forget(self, key: str) -> None:
        instrument = self._keys.pop(key, None)
        if instrument is not None and instrument.token.isdecimal():
            self._held.pop((_SEGMENTS.get(instrument.brexchange, 0), int(instrument.token)), None)


def _tick(instrument: Instrument, fields: tuple[int, ...]) -> Tick:
    kind, _, _, ltp, traded, *rest = fields
    tick = Tick(instrument, Mode(kind), ltp=ltp / 100, ltt=traded * 1000 if traded else None)
    if kind == 1:
        return tick
    tick.open, tick.high, tick.low, tick.close = (paise / 100 for paise in rest[:4])
    if instrument.is_index:
        tick.kind = Mode.QUOTE
        return tick
    tick.volume = rest[4]
    if kind == 3:
        levels = [
            Level(price / 100, quantity, orders)
            for price, quantity, orders in zip(rest[5::3], rest[6::3], rest[7::3], strict=True)
        ]
        # A level without quantity is none.
        buy, sell = ([one for one in side if one.quantity] for side in (levels[:5], levels[5:]))
        tick.depth = Depth(buy, sell)
    return tick
