"""Pocketful's feed: JSON text out, one binary packet per message in.

Source: the official SDK (pocketful 0.1.2), and older SDKs of the same vendor's platform for what it
leaves open. Integers are big-endian and unsigned, prices are hundredths, times are seconds since the
epoch, UTC.

The first byte says what a packet is; the exchange's code and the token follow. ::

    1   102  ltp, last trade time, last quantity, volume, best bid and ask, total buy, total sell,
             average price, exchange time, open, high, low, close, 52 weeks, lower and upper circuit, oi
    2   42   ltp, change, last trade time, lower and upper circuit, oi, best prices
    4   166  five numbers of buyers, bid prices, bid quantities, the same of the sellers, average
             price, open, high, low, close, total buy, total sell, volume
    50  51   an order, a trade: four bytes of nothing, then JSON

A book comes without a last price, so a book is asked for together with packet 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple
from urllib.parse import quote

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue, json_object, json_value
from openalgo_adapters.pocketful.orders import order_update
from openalgo_ws.adapter import (
    Alive,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Rejected,
    Send,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["FeedSocket", "OrderSocket"]

_EXCHANGE_CODES = {
    "NSE": 1,
    "NSE_INDEX": 1,
    "NFO": 2,
    "CDS": 3,
    "MCX": 4,
    "BSE": 6,
    "BSE_INDEX": 6,
    "BFO": 7,
}
_CDS = 3

#: The streams that a mode takes, in the order in which they are asked for. Each stands alone.
_STREAMS = {
    Mode.LTP: ("compact_marketdata",),
    Mode.QUOTE: ("marketdata",),
    Mode.DEPTH: ("marketdata", "full_snapquote"),
}
_ALL_STREAMS = ("compact_marketdata", "marketdata", "full_snapquote")

#: (conflict: the peer sends the first member alone, every 15 s; both are taken.)
_HEARTBEAT = json.dumps({"a": "h", "v": [], "m": ""})

#: Units per rupee. (single source: the currencies', in sister SDKs.)
_UNITS = 100.0
_CURRENCY_UNITS = 10_000_000.0
_CURRENCY_DECIMALS = 4

_ORDERS = frozenset({50, 51})
_ORDER_HEAD = 5
#: Packets of the family that are none of ours. (single source.)
_OTHERS = frozenset({3, 5, 6, 7, 8, 9, 10})

#: All of RFC 3986 that doesn't end a value. The broker's clients quote nothing.
_PLAIN = "!$'()*,;:@/?=+"


class _Held(NamedTuple):
    instrument: Instrument
    #: None for hundredths: dividing by a power of ten then gives the float nearest to the decimal.
    decimals: int | None


class PocketfulSocket(FeedCodec):
    """What the two uses of the socket have in common: ticks for one, orders for the other."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[tuple[int, int], _Held] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        login, token = (
            quote(self._credentials.get(name, ""), safe=_PLAIN) for name in ("client_id", "access_token")
        )
        # (conflict: older clients and the peer have trade.pocketful.in.)
        return Dial(url=f"wss://algo.pocketful.in/ws/v1/feeds?login_id={login}&access_token={token}")

    def heartbeat(self) -> Send:
        return _HEARTBEAT

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return [_said(data)]
        if not data:
            return [Malformed("an empty message")]
        kind = data[0]
        packet = _PACKETS.get(kind)
        if packet is None:
            return _other(kind, data)
        unpack, length, make = packet
        if len(data) < length:
            return [Malformed(f"a packet of kind {kind} is cut short")]
        values = unpack(data)
        known = self._held.get(values[:2])
        if known is None:
            return []
        instrument, decimals = known
        tick = make(instrument, values, _UNITS if decimals is None else _CURRENCY_UNITS)
        if decimals is not None:
            _round(tick, decimals)
        return [tick]


class FeedSocket(PocketfulSocket):
    """One connection for ticks."""

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[str, list[list[int]]] = {}
        wanted: dict[str, list[list[int]]] = {}
        # Shares and indices have one code: if they shared a token too, packets couldn't be told apart.
        ours = keyed(
            changes,
            _key_of,
            self._held,
            self._refused,
            keyless="the broker does not stream this instrument",
            taken="the token is no key of its own",
        )
        for (instrument, old, new), key, _ in ours:
            if new is None:
                self._held.pop(key, None)
            else:
                self._held[key] = _Held(instrument, _CURRENCY_DECIMALS if key[0] == _CDS else None)
            before = () if old is None else _STREAMS[old.mode]
            after = () if new is None else _STREAMS[new.mode]
            for stream in before:
                if stream not in after:
                    dropped.setdefault(stream, []).append(list(key))
            for stream in after:
                if stream not in before:
                    wanted.setdefault(stream, []).append(list(key))
        return [
            json.dumps({"a": action, "v": table[stream], "m": stream})
            for action, table in (("unsubscribe", dropped), ("subscribe", wanted))
            for stream in _ALL_STREAMS
            if stream in table
        ]


class OrderSocket(PocketfulSocket):
    """One connection for order updates, which have to be asked for."""

    def opened(self) -> list[Send]:
        who = [self._credentials.get("client_id", ""), "web"]
        return [json.dumps({"a": "subscribe", "v": who, "m": "updates"})]

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []


def _said(data: str) -> Event:
    """Text is nothing to us, except for an error."""
    try:
        message = json_object(data)
    except BadValue:
        return Alive()
    if "error" not in message:
        return Alive()
    said = message["error"]
    return Rejected(said[:200] if isinstance(said, str) and said else "the broker reports an error")


def _other(kind: int, data: bytes) -> list[Event]:
    if kind in _ORDERS:
        try:
            return [order_update(json_value(data[_ORDER_HEAD:]))]
        except BadValue as problem:
            return [Malformed(f"order update: {problem}")]
    return [Alive()] if kind in _OTHERS else [Malformed(f"a packet of the unknown kind {kind}")]


def _round(tick: Tick, decimals: int) -> None:
    """Currencies come in finer units than the decimals that mean something."""
    for name in _PRICES:
        value = getattr(tick, name)
        if value is not None:
            setattr(tick, name, round(value, decimals))
    if tick.depth is not None:
        for level in (*tick.depth.buy, *tick.depth.sell):
            level.price = round(level.price, decimals)


_PRICES = ("ltp", "open", "high", "low", "close", "avg_trade_price", "upper_circuit", "lower_circuit")


# The packets. Positional construction and plain arithmetic: these run for every tick.

# (single source: sister SDKs, for times in UTC.)
_DETAILED = Struct(">xBI4I16x2Q6I8x3I4x")
_COMPACT = Struct(">xBII4x4I12x")
_SNAPQUOTE = Struct(">xBI30I5I2QI")


# fmt: off
def _detailed(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    (_, _, ltp, ltt, last, volume, buy, sell, average, stamp, open_, high, low, close,
     lower, upper, oi) = v
    return Tick(
        instrument, Mode.QUOTE, ltp / d, open_ / d, high / d, low / d, close / d,
        volume, last, average / d, buy, sell, oi, upper / d or None, lower / d or None,
        ltt * 1000 or None, stamp * 1000 or None,
    )


def _compact(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    _, _, ltp, ltt, lower, upper, oi = v
    return Tick(
        instrument, Mode.LTP, ltp / d, None, None, None, None, None, None, None, None, None,
        oi, upper / d or None, lower / d or None, ltt * 1000 or None,
    )


def _snapquote(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    average, open_, high, low, close, buy, sell, volume = v[32:]
    return Tick(
        instrument, Mode.DEPTH, None, open_ / d, high / d, low / d, close / d,
        volume, None, average / d, buy, sell, None, None, None, None, None,
        Depth(_side(v[2:7], v[7:12], v[12:17], d), _side(v[17:22], v[22:27], v[27:32], d)),
    )
# fmt: on


def _side(counts: Sequence[int], prices: Sequence[int], quantities: Sequence[int], d: float) -> list[Level]:
    """One side of a book, without its empty levels."""
    return [
        Level(price / d, quantity, orders)
        for orders, price, quantity in zip(counts, prices, quantities, strict=True)
        if price or quantity
    ]


_Unpack = Callable[[bytes], tuple[Any, ...]]
_Make = Callable[[Instrument, Sequence[Any], float], Tick]

#: By the first byte: how to unpack, the least length, and what to make of it.
_PACKETS: dict[int, tuple[_Unpack, int, _Make]] = {
    1: (_DETAILED.unpack_from, _DETAILED.size, _detailed),
    2: (_COMPACT.unpack_from, _COMPACT.size, _compact),
    4: (_SNAPQUOTE.unpack_from, _SNAPQUOTE.size, _snapquote),
}


def _key_of(instrument: Instrument) -> tuple[int, int] | None:
    """The exchange's code and the token."""
    code = _EXCHANGE_CODES.get(instrument.exchange)
    token = instrument.token
    if code is None or not (token.isascii() and token.isdigit() and len(token) <= 10):
        return None
    return (code, int(token)) if int(token) < 1 << 32 else None
