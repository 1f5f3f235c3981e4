"""Motilal Oswal's broadcast feed: small binary packets, little-endian, each a part of the picture.

The feed takes a client code and no token. Whatever the mode, the server sends everything, and the
values of all indices unasked. Prices are in rupees, times in seconds since 1980 by the Indian clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from struct import Struct, iter_unpack

from openalgo_adapters._common.values import BadValue, json_object
from openalgo_adapters.motilal.wire import EXCHANGES, LETTERS, lost, refusal
from openalgo_ws.adapter import (
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

__all__ = ["MotilalCodec"]

_URL = "wss://ws1feed.motilaloswal.com/jwebsocket/jwebsocket"

_SIZE = 30
_PACKET = "<BiiB20s"
_TRADE = Struct("<fiIfI")
_LEVEL = Struct("<fihfih")
_DAY = Struct("<ffff4x")
_LIMITS = Struct("<ff12x")
_INTEREST = Struct("<I16x")
_INDEX = Struct("<f16x")

_HEARTBEAT, _IS_INDEX = ord("1"), ord("H")
_PONG = b"1\0\0"
_LEVELS = {ord(letter): place for place, letter in enumerate("BCDEF")}

#: 1980-01-01 00:00 in India, in seconds since the epoch.
_EPOCH = 315_532_800 - 19_800

_BYTES = frozenset(map(ord, LETTERS))
#: First byte of a packet → exchange; N stands for two.
_BY_LETTER = {ord(letter): exchange for exchange, (_, letter, _) in EXCHANGES.items() if letter != "N"}
_N = ord("N")
_INDICES = {_N: "NSE_INDEX", ord("B"): "BSE_INDEX"}
#: Prices of currencies have four decimals. (The SDK rounds all to two, and loses the last two.)
_FINE = frozenset({"CDS", "BCD"})


class _Held:
    """What is known of an instrument."""

    __slots__ = ("asks", "bids", "digits", "tick")

    def __init__(self, instrument: Instrument) -> None:
        self.digits = 4 if instrument.exchange in _FINE else 2
        self.bids: list[Level | None] = [None] * 5
        self.asks: list[Level | None] = [None] * 5
        self.tick = Tick(instrument, Mode.LTP)

    def merge(self, kind: int, moment: int | None, body: bytes) -> bool:
        """Take a packet; False if its type means nothing to us. BadValue for a price that is none."""
        tick = self.tick
        if kind in _LEVELS:
            self._level(_LEVELS[kind], body)
        elif kind == 65:  # A
            price, quantity, volume, average, interest = _TRADE.unpack(body)
            tick.ltp, tick.avg_trade_price = self._price(price), self._price(average)
            tick.last_trade_quantity, tick.volume, tick.oi = quantity, volume, interest
            if moment is not None:
                # (single source: that the packet's time is the trade's.)
                tick.ltt = moment
        elif kind == 71:  # G
            prices = [self._price(value) for value in _DAY.unpack(body)]
            tick.open, tick.high, tick.low, tick.close = prices
        elif kind == 87:  # W
            upper, lower = _LIMITS.unpack(body)
            tick.upper_circuit, tick.lower_circuit = self._price(upper), self._price(lower)
        elif kind == 109:  # m
            (tick.oi,) = _INTEREST.unpack(body)
        elif kind == _IS_INDEX:
            (value,) = _INDEX.unpack(body)
            tick.ltp = self._price(value)
        else:
            return False
        if moment is not None:
            tick.exchange_timestamp = moment
        if tick.kind is Mode.LTP and (tick.volume is not None or tick.open is not None):
            tick.kind = Mode.QUOTE
        return True

    def _level(self, place: int, body: bytes) -> None:
        bid, bid_quantity, bid_orders, ask, ask_quantity, ask_orders = _LEVEL.unpack(body)
        bid, ask = self._price(bid), self._price(ask)
        self.bids[place] = Level(bid, bid_quantity, bid_orders) if bid or bid_quantity else None
        self.asks[place] = Level(ask, ask_quantity, ask_orders) if ask or ask_quantity else None
        self.tick.kind = Mode.DEPTH
        self.tick.depth = Depth(
            [level for level in self.bids if level is not None],
            [level for level in self.asks if level is not None],
        )

    def _price(self, value: float) -> float:
        if not isfinite(value):
            raise BadValue("a price that is no number")
        return round(value, self.digits)

    def copy(self) -> Tick:
        """The whole record, which later packets leave alone."""
        tick = self.tick
        # By position, in the order of Tick: this is the hot path.
        return Tick(
            tick.instrument,
            tick.kind,
            tick.ltp,
            tick.open,
            tick.high,
            tick.low,
            tick.close,
            tick.volume,
            tick.last_trade_quantity,
            tick.avg_trade_price,
            None,
            None,
            tick.oi,
            tick.upper_circuit,
            tick.lower_circuit,
            tick.ltt,
            tick.exchange_timestamp,
            tick.depth,
        )


class MotilalCodec(FeedCodec):
    """One connection to the broadcast feed."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._client = credentials.get("client_code", "")
        #: By exchange and scrip code.
        self._held: dict[tuple[str, int], _Held] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        return Dial(url=_URL)

    def opened(self) -> list[Send]:
        """The login. (The Python SDK repeats it before every request; once is enough.)"""
        client = self._client.encode("ascii", "replace")[:15]
        size = bytes((len(client),))
        login = size + client.ljust(15) + size + client.ljust(30) + b"\1\1\1"
        # (conflict: the peer names itself 1.0.0; both SDKs say VER 2.0.)
        login += b"\7" + b"VER 2.0".ljust(10) + b"\0\0\0\0\1" + b" " * 45
        return [b"Q" + len(login).to_bytes(2, "little") + login]

    def change(self, changes: Sequence[Change]) -> list[Send]:
        sends: list[Send] = []
        for instrument, old, new in changes:
            scrip = _scrip(instrument)
            if scrip is None:
                if old is None:
                    self._refused.append(Rejected("no scrip code of this broker", (instrument,)))
                continue
            key = (instrument.exchange, scrip)
            if new is None:
                if self._held.pop(key, None) is not None:
                    sends += _register(instrument, scrip, 0)
            elif key not in self._held:
                self._held[key] = _Held(instrument)
                sends += _register(instrument, scrip, 1)
        return sends

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return _notice(data) if data else []
        whole = len(data) // _SIZE * _SIZE
        events = []
        for letter, scrip, moment, kind, body in iter_unpack(_PACKET, data[:whole]):
            if kind == _HEARTBEAT:
                events.append(Reply(_PONG))
                continue
            if letter not in _BYTES:
                events.append(Malformed("a packet of no exchange"))
                continue
            held = self._held.get((_exchange(letter, scrip, kind), scrip))
            if held is None:
                continue
            try:
                known = held.merge(kind, (moment + _EPOCH) * 1000 if moment else None, body)
            except BadValue as problem:
                events.append(Malformed(str(problem)))
                continue
            if known:
                events.append(held.copy())
        if whole != len(data):
            # (single source: StockSharp waits for the rest in the next message; the SDK's own
            # attempt at that doesn't work.)
            events.append(Malformed("a packet that is cut off"))
        return events

    def closed(self, code: int | None, reason: str) -> Verdict:
        return lost(code)


def _exchange(letter: int, scrip: int, kind: int) -> str:
    if kind == _IS_INDEX:
        return _INDICES.get(letter, "")
    if letter == _N:
        return "NSE" if 1 <= scrip <= 34_999 or 888_801 <= scrip <= 888_820 else "NFO"
    return _BY_LETTER[letter]


def _scrip(instrument: Instrument) -> int | None:
    token = instrument.token
    if instrument.exchange not in EXCHANGES and not instrument.is_index:
        return None
    if not (token.isascii() and token.isdigit() and len(token) <= 10):
        return None
    return int(token) if int(token) < 1 << 31 else None


def _register(instrument: Instrument, scrip: int, way: int) -> list[Send]:
    """A request for one scrip; indices come without one. (The peer's request for them is its own.)"""
    if instrument.is_index:
        return []
    _, letter, kind = EXCHANGES[instrument.exchange]
    return [b"D\7\0" + letter.encode() + kind.encode() + scrip.to_bytes(4, "little") + bytes((way,))]


def _notice(text: str) -> list[Event]:
    """A text frame. (single source, the peer: that there are any.)"""
    try:
        return [refusal(json_object(text))]
    except BadValue:
        return [Malformed("text in a binary feed")]
