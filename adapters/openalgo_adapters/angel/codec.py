"""SmartStream (WebSocket Streaming 2.0): JSON text frames out, one binary packet per message in.

Source: SmartAPI documentation, "WebSocket Streaming 2.0", and the official SDKs for Python, Java
and JavaScript. All values are little-endian; the first byte is the mode and says the layout::

    1   51 bytes   u8 mode, u8 exchange type, 25 bytes token, i64 sequence, i64 time (ms), i64 ltp
    2  123 bytes   the same, i64 last quantity, average price, volume, f64 total buy, total sell,
                   i64 open, high, low, close
    3  379 bytes   the same, i64 last trade time (s), oi, 8 bytes of garbage, 10 rows of u16 flag,
                   i64 quantity, i64 price, u16 orders, i64 upper, lower circuit, 16 bytes of
                   yearly range
    4  443 bytes   mode, type, token, i64 time (ms), i64 nothing, then 20 bids and 20 asks of
                   i32 quantity, i32 price, i16 orders

A packet is complete for its mode, so there is nothing to remember but what is held.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple

from openalgo_adapters._common.values import BadValue, json_object, text, total
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
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["SmartStreamCodec", "bearer", "refused_for"]

#: Exchange type by exch_seg. (conflict: the peer calls NCDEX "NCX" and sends what it doesn't know
#: as type 1; the documentation's table it is, and what isn't in it is refused.)
_TYPES = {"NSE": 1, "NFO": 2, "BSE": 3, "BFO": 4, "MCX": 5, "NCDEX": 7, "CDS": 13}
_SEGMENT = {"NSE_INDEX": "NSE", "BSE_INDEX": "BSE", "MCX_INDEX": "MCX"}
_CDS = 13
#: (conflict: the peer divides CDS by 100 as well; the documentation says 10,000,000.)
_CDS_DIVISOR = 10_000_000
_CDS_DECIMALS = 4

_LTP, _QUOTE, _SNAP, _DEPTH = 1, 2, 3, 4
_TWENTY = 20
#: Tokens of one request; the broker names no limit.
_PER_REQUEST = 500

#: Where type and token stand, and how long the token is.
_KEY = slice(1, 27)
_TOKEN_BYTES = 25

# (conflict: the documentation types the LTP as int32 of size 8; i64 as Python and Java read it.)
_MODE_1 = Struct("<35x2q")
# (conflict: Java reads the two totals of mode 2 as integers; f64 as everywhere else.)
_MODE_2 = Struct("<35x5q2d4q")
_MODE_3 = Struct("<35x5q2d6q8x" + "HqqH" * 10 + "2q16x")
# (conflict: the Python SDK reads the time at 35; Java and JavaScript agree on 27.)
_MODE_4 = Struct("<27xq8x" + "iih" * 40)

#: Of the ten rows' flags, as they always were in live packets: five bids, five asks.
_FLAGS = (1, 1, 1, 1, 1, 0, 0, 0, 0, 0)
_SIDE = 5
#: Last trade times above this are taken for milliseconds.
_SURELY_MS = 100_000_000_000


class _Held(NamedTuple):
    instrument: Instrument
    cds: bool


class SmartStreamCodec(FeedCodec):
    """One connection to SmartStream."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._environment = environment
        self._held: dict[bytes, _Held] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        known = self._credentials
        return Dial(
            url="wss://smartapisocket.angelone.in/smart-stream",
            headers={
                "Authorization": bearer(known.get("auth_token", "")),
                "x-api-key": known.get("api_key", ""),
                "x-client-code": known.get("client_code", ""),
                "x-feed-token": known.get("feed_token", ""),
            },
        )

    def heartbeat(self) -> Send:
        return "ping"

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        if status == 401:
            return Verdict(Cause.TOKEN, f"HTTP 401{_bad_item(headers)}")
        # Nothing is documented for the fourth connection of a client code.
        if status in (403, 429):
            return refused_for(status)
        return super().refused(status, headers, body)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[int, list[tuple[int, str]]] = {}
        wanted: dict[int, list[tuple[int, str]]] = {}
        for instrument, old, new in changes:
            key = _key(instrument)
            if key is None:
                self._refused.append(Rejected("no exchange or token of this broker", (instrument,)))
                continue
            kind = key[0]
            before, after = _mode(instrument, old), _mode(instrument, new)
            if after is None:
                self._held.pop(key, None)
            else:
                self._held[key] = _Held(instrument, kind == _CDS)
            if before != after:
                if before is not None:
                    dropped.setdefault(before, []).append((kind, instrument.token))
                if after is not None:
                    wanted.setdefault(after, []).append((kind, instrument.token))
        return [*self._requests(0, dropped), *self._requests(1, wanted)]

    def _requests(self, action: int, by_mode: Mapping[int, Sequence[tuple[int, str]]]) -> Iterator[str]:
        for mode, keys in by_mode.items():
            for start in range(0, len(keys), _PER_REQUEST):
                tokens: dict[int, list[str]] = {}
                for kind, token in keys[start : start + _PER_REQUEST]:
                    tokens.setdefault(kind, []).append(token)
                lists = [{"exchangeType": kind, "tokens": names} for kind, names in tokens.items()]
                request = {
                    "correlationID": self._environment.random(5).hex(),
                    "action": action,
                    "params": {"mode": mode, "tokenList": lists},
                }
                yield json.dumps(request, separators=(",", ":"))

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return [_text(data)]
        layout = _PACKETS.get(data[0]) if data else None
        if layout is None:
            return [Malformed("an empty packet, or one of an unknown mode")]
        size, unpack, make, prices = layout
        if len(data) < size:
            return [Malformed(f"a packet of mode {data[0]} with {len(data)} bytes")]
        known = self._held.get(data[_KEY]) or self._held.get(_clean(data))
        if known is None:
            return []
        values = unpack(data)
        if known.cds:
            return [make(known.instrument, _rounded(values, prices), 1.0)]
        return [make(known.instrument, values, 100.0)]


def bearer(token: str) -> str:
    """The token as the Authorization header has it; the stored one may have the prefix already.

    (conflict: the Python SDK passes the prefixed form, the documentation's table the bare one.)
    """
    return token if token.startswith("Bearer ") else f"Bearer {token}"


def refused_for(status: int) -> Verdict:
    """Too many connections, by what little the broker says of them."""
    return Verdict(Cause.TOO_MANY, f"too many connections (HTTP {status})", 60.0)


def _bad_item(headers: Mapping[str, str]) -> str:
    """What ``x-error-message`` complains of, in our words: theirs might repeat a token."""
    said = next((value for name, value in headers.items() if name.lower() == "x-error-message"), "").lower()
    for item in ("feed token", "client code", "api key", "auth token"):
        if item in said:
            return f": the broker does not accept the {item}"
    return ": the broker does not accept the tokens"


def _key(instrument: Instrument) -> bytes | None:
    """Type and token as the packets have them."""
    segment = instrument.brexchange or _SEGMENT.get(instrument.exchange, instrument.exchange)
    kind, token = _TYPES.get(segment), instrument.token
    if kind is None or not (token.isascii() and token.isdigit()) or len(token) > _TOKEN_BYTES:
        return None
    return bytes((kind,)) + token.encode().ljust(_TOKEN_BYTES, b"\0")


def _clean(data: bytes) -> bytes:
    """The key of a packet that has something after the NUL of its token."""
    return data[1:2] + data[2:27].partition(b"\0")[0].ljust(_TOKEN_BYTES, b"\0")


def _mode(instrument: Instrument, wish: Wish | None) -> int | None:
    """The broker's mode. There are 20 levels on NSE's shares alone; elsewhere it is the 5-level book."""
    if wish is None:
        return None
    if wish.mode is Mode.DEPTH:
        return _DEPTH if wish.depth >= _TWENTY and instrument.exchange == "NSE" else _SNAP
    return _LTP if wish.mode is Mode.LTP else _QUOTE


def _text(data: str) -> Event:
    if data == "pong":
        return Alive()
    try:
        message = json_object(data)
        code = text(message.get("errorCode"))
    except BadValue as problem:
        return Malformed(f"text frame: {problem}")
    if not code:
        return Alive()
    said = message.get("errorMessage")
    return Rejected(f"{code}: {said}" if isinstance(said, str) else code)


def _rounded(values: Sequence[Any], prices: Sequence[int]) -> list[Any]:
    rounded = list(values)
    for place in prices:
        rounded[place] = round(rounded[place] / _CDS_DIVISOR, _CDS_DECIMALS)
    return rounded


# The four packets. Positional construction: these run for every tick.


def _ltp(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    tick = Tick(instrument, Mode.LTP, v[1] / d)
    if v[0] > 0:
        tick.exchange_timestamp = v[0]
    return tick


# fmt: off
def _quote(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    stamp, ltp, last, average, volume, buy, sell, open_, high, low, close = v
    return Tick(
        instrument, Mode.QUOTE, ltp / d, open_ / d, high / d, low / d, close / d,
        volume, last, average / d, total(buy), total(sell), None, None, None, None,
        stamp if stamp > 0 else None,
    )


def _snap(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    (stamp, ltp, last, average, volume, buy, sell, open_, high, low, close, ltt, oi,
     f0, q0, p0, o0, f1, q1, p1, o1, f2, q2, p2, o2, f3, q3, p3, o3, f4, q4, p4, o4,
     f5, q5, p5, o5, f6, q6, p6, o6, f7, q7, p7, o7, f8, q8, p8, o8, f9, q9, p9, o9,
     upper, lower) = v
    bids = [Level(p0 / d, q0, o0), Level(p1 / d, q1, o1), Level(p2 / d, q2, o2),
            Level(p3 / d, q3, o3), Level(p4 / d, q4, o4)]
    asks = [Level(p5 / d, q5, o5), Level(p6 / d, q6, o6), Level(p7 / d, q7, o7),
            Level(p8 / d, q8, o8), Level(p9 / d, q9, o9)]
    flags = (f0, f1, f2, f3, f4, f5, f6, f7, f8, f9)
    if flags != _FLAGS:
        bids, asks = _by_flag([*bids, *asks], flags)
    return Tick(
        instrument, Mode.DEPTH, ltp / d, open_ / d, high / d, low / d, close / d,
        volume, last, average / d, total(buy), total(sell), oi, upper / d, lower / d,
        _milliseconds(ltt), stamp if stamp > 0 else None, Depth(bids, asks),
    )


def _depth(instrument: Instrument, v: Sequence[Any], d: float) -> Tick:
    return Tick(
        instrument, Mode.DEPTH,
        exchange_timestamp=v[0] if v[0] > 0 else None,
        depth=Depth(
            [Level(v[n + 1] / d, v[n], v[n + 2]) for n in range(1, 61, 3)],
            [Level(v[n + 1] / d, v[n], v[n + 2]) for n in range(61, 121, 3)],
        ),
    )
# fmt: on


def _by_flag(rows: Sequence[Level], flags: Sequence[int]) -> tuple[list[Level], list[Level]]:
    """The rows of each side by their flags, or by their places where the flags say nothing.

    (conflict: the Python SDK's names for the flags are swapped; 1 = buy, as live packets show.)
    """
    bids = [row for row, flag in zip(rows, flags, strict=True) if flag == 1]
    asks = [row for row, flag in zip(rows, flags, strict=True) if flag != 1]
    if not bids or not asks:
        return list(rows[:_SIDE]), list(rows[_SIDE:])
    # An empty bid without its flag is not the best of the asks.
    for row in [row for row in asks if not (row.price or row.quantity)]:
        if len(bids) < _SIDE:
            asks.remove(row)
            bids.append(row)
    return bids, asks


def _milliseconds(moment: int) -> int | None:
    if moment <= 0:
        return None
    return moment if moment > _SURELY_MS else moment * 1000


_Unpack = Callable[[bytes], tuple[Any, ...]]
_Make = Callable[[Instrument, Sequence[Any], float], Tick]


def _prefix(layout: Struct) -> _Unpack:
    """Unpack what a layout needs; whatever is behind it doesn't count."""
    return layout.unpack_from


#: By the first byte: least size, how to unpack, what to make of it, where its prices stand.
_PACKETS: dict[int, tuple[int, _Unpack, _Make, tuple[int, ...]]] = {
    1: (_MODE_1.size, _prefix(_MODE_1), _ltp, (1,)),
    2: (_MODE_2.size, _prefix(_MODE_2), _quote, (1, 3, 7, 8, 9, 10)),
    3: (_MODE_3.size, _prefix(_MODE_3), _snap, (1, 3, 7, 8, 9, 10, *range(15, 53, 4), 53, 54)),
    4: (_MODE_4.size, _prefix(_MODE_4), _depth, tuple(range(2, 121, 3))),
}
