"""mStock's ticker (Type B): JSON text frames out, binary packets in.

Source: mStock's documentation, "Market Data WebSocket" (Type B), and the official SDK
(mStock-TradingApi-B 1.0.5). All values are little-endian and unsigned; the length says what a
packet is::

    51   LTP    u8 mode, u8 exchange type, 25 bytes token, u64 sequence, u64 time, u64 ltp
    123  quote  the same, u64 last quantity, average price, volume, f64 total buy, total sell,
                u64 open, high, low, close
    379  snap   the same, u64 last trade time, oi, 8 bytes of change in oi, 10 levels (5 bids,
                5 asks) of u16 flag, u64 quantity, u64 price, u16 orders, u64 upper, lower
                circuit, 16 bytes of yearly range

A message is one packet, or ``u16 count, u16 size`` and then that many packets. Times are seconds
since 1980 on an Indian clock, prices are paise. Each packet stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from struct import Struct
from typing import Any

from openalgo_adapters._common.values import BadValue, json_object, total
from openalgo_adapters.mstock.orders import order_update
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Rejected,
    Reply,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["TickerCodec"]

#: (single source: 5 for MCX is the peer's assumption. For BCD and NCDEX no code is known.)
_TYPES = {
    "NSE": 1,
    "NSE_INDEX": 1,
    "NFO": 2,
    "BSE": 3,
    "BSE_INDEX": 3,
    "BFO": 4,
    "MCX": 5,
    "CDS": 13,
}
_MODES = {Mode.LTP: 1, Mode.QUOTE: 2, Mode.DEPTH: 3}
#: What the SDK sends when it unsubscribes, whatever the mode was. (conflict: the documentation
#: leaves it out, the peer repeats the mode. The server can't care.)
_ANY_MODE = 2
#: Tokens of one request; the broker names no limit.
_PER_REQUEST = 100

_TOKEN_BYTES = 25
#: Messages of so few bytes are the server's heartbeat.
_HEARTBEAT = 4
_HEADER = Struct("<2H")

#: From the feed's clock to the epoch. (single source: that it shows Indian time.)
_EPOCH = 315_532_800 - 19_800
#: A feed's second beyond this, which is 36,000 years away, is no time.
_NO_TIME = 1 << 40

#: A socket that closes so soon, without any data, didn't like the login.
_ON_PROBATION = 12.0


class TickerCodec(FeedCodec):
    """One connection to ws.mstock.trade, for ticks and for the user's order updates."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._environment = environment
        self._held: dict[bytes, tuple[Instrument, int]] = {}
        self._refused: list[Event] = []
        self._opened_at: float | None = None
        self._answered = False
        self._trusted = False

    def dial(self) -> Dial:
        token, key = (self._credentials.get(name, "") for name in ("access_token", "api_key"))
        # The SDK doesn't percent-encode, and a token has nothing to encode.
        return Dial(url=f"wss://ws.mstock.trade?ACCESS_TOKEN={token}&API_KEY={key}")

    def opened(self) -> list[Send]:
        self._opened_at = self._environment.now()
        return [f"LOGIN:{self._credentials.get('access_token', '')}"]

    def closed(self, code: int | None, reason: str) -> Verdict:
        since = self._opened_at
        if since is not None and not self._trusted and self._environment.now() - since < _ON_PROBATION:
            return Verdict(Cause.TOKEN, "closed right after the login: the broker does not accept the token")
        return super().closed(code, reason)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[tuple[int, str]] = []
        wanted: dict[int, list[tuple[int, str]]] = {}
        for instrument, _, new in changes:
            key = _key(instrument)
            if key is None:
                self._refused.append(Rejected("no exchange or token of this broker", (instrument,)))
                continue
            before = self._held.pop(key, None)
            mode = None if new is None else _MODES[new.mode]
            if mode is not None:
                self._held[key] = (instrument, mode)
            if before is not None and before[1] == mode:
                continue
            # (unconfirmed: whether a second subscription replaces the mode of the first. As the
            # peer does, the old one is given up before.)
            if before is not None:
                dropped.append((key[0], instrument.token))
            if mode is not None:
                wanted.setdefault(mode, []).append((key[0], instrument.token))
        return [*_requests(0, _ANY_MODE, dropped), *_subscriptions(wanted)]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return self._text(data)
        if len(data) <= _HEARTBEAT:
            return [Alive()]
        try:
            events = [*self._ticks(data)]
        except BadValue as problem:
            return [Malformed(str(problem))]
        self._trusted = True
        return events

    def _ticks(self, data: bytes) -> Iterator[Tick]:
        """The ticks of a message. Whatever is wrong with one packet condemns them all."""
        packet = _PACKETS.get(len(data))
        if packet is not None:
            size, start = len(data), 0
        else:
            count, size = _HEADER.unpack_from(data)
            start = _HEADER.size
            packet = _PACKETS.get(size)
            if packet is None or start + count * size != len(data):
                raise BadValue(f"a message of {len(data)} bytes")
        unpack, make = packet
        held = self._held
        for offset in range(start, len(data), size):
            known = held.get(data[offset + 1 : offset + 27]) or held.get(_clean(data, offset))
            if known is not None:
                yield make(known[0], unpack(data, offset))

    def _text(self, data: str) -> list[Event]:
        events = self._understood(data)
        if not self._answered and self._opened_at is not None:
            self._answered = True
            # The first text is the only sign that the login is through. (single source: the peer
            # subscribes after it, the SDK at once.) What was asked for earlier is asked for again.
            events += [Reply(send) for send in self._everything()]
        return events

    def _everything(self) -> Iterator[str]:
        wanted: dict[int, list[tuple[int, str]]] = {}
        for key, (instrument, mode) in self._held.items():
            wanted.setdefault(mode, []).append((key[0], instrument.token))
        return _subscriptions(wanted)

    def _understood(self, data: str) -> list[Event]:
        try:
            message = json_object(data)
        except BadValue:
            # The answer to the login is free text.
            return [Alive()]
        if message.get("type") == "error":
            said = message.get("data")
            return [Rejected(said if isinstance(said, str) else "the broker reports an error")]
        order = message.get("orderData")
        update = order_update(order) if "order_status" in message and isinstance(order, dict) else None
        return [Alive() if update is None else update]


def _key(instrument: Instrument) -> bytes | None:
    """Type and token as the packets have them."""
    kind, token = _TYPES.get(instrument.exchange), instrument.token
    if kind is None or not (token.isascii() and token.isdigit()) or len(token) > _TOKEN_BYTES:
        return None
    return bytes((kind,)) + token.encode().ljust(_TOKEN_BYTES, b"\0")


def _clean(data: bytes, offset: int) -> bytes:
    """The key of a packet that isn't held as it stands; BadValue if its token is no number.

    (The SDK then looks for a number elsewhere in the packet. There is none.)
    """
    token = data[offset + 2 : offset + 27].partition(b"\0")[0]
    if not token.isdigit():
        raise BadValue("a token that is not a number")
    return data[offset + 1 : offset + 2] + token.ljust(_TOKEN_BYTES, b"\0")


def _subscriptions(wanted: Mapping[int, Iterable[tuple[int, str]]]) -> Iterator[str]:
    for mode, keys in wanted.items():
        yield from _requests(1, mode, keys)


def _requests(action: int, mode: int, keys: Iterable[tuple[int, str]]) -> Iterator[str]:
    """One request per exchange type, in the order of their first tokens, as the SDK sends them."""
    tokens: dict[int, list[str]] = {}
    for kind, token in keys:
        tokens.setdefault(kind, []).append(token)
    for kind, names in tokens.items():
        for start in range(0, len(names), _PER_REQUEST):
            part = {"exchangeType": kind, "tokens": names[start : start + _PER_REQUEST]}
            request = {
                "correlationID": "",
                "action": action,
                "params": {"mode": mode, "tokenList": [part]},
            }
            yield json.dumps(request, separators=(",", ":"))


# The three packets. Positional construction: these run for every tick. Dividing by 100 gives the
# nearest float to two decimals. (single source: that currencies are in paise too.)


def _ltp(instrument: Instrument, v: Sequence[Any]) -> Tick:
    tick = Tick(instrument, Mode.LTP, v[1] / 100)
    tick.exchange_timestamp = _milliseconds(v[0])
    return tick


# fmt: off
def _quote(instrument: Instrument, v: Sequence[Any]) -> Tick:
    stamp, ltp, last, average, volume, buy, sell, open_, high, low, close = v
    return Tick(
        instrument, Mode.QUOTE, ltp / 100, open_ / 100, high / 100, low / 100, close / 100,
        volume, last, average / 100, total(buy), total(sell), None, None, None, None,
        _milliseconds(stamp),
    )


def _snap(instrument: Instrument, v: Sequence[Any]) -> Tick:
    stamp, ltp, last, average, volume, buy, sell, open_, high, low, close, ltt, oi = v[:13]
    upper, lower = v[43:]
    return Tick(
        instrument, Mode.DEPTH, ltp / 100, open_ / 100, high / 100, low / 100, close / 100,
        volume, last, average / 100, total(buy), total(sell), oi,
        upper / 100 if upper else None, lower / 100 if lower else None,
        _milliseconds(ltt), _milliseconds(stamp), Depth(_levels(v[13:28]), _levels(v[28:43])),
    )
# fmt: on


def _levels(rows: Sequence[int]) -> list[Level]:
    """Those that aren't placeholders; the flag before each is ignored, the place decides."""
    return [
        Level(price / 100, quantity, orders)
        for quantity, price, orders in zip(rows[::3], rows[1::3], rows[2::3], strict=True)
        if quantity and price
    ]


def _milliseconds(moment: int) -> int | None:
    return (moment + _EPOCH) * 1000 if 0 < moment < _NO_TIME else None


_Unpack = Callable[[bytes, int], tuple[Any, ...]]
_Make = Callable[[Instrument, Sequence[Any]], Tick]

# (conflict: the change in oi, the 8 bytes after it, is a double or an integer. It isn't ours.)
_PACKETS: dict[int, tuple[_Unpack, _Make]] = {
    layout.size: (layout.unpack_from, make)
    for layout, make in (
        (Struct("<35x2Q"), _ltp),
        (Struct("<35x5Q2d4Q"), _quote),
        (Struct("<35x5Q2d6Q8x" + "2x2QH" * 10 + "2Q16x"), _snap),
    )
}
