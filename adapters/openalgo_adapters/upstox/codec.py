"""Upstox's market-data feed V3: JSON out (in binary frames, text is passed over), protobuf in (`feed.proto`).

A message names what it tells of each instrument, mostly everything but not surely: what comes is
merged into what is known. Prices are in rupees, quantities in units, times in milliseconds UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from uuid import UUID

from google.protobuf.message import DecodeError

from openalgo_adapters._common.values import BadValue, json_value
from openalgo_adapters.upstox.feed_pb2 import (
    LTPC,
    Feed,
    FeedResponse,
    FirstLevelWithGreeks,
    MarketFullFeed,
    MarketLevel,
    MarketOHLC,
    Type,
)
from openalgo_adapters.upstox.wire import UpstoxCodec
from openalgo_ws.adapter import Alive, Change, Environment, Event, Malformed, Rejected, Send
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["LEVELS", "UpstoxFeedCodec", "mode_of"]

#: Of the deeper book, which only the paid plan (Plus) has.
LEVELS = 30

#: No quantity is larger than this; a double that claims more is damaged.
_LARGEST = 1e15


def mode_of(instrument: Instrument, wish: Wish) -> str:
    """The broker's mode for a wish. (``option_greeks`` carries nothing that ``full`` doesn't.)"""
    if wish.mode is Mode.LTP:
        return "ltpc"
    deep = wish.mode is Mode.DEPTH and wish.depth > 5 and not instrument.is_index
    return "full_d30" if deep else "full"


class _Held:
    """An instrument: the mode it is asked in, and what is known of it."""

    __slots__ = (
        "average",
        "buy",
        "close",
        "depth",
        "high",
        "instrument",
        "kind",
        "low",
        "ltp",
        "ltq",
        "ltt",
        "mode",
        "oi",
        "open",
        "sell",
        "volume",
    )

    def __init__(self, instrument: Instrument, mode: str) -> None:
        self.instrument = instrument
        self.mode = mode
        self.ltp: float | None = None
        self.close: float | None = None
        self.ltq: int | None = None
        self.ltt: int | None = None
        self.forget_all_but_the_trade()

    def forget_all_but_the_trade(self) -> None:
        self.kind = Mode.LTP
        self.open: float | None = None
        self.high: float | None = None
        self.low: float | None = None
        self.average: float | None = None
        self.volume: int | None = None
        self.oi: int | None = None
        self.buy: int | None = None
        self.sell: int | None = None
        self.depth: Depth | None = None

    def merge(self, feed: Feed) -> None:
        """Take what a message tells. BadValue if a number in it is none; what came before it counts."""
        content = feed.WhichOneof("FeedUnion")
        if content == "ltpc":
            self._trade(feed.ltpc)
        elif content == "fullFeed":
            full = feed.fullFeed
            if full.HasField("marketFF"):
                self._market(full.marketFF)
            elif full.HasField("indexFF"):
                index = full.indexFF
                self.kind = max(self.kind, Mode.QUOTE)
                if index.HasField("ltpc"):
                    self._trade(index.ltpc)
                if index.HasField("marketOHLC"):
                    self._day(index.marketOHLC)
        elif content == "firstLevelWithGreeks":
            self._first_level(feed.firstLevelWithGreeks)

    def _trade(self, trade: LTPC) -> None:
        # Zero can't be told from absent, so it is taken for the latter.
        ltp, close = trade.ltp, trade.cp
        if not isfinite(ltp + close):
            raise BadValue("a price that is no number")
        if ltp:
            self.ltp = ltp
        if close:
            self.close = close
        if trade.ltq:
            self.ltq = trade.ltq
        if trade.ltt:
            self.ltt = trade.ltt

    def _market(self, full: MarketFullFeed) -> None:
        self.kind = max(self.kind, Mode.QUOTE)
        if full.HasField("ltpc"):
            self._trade(full.ltpc)
        if full.HasField("marketOHLC"):
            self._day(full.marketOHLC)
        if full.HasField("marketLevel"):
            self._book(full.marketLevel)
        average, volume, oi, buy, sell = full.atp, full.vtt, full.oi, full.tbq, full.tsq
        # Partial messages are known from the peer alone (single source): one without any of these
        # doesn't speak of them, one with some of them means its zeros.
        if average or volume or oi or full.iv or buy or sell:
            if not isfinite(average):
                raise BadValue("an average price that is no number")
            self.average = average
            self.volume = volume
            self.oi, self.buy, self.sell = _count(oi), _count(buy), _count(sell)

    def _first_level(self, first: FirstLevelWithGreeks) -> None:
        self.kind = max(self.kind, Mode.QUOTE)
        if first.HasField("ltpc"):
            self._trade(first.ltpc)
        if first.vtt or first.oi or first.iv:
            self.volume = first.vtt
            self.oi = _count(first.oi)

    def _day(self, candles: MarketOHLC) -> None:
        # (conflict: the peer takes close and volume from here too, which are today's last price and
        # no better than vtt.)
        for candle in candles.ohlc:
            if candle.interval == "1d":
                opened, high, low = candle.open, candle.high, candle.low
                if not isfinite(opened + high + low):
                    raise BadValue("a candle with a price that is no number")
                self.open, self.high, self.low = opened, high, low
                return

    def _book(self, levels: MarketLevel) -> None:
        buy: list[Level] = []
        sell: list[Level] = []
        total = 0.0
        for quote in levels.bidAskQuote:
            bid, ask = quote.bidP, quote.askP
            total += bid + ask
            if bid:
                buy.append(Level(bid, quote.bidQ))
            if ask:
                sell.append(Level(ask, quote.askQ))
        if not isfinite(total):
            raise BadValue("a book with a price that is no number")
        self.depth = Depth(buy, sell)
        self.kind = Mode.DEPTH

    def tick(self, moment: int | None) -> Tick:
        # By position, in the order of Tick: this is the hot path.
        return Tick(
            self.instrument,
            self.kind,
            self.ltp,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.ltq,
            self.average,
            self.buy,
            self.sell,
            self.oi,
            None,
            None,
            self.ltt,
            moment,
            self.depth,
        )


class UpstoxFeedCodec(UpstoxCodec):
    """One connection to the market feed."""

    fallback = "wss://api.upstox.com/v3/feed/market-data-feed"

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        super().__init__(credentials, environment)
        self._held: dict[str, _Held] = {}

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[str] = []
        #: Method and mode → keys.
        wanted: dict[tuple[str, str], list[str]] = {}
        for instrument, _, new in changes:
            key = instrument.token
            held = self._held.get(key)
            if new is None:
                if held is not None and held.instrument == instrument:
                    del self._held[key]
                    dropped.append(key)
                continue
            mode = mode_of(instrument, new)
            if held is None:
                self._held[key] = _Held(instrument, mode)
                wanted.setdefault(("sub", mode), []).append(key)
            elif held.mode != mode:
                # (conflict: the JavaScript SDK sends "sub" with the new mode.)
                held.mode = mode
                if mode == "ltpc":
                    # Nothing keeps the rest up to date from here on.
                    held.forget_all_but_the_trade()
                wanted.setdefault(("change_mode", mode), []).append(key)
        sends: list[Send] = []
        if dropped:
            sends.append(self._request("unsub", {"instrumentKeys": dropped}))
        for (method, mode), keys in wanted.items():
            sends.append(self._request(method, {"mode": mode, "instrumentKeys": keys}))
        return sends

    def _request(self, method: str, data: Mapping[str, object]) -> bytes:
        guid = str(UUID(bytes=self._environment.random(16), version=4))
        return json.dumps({"guid": guid, "method": method, "data": data}).encode()

    def received(self, data: str | bytes) -> list[Event]:
        if not data:
            return []
        if isinstance(data, str):
            return _notice(data)
        try:
            message = FeedResponse.FromString(data)
        except DecodeError:
            return [Malformed("no protobuf of this protocol")]
        # (conflict: a snapshot is typed initial_feed by the description, live_feed in the
        # documented sample: both are read alike.)
        if message.type == Type.market_info:
            return [Alive()]
        moment = message.currentTs or None
        feeds = message.feeds
        events: list[Event] = []
        # A map has no order of its own on the wire.
        for key in sorted(feeds) if len(feeds) > 1 else feeds:
            held = self._held.get(key)
            if held is None:
                continue
            try:
                held.merge(feeds[key])
            except BadValue as problem:
                events.append(Malformed(str(problem)))
                continue
            if held.ltp is not None:
                events.append(held.tick(moment))
        return events


def _notice(text: str) -> list[Event]:
    """A text frame. (single source, the peer: that there are any.)"""
    try:
        notice = json_value(text)
    except BadValue as problem:
        return [Malformed(str(problem))]
    if isinstance(notice, dict) and notice.get("status") == "failed":
        error = notice.get("error")
        return [Rejected(error[:200] if isinstance(error, str) and error else "the broker refused a request")]
    return [Alive()]


def _count(value: float) -> int:
    """A quantity that travels as a double."""
    if -_LARGEST < value < _LARGEST:
        return int(value)
    raise BadValue("a quantity that is no number")
