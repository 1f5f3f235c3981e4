"""Fyers' tick-by-tick socket, seen from the server. Written from the documentation, not from the codec;
protobuf is put together by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence

from openalgo_adapters._common.protobuf import embedded, int64
from openalgo_ws.adapter import Close, Market, SimulatorConnection
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = ["TbtConnection"]

Frames = list[str | bytes | Close]

_SYMBOLS = 5
_EXCHANGES = ("NSE", "NFO")
_LEVELS = 50


class TbtConnection(SimulatorConnection):
    """One client of the tick-by-tick socket."""

    def __init__(self, market: Market, connections: set[TbtConnection]) -> None:
        self._market = market
        self._connections = connections
        #: Ticker → instrument and channel.
        self._symbols: dict[str, tuple[Instrument, str]] = {}
        self._resumed: set[str] = set()
        #: By fyToken: how many messages were sent, and the last book.
        self._told: dict[str, tuple[int, Tick]] = {}
        connections.add(self)

    def received(self, data: str | bytes) -> Frames:
        if data == "ping":
            return ["pong"]
        try:
            message = json.loads(data)
            body = message["data"]
            if message["type"] == 2:
                return self._resume(list(body["resumeChannels"]), list(body["pauseChannels"]))
            if message["type"] != 1 or body["mode"] != "depth":
                return [_error("invalid request")]
            return self._subscribe(int(body["subs"]), list(body["symbols"]), str(body["channel"]))
        except (ValueError, LookupError, TypeError, RecursionError):
            return [_error("invalid request")]

    def _resume(self, resumed: list[str], paused: list[str]) -> Frames:
        self._resumed = (self._resumed | set(resumed)) - set(paused)
        return self._books([one for one, channel in self._symbols.values() if channel in resumed])

    def _subscribe(self, way: int, symbols: list[str], channel: str) -> Frames:
        if way == -1:
            for ticker in symbols:
                held = self._symbols.pop(ticker, None)
                if held is not None:
                    self._told.pop(held[0].token, None)
            return []
        known = {one.brsymbol: one for one in self._market.instruments()}
        answers: Frames = []
        new = []
        for ticker in symbols:
            one = known.get(ticker)
            found = None if one is None else self._market.find(one.token, one.exchange)
            if found is None or found.exchange not in _EXCHANGES:
                answers.append(_error("invalid symbol"))
            elif len(self._symbols.keys() | {ticker}) > _SYMBOLS:
                answers.append(_error("symbol limit exceeded"))
            else:
                self._symbols[ticker] = found, channel
                self._told.pop(found.token, None)
                new.append(found)
        return answers + (self._books(new) if channel in self._resumed else [])

    def _books(self, instruments: Sequence[Instrument]) -> Frames:
        """Whole books; an instrument without orders has none to send."""
        ticks = [self._market.last(one) for one in instruments]
        return self.ticks([tick for tick in ticks if tick.depth and (tick.depth.buy or tick.depth.sell)])

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        frames: Frames = []
        for tick in ticks:
            one = tick.instrument
            held = self._symbols.get(one.brsymbol)
            if held is not None and held[0].exchange == one.exchange and held[1] in self._resumed:
                count, before = self._told.get(one.token, (0, None))
                self._told[one.token] = count + 1, tick
                frames.append(_message(tick, before, count + 1))
        return frames

    def held(self) -> int:
        return len(self._symbols)

    def closed(self) -> None:
        self._connections.discard(self)


def _wrapped(field: int, value: int) -> bytes:
    """A wrapper, which is there for 0 too."""
    return embedded(field, int64(1, value))


def _error(text: str) -> bytes:
    return int64(1, 8) + embedded(4, text.encode()) + int64(5, 1)


def _message(tick: Tick, before: Tick | None, count: int) -> bytes:
    """A whole book, or what has changed since the one before."""
    one = tick.instrument
    depth = b""
    for field, name in ((1, "total_buy_quantity"), (2, "total_sell_quantity")):
        value = getattr(tick, name)
        if value is not None and (before is None or value != getattr(before, name)):
            depth += _wrapped(field, value)
    for field, side in ((3, "sell"), (4, "buy")):
        now = [] if tick.depth is None else getattr(tick.depth, side)[:_LEVELS]
        then = [] if before is None or before.depth is None else getattr(before.depth, side)[:_LEVELS]
        for number in range(max(len(now), len(then))):
            level = _level(
                now[number] if number < len(now) else Level(0.0, 0, 0),
                then[number] if number < len(then) else None,
            )
            if level:
                depth += embedded(field, level + _wrapped(4, number))
    stamp = max(0, tick.exchange_timestamp or 0) // 1000
    feed = embedded(5, depth) + _wrapped(6, stamp) + _wrapped(7, stamp) + embedded(8, one.token.encode())
    feed += int64(9, count) + int64(10, before is None) + embedded(11, one.brsymbol.encode())
    entry = embedded(1, one.token.encode()) + embedded(2, feed)
    return int64(1, 6) + embedded(2, entry) + int64(3, before is None)


def _level(now: Level, then: Level | None) -> bytes:
    out = b""
    if then is None or now.price != then.price:
        out += _wrapped(1, round(now.price * 100))
    if then is None or now.quantity != then.quantity:
        out += _wrapped(2, int(now.quantity))
    if then is None or now.orders != then.orders:
        out += _wrapped(3, now.orders or 0)
    return out
