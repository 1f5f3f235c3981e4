"""Arrow's market data: JSON text out, one binary packet per message in.

Source: the official SDKs (pyarrow-client 1.8.0, go-arrow) and Arrow's documentation. Integers are
big-endian and unsigned, prices are paise, times are seconds since the epoch, UTC.

The length alone says what a packet is. ::

    13   token, ltp, change (5 bytes)
    17   the same, previous close
    93   the head of 13, last quantity, average price, total buy, total sell, open, high, close, low,
         volume, last trade time, exchange time, oi, oi high, oi low
    249  the same, lower and upper circuit, 8 bytes of nothing, then 5 bids and 5 asks of
         u64 quantity, u32 price, u16 orders
    241  the same without those 8 bytes, as older servers send it

The close stands before the low. From the closing auction on, every packet has 16 bytes more, which
are about the auction and in no tick. A message shorter than 13 bytes is the server's heartbeat.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue, json_object
from openalgo_adapters.arrow.wire import PONG, dial, refusal
from openalgo_ws.adapter import (
    Alive,
    Change,
    Dial,
    Disconnect,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Rejected,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["MarketCodec"]

#: Our LTP is their "ltpc": the previous close comes along.
_MODE = {Mode.LTP: "ltpc", Mode.QUOTE: "quote", Mode.DEPTH: "full"}
#: Tokens of one frame. (Nothing is documented: 512 were seen to work, the peer sends 100.)
_PER_FRAME = 100

# Of each, five bytes and more are passed over: among them the change in percent. (conflict: the
# documentation calls it a change of price.)
_SHORTEST = 13
_QUOTE_FIELDS = "II5xIIQQIIIIQIIQ16x"
_LTP = Struct(">II5x")
_LTPC = Struct(">II5xI")
_QUOTE = Struct(">" + _QUOTE_FIELDS)
_FULL = Struct(">" + _QUOTE_FIELDS + "II8x" + "QIH" * 10)
_OLD_FULL = Struct(">" + _QUOTE_FIELDS + "II" + "QIH" * 10)
#: What the closing auction appends to any packet.
_TRAILER = 16

#: Paise per rupee. (conflict: the instrument file gives currencies and NCO four decimals; the peer
#: divides them by 100 too.) A division by a power of ten gives the float nearest to the decimal.
_UNITS = 100


class _Held(NamedTuple):
    instrument: Instrument


class MarketCodec(FeedCodec):
    """One connection to the market's stream."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[int, _Held] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        return dial("ds.arrow.trade", self._credentials)

    def heartbeat(self) -> Send:
        return PONG

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[Mode, list[int]] = {}
        wanted: dict[Mode, list[int]] = {}
        # No exchange travels, so of two instruments with one number the packets can't be told apart.
        ours = keyed(
            changes,
            _number,
            self._held,
            self._refused,
            keyless="the token is not a number",
            taken="another instrument with this token is subscribed",
        )
        for (instrument, old, new), token, _ in ours:
            if new is None:
                self._held.pop(token, None)
            else:
                self._held[token] = _Held(instrument)
                if old is not None and old.mode is new.mode:
                    continue
                wanted.setdefault(new.mode, []).append(token)
            # (unconfirmed: whether a token in two modes is sent twice. A richer mode takes the
            # place of the poorer one, a poorer one can't while the richer is still asked for.)
            if old is not None and (new is None or new.mode < old.mode):
                dropped.setdefault(old.mode, []).append(token)
        sends: list[Send] = []
        for code, table in (("unsub", dropped), ("sub", wanted)):
            for mode, tokens in table.items():
                sends += _frames(code, _MODE[mode], tokens)
        return sends

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return [_said(data)]
        length = len(data)
        if length < _SHORTEST:
            return [Alive()]
        packet = _PACKETS.get(length)
        if packet is None:
            return [Malformed(f"a packet of {length} bytes")]
        unpack, make = packet
        values = unpack(data)
        held = self._held.get(values[0])
        return [] if held is None else [make(held.instrument, values)]

    # The end

    def closed(self, code: int | None, reason: str) -> Verdict:
        return refusal(reason) or super().closed(code, reason)


def _number(instrument: Instrument) -> int | None:
    """Its number on the wire."""
    token = instrument.token
    if not (token.isascii() and token.isdigit() and len(token) <= 10):
        return None
    return int(token) if int(token) < 1 << 32 else None


def _frames(code: str, mode: str, tokens: Sequence[int]) -> list[Send]:
    return [
        json.dumps({"code": code, "mode": mode, mode: tokens[start : start + _PER_FRAME]})
        for start in range(0, len(tokens), _PER_FRAME)
    ]


def _said(data: str) -> Event:
    """What a text frame means. (single source: the server usually sends none.)"""
    try:
        message = json_object(data)
    except BadValue:
        return Alive()
    status, said = message.get("status"), message.get("message")
    if not isinstance(status, str) or status.lower() not in ("error", "failure"):
        return Alive()
    said = said if isinstance(said, str) else ""
    verdict = refusal(said)
    return Rejected(said[:200] or "the broker reports an error") if verdict is None else Disconnect(verdict)


# The packets. Positional construction and plain arithmetic: these run for every tick.


def _ltp(instrument: Instrument, v: Sequence[Any]) -> Tick:
    return Tick(instrument, Mode.LTP, v[1] / _UNITS)


def _ltpc(instrument: Instrument, v: Sequence[Any]) -> Tick:
    return Tick(instrument, Mode.LTP, v[1] / _UNITS, None, None, None, v[2] / _UNITS)


# fmt: off
def _quote(instrument: Instrument, v: Sequence[Any]) -> Tick:
    _, ltp, last, average, buy, sell, open_, high, close, low, volume, ltt, stamp, oi = v
    d = _UNITS
    return Tick(
        instrument, Mode.QUOTE, ltp / d, open_ / d, high / d, low / d, close / d,
        volume, last, average / d, buy, sell, oi, None, None, ltt * 1000 or None, stamp * 1000 or None,
    )


def _full(instrument: Instrument, v: Sequence[Any]) -> Tick:
    (_, ltp, last, average, buy, sell, open_, high, close, low, volume, ltt, stamp, oi, lower, upper,
     q0, p0, o0, q1, p1, o1, q2, p2, o2, q3, p3, o3, q4, p4, o4,
     q5, p5, o5, q6, p6, o6, q7, p7, o7, q8, p8, o8, q9, p9, o9) = v
    d = _UNITS
    return Tick(
        instrument, Mode.DEPTH, ltp / d, open_ / d, high / d, low / d, close / d,
        volume, last, average / d, buy, sell, oi, upper / d, lower / d,
        ltt * 1000 or None, stamp * 1000 or None,
        Depth(
            [Level(p0 / d, q0, o0), Level(p1 / d, q1, o1), Level(p2 / d, q2, o2),
             Level(p3 / d, q3, o3), Level(p4 / d, q4, o4)],
            [Level(p5 / d, q5, o5), Level(p6 / d, q6, o6), Level(p7 / d, q7, o7),
             Level(p8 / d, q8, o8), Level(p9 / d, q9, o9)],
        ),
    )
# fmt: on


_Unpack = Callable[[bytes], tuple[Any, ...]]
_Make = Callable[[Instrument, Sequence[Any]], Tick]


def _packets() -> dict[int, tuple[_Unpack, _Make]]:
    """By length: how to unpack a packet, with or without the trailer, and what to make of it."""
    table: dict[int, tuple[_Unpack, _Make]] = {}
    for layout, make in ((_LTP, _ltp), (_LTPC, _ltpc), (_QUOTE, _quote), (_FULL, _full), (_OLD_FULL, _full)):
        table[layout.size] = layout.unpack, make
        if layout is not _OLD_FULL:
            table[layout.size + _TRAILER] = layout.unpack_from, make
    return table


_PACKETS = _packets()
