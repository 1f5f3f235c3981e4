"""Kite's ticker: JSON text frames out, binary packets and JSON text frames in.

Source: Kite Connect v3, "WebSocket streaming", and the official SDKs (pykiteconnect 5.2 is the
authority where they differ). All integers are big-endian and unsigned.

A message is ``u16 count`` and then ``u16 length, packet`` for each packet. The length alone says
what a packet is, not the mode that was asked for: just after a change of mode the old packets
still come. ::

    8    token, ltp
    28   index:  token, ltp, high, low, open, close, change
    32   index:  the same, exchange timestamp
    44   token, ltp, last quantity, average price, volume, total buy, total sell, open, high, low, close
    184  the same, last trade time, oi, oi high, oi low, exchange timestamp, then 5 bids and 5 asks of
         u32 quantity, u32 price, u16 orders, 2 bytes of nothing

Index and stock packets have their OHLC in different orders. A message of a single byte is the
server's heartbeat.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple
from urllib.parse import urlencode

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, integer, json_object, text
from openalgo_ws.adapter import (
    Alive,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Order,
    OrderUpdate,
    Rejected,
    Send,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["KiteCodec"]

_MODE = {Mode.LTP: "ltp", Mode.QUOTE: "quote", Mode.DEPTH: "full"}

# Unsigned. (conflict: the documentation says int32; volumes above 2^31 occur.) The peer knows three of the
# packets only. (conflict.)
_U16 = Struct(">H")
_LTP = Struct(">2I")
_INDEX = Struct(">6I4x")
_INDEX_FULL = Struct(">6I4xI")
_QUOTE = Struct(">11I")
_FULL = Struct(">13I8xI" + "IIH2x" * 10)

#: Price divisor by the low byte of the token. (conflict: some SDKs and the peer divide NCO, or
#: everything, by 100; 10,000 for NCO was verified by the maintainers on live values.)
_DIVISOR = {3: 10_000_000, 6: 10_000, 12: 10_000}
#: CDS prices have finer units than the four decimals that mean something.
_CDS = 3
_CDS_DECIMALS = 4

_STATUS = {
    "COMPLETE": "complete",
    "REJECTED": "rejected",
    "CANCELLED": "cancelled",
    "CANCELLED AMO": "cancelled",
    "TRIGGER PENDING": "trigger pending",
}


class _Held(NamedTuple):
    """A subscribed token. Dividing by a power of ten gives the nearest float to the decimal, so
    only what has more digits than we emit (``rounded``) needs `round` as well."""

    instrument: Instrument
    divisor: float
    rounded: bool


class KiteCodec(FeedCodec):
    """One connection to Kite's ticker, for ticks and for the user's order updates."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[int, _Held] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        query = urlencode({name: self._credentials.get(name, "") for name in ("api_key", "access_token")})
        # A token that died, at 06:00 in India, gets HTTP 403 (conflict: the peer says 03:00), and so does
        # an app without market data (single source).
        return Dial(url=f"wss://ws.kite.trade?{query}", headers={"X-Kite-Version": "3"})

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[int] = []
        wanted: dict[str, list[int]] = {}
        for instrument, old, new in changes:
            token = _token(instrument)
            if token is None:
                self._refused.append(Rejected("the token is not a number", (instrument,)))
            elif new is None:
                if self._held.pop(token, None) is not None:
                    dropped.append(token)
            else:
                segment = token & 0xFF
                self._held[token] = _Held(instrument, _DIVISOR.get(segment, 100), segment == _CDS)
                if old is None or old.mode is not new.mode:
                    wanted.setdefault(_MODE[new.mode], []).append(token)
        sends: list[Send] = []
        if dropped:
            sends.append(_frame("unsubscribe", dropped))
        for mode, tokens in wanted.items():
            sends.append(_frame("subscribe", tokens))
            # (single source: the mode frame alone would do, also for a new token.)
            sends.append(_frame("mode", [mode, tokens]))
        return sends

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return self._text(data)
        if len(data) < 2:
            return [Alive()]
        return self._packets(data)

    def _packets(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        held, packets, length_at = self._held, _PACKETS, _U16.unpack_from
        end = len(data)
        offset = 2
        for _ in range(length_at(data)[0]):
            start = offset + 2
            if start > end:
                events.append(Malformed("fewer packets than the message declares"))
                break
            (length,) = length_at(data, offset)
            offset = start + length
            if offset > end:
                events.append(Malformed("a packet runs past the end of its message"))
                break
            packet = packets.get(length)
            if packet is None:
                events.append(Malformed(f"a packet of {length} bytes"))
                continue
            unpack, make, prices = packet
            values = unpack(data, start)
            known = held.get(values[0])
            if known is not None:
                instrument, divisor, rounded = known
                if rounded:
                    events.append(make(instrument, _round(values, prices), 1.0))
                else:
                    events.append(make(instrument, values, divisor))
        return events

    def _text(self, data: str) -> list[Event]:
        try:
            message = json_object(data)
            kind = message.get("type")
            if kind == "order":
                return [self._order(message.get("data"))]
        except BadValue as problem:
            return [Malformed(f"text frame: {problem}")]
        if kind == "error":
            said = message.get("data")
            return [Rejected(said if isinstance(said, str) else "the broker reports an error")]
        # (unconfirmed: instruments_meta, after the open.)
        # Notices, and types that are not known: nothing for us, but a sign of life.
        return [Alive()]

    def _order(self, data: object) -> OrderUpdate:
        if not isinstance(data, dict):
            raise BadValue("an order that is no object")
        orderid = text(data.get("order_id"))
        if not orderid:
            raise BadValue("an order without its id")
        token = data.get("instrument_token")
        known = self._held.get(token) if isinstance(token, int) else None
        status = order_status(data.get("status"), _STATUS)
        order = Order(
            orderid=orderid,
            symbol=known.instrument.symbol if known else text(data.get("tradingsymbol")),
            exchange=text(data.get("exchange")),
            action=text(data.get("transaction_type")),
            quantity=quantity(data.get("quantity")),
            price=price(data.get("price")),
            trigger_price=price(data.get("trigger_price")),
            pricetype=text(data.get("order_type")),
            product=text(data.get("product")),
            order_status=status,
            filled_quantity=quantity(data.get("filled_quantity")),
            pending_quantity=quantity(data.get("pending_quantity"))
            or quantity(data.get("unfilled_quantity")),
            average_price=price(data.get("average_price")),
            rejection_reason=text(data.get("status_message")) if status == "rejected" else "",
        )
        return OrderUpdate(order, token="" if token is None else str(integer(token)))


def _token(instrument: Instrument) -> int | None:
    token = instrument.token
    if token.isascii() and token.isdigit() and len(token) <= 10 and int(token) < 1 << 32:
        return int(token)
    return None


def _frame(action: str, value: object) -> str:
    return json.dumps({"a": action, "v": value}, separators=(",", ":"))


def _round(values: Sequence[int], prices: Sequence[int]) -> list[Any]:
    rounded: list[Any] = list(values)
    for place in prices:
        rounded[place] = round(rounded[place] / _DIVISOR[_CDS], _CDS_DECIMALS)
    return rounded


# The five packets. Positional construction: these run for every tick. The first value is the token.


def _ltp(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    return Tick(instrument, Mode.LTP, v[1] / d)


def _index(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    _, ltp, high, low, open_, close = v
    return Tick(instrument, Mode.QUOTE, ltp / d, open_ / d, high / d, low / d, close / d)


def _index_full(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    tick = _index(instrument, v[:6], d)
    tick.exchange_timestamp = v[6] * 1000 or None
    return tick


def _quote(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    _, ltp, last, average, volume, buy, sell, open_, high, low, close = v
    return Tick(
        instrument,
        Mode.QUOTE,
        ltp / d,
        open_ / d,
        high / d,
        low / d,
        close / d,
        volume,
        last,
        average / d,
        buy,
        sell,
    )


# fmt: off
def _full(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    (_, ltp, last, average, volume, buy, sell, open_, high, low, close, ltt, oi, stamp,
     q0, p0, o0, q1, p1, o1, q2, p2, o2, q3, p3, o3, q4, p4, o4,
     q5, p5, o5, q6, p6, o6, q7, p7, o7, q8, p8, o8, q9, p9, o9) = v
    return Tick(
        instrument, Mode.DEPTH, ltp / d, open_ / d, high / d, low / d, close / d,
        volume, last, average / d, buy, sell, oi, None, None,
        ltt * 1000 or None, stamp * 1000 or None,
        Depth(
            [Level(p0 / d, q0, o0), Level(p1 / d, q1, o1), Level(p2 / d, q2, o2),
             Level(p3 / d, q3, o3), Level(p4 / d, q4, o4)],
            [Level(p5 / d, q5, o5), Level(p6 / d, q6, o6), Level(p7 / d, q7, o7),
             Level(p8 / d, q8, o8), Level(p9 / d, q9, o9)],
        ),
    )
# fmt: on


_Unpack = Callable[[bytes, int], tuple[Any, ...]]
_Make = Callable[[Instrument, Sequence[Any], float], Tick]

#: By length: how to unpack, what to make of it, and where its prices stand (for `_round`).
_PACKETS: dict[int, tuple[_Unpack, _Make, tuple[int, ...]]] = {
    8: (_LTP.unpack_from, _ltp, (1,)),
    28: (_INDEX.unpack_from, _index, (1, 2, 3, 4, 5)),
    32: (_INDEX_FULL.unpack_from, _index_full, (1, 2, 3, 4, 5)),
    44: (_QUOTE.unpack_from, _quote, (1, 3, 7, 8, 9, 10)),
    184: (_FULL.unpack_from, _full, (1, 3, 7, 8, 9, 10, *range(15, 44, 3))),
}
