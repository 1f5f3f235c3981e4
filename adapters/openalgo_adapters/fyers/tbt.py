"""Fyers' tick-by-tick socket: 50 levels of NSE and NFO, JSON out, protobuf (`tbt.proto`) in.

The first message of a symbol is a whole book, each later one what has changed in it: a level names
its place and those of its values that are new. Prices are in paise, and there is no last price.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from openalgo_adapters._common.times import epoch_ms
from openalgo_adapters.fyers.login import authorisation
from openalgo_adapters.fyers.tbt_pb2 import MarketFeed, MarketLevel, SocketMessage
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

__all__ = ["LEVELS", "TbtCodec"]

LEVELS = 50
_CHANNEL = "1"
_URL = "wss://rtsocket-api.fyers.in/versova"


class _Side:
    """Fifty places of one side."""

    __slots__ = ("orders", "prices", "quantities")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.prices = [0] * LEVELS
        self.quantities = [0] * LEVELS
        self.orders: list[int | None] = [None] * LEVELS

    def merge(self, levels: Sequence[MarketLevel]) -> None:
        # (conflict: the JavaScript SDK and the peer go by the place in the list, which is wrong for
        # what has changed; the Python SDK goes by `num`.)
        for level in levels:
            if level.HasField("num") and level.num.value < LEVELS:
                place = level.num.value
                if level.HasField("price"):
                    self.prices[place] = level.price.value
                if level.HasField("qty"):
                    self.quantities[place] = level.qty.value
                if level.HasField("nord"):
                    self.orders[place] = level.nord.value

    def levels(self) -> list[Level]:
        return [
            Level(price / 100, quantity, orders)
            for price, quantity, orders in zip(self.prices, self.quantities, self.orders, strict=True)
            if price
        ]


class _Held:
    __slots__ = ("asks", "bids", "buy", "instrument", "sell")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.bids, self.asks = _Side(), _Side()
        self.buy: int | None = None
        self.sell: int | None = None

    def tick(self, feed: MarketFeed, whole: bool) -> Tick:
        depth = feed.depth
        if whole:
            self.bids.clear()
            self.asks.clear()
        self.bids.merge(depth.bids)
        self.asks.merge(depth.asks)
        if depth.HasField("tbq"):
            self.buy = depth.tbq.value
        if depth.HasField("tsq"):
            self.sell = depth.tsq.value
        return Tick(
            self.instrument,
            Mode.DEPTH,
            total_buy_quantity=self.buy,
            total_sell_quantity=self.sell,
            # (conflict: "unix epoch" in the documents, seconds in a third party's client.)
            exchange_timestamp=epoch_ms(feed.feed_time.value),
            depth=Depth(self.bids.levels(), self.asks.levels()),
        )


class TbtCodec(FeedCodec):
    """One connection to the tick-by-tick socket; every symbol is on its first channel."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[str, _Held] = {}
        self._by_token: dict[str, _Held] = {}
        self._resumed = False
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        return Dial(
            url=self._credentials.get("tbt_url") or _URL,
            headers=authorisation(self._credentials),
        )

    def heartbeat(self) -> Send:
        return "ping"

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[str] = []
        wanted: list[str] = []
        for instrument, _, new in changes:
            ticker = instrument.brsymbol
            held = self._held.get(ticker)
            if new is None:
                if held is not None and held.instrument == instrument:
                    del self._held[ticker]
                    self._by_token.pop(instrument.token, None)
                    dropped.append(ticker)
            elif not ticker:
                self._refused.append(Rejected("no symbol ticker", (instrument,)))
            elif held is None:
                self._held[ticker] = self._by_token[instrument.token] = _Held(instrument)
                wanted.append(ticker)
        sends: list[Send] = []
        if dropped:
            sends.append(_request(-1, dropped))
        if wanted:
            sends.append(_request(1, wanted))
            if not self._resumed:
                self._resumed = True
                sends.append(
                    json.dumps({"type": 2, "data": {"resumeChannels": [_CHANNEL], "pauseChannels": []}})
                )
        return sends

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return [Alive() if data == "pong" else Malformed("text that is no pong")]
        try:
            message = SocketMessage.FromString(data)
        except DecodeError:
            return [Malformed("no protobuf of this protocol")]
        if message.error:
            return [Rejected(message.msg[:200] or "the broker reports an error")]
        entries = sorted((feed.token, key, feed) for key, feed in message.feeds.items())
        return [
            held.tick(feed, message.snapshot or feed.snapshot)
            for _, key, feed in entries
            if feed.HasField("depth") and (held := self._of(key, feed)) is not None
        ]

    def _of(self, key: str, feed: MarketFeed) -> _Held | None:
        # (conflict: the key of the map is documented as the ticker; the peer has seen the fyToken.)
        if feed.ticker:
            return self._held.get(feed.ticker)
        name = feed.token or key
        return self._by_token.get(name) or self._held.get(name)


def _request(way: int, tickers: list[str]) -> str:
    data = {"subs": way, "symbols": tickers, "mode": "depth", "channel": _CHANNEL}
    return json.dumps({"type": 1, "data": data})
