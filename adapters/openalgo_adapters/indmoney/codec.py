"""INDmoney's price feed: JSON text both ways, two modes, no login frame and no acknowledgements.

Source: INDstocks' documentation, "WebSocket Streaming"; it shows the frame of mode ``ltp`` alone, and
what is inside a ``quote`` rests on the peer (single source), so it is read tolerantly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue
from openalgo_adapters.indmoney.wire import Message, as_count, as_price, as_time, unwrap
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
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

__all__ = ["PREFIXES", "PriceCodec"]

#: The stream's prefix by OpenAlgo exchange. (An option under ``NSE`` is accepted and stays silent.)
PREFIXES: Mapping[str, str] = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NFO",
    "BFO": "BFO",
    "NSE_INDEX": "NIDX",
    "BSE_INDEX": "BIDX",
}

_LTP, _QUOTE = "ltp", "quote"
_PER_FRAME = 1000

_Number = TypeVar("_Number", int, float)


class _Held:
    """A subscribed instrument, and what is remembered of it. Both modes share one memory."""

    __slots__ = (
        "average",
        "close",
        "high",
        "instrument",
        "low",
        "lower",
        "ltp",
        "oi",
        "open",
        "upper",
        "volume",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.ltp: float | None = None
        self.open: float | None = None
        self.high: float | None = None
        self.low: float | None = None
        self.close: float | None = None
        self.average: float | None = None
        self.upper: float | None = None
        self.lower: float | None = None
        self.volume: int | None = None
        self.oi: int | None = None

    def knows_nothing(self) -> bool:
        """Whether not one price or quantity has come."""
        return all(getattr(self, name) is None for name in self.__slots__ if name != "instrument")


class PriceCodec(FeedCodec):
    """One connection to ws-prices.indstocks.com."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._token = credentials.get("access_token", "")
        self._held: dict[str, _Held] = {}
        #: By bare id, which is unique within a segment only.
        self._by_id: dict[str, list[_Held]] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        return Dial(
            # (unconfirmed: how a bad token is refused here. HTTP 401 and 403 are taken for it.)
            url="wss://ws-prices.indstocks.com/api/v1/ws/prices",
            # Without "Bearer".
            headers={"Authorization": self._token},
        )

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        gained: dict[tuple[str, str], list[str]] = {}
        dropped: dict[tuple[str, str], list[str]] = {}
        ours = keyed(changes, _key_of, self._held, self._refused, keyless="no exchange of this broker")
        for (instrument, old, new), key, _ in ours:
            prefix = PREFIXES[instrument.exchange]
            before, after = _mode(old), _mode(new)
            if before == after:
                continue
            if after is not None:
                gained.setdefault((after, prefix), []).append(key)
                self._hold(key, instrument)
            if before is not None:
                dropped.setdefault((before, prefix), []).append(key)
            if after is None:
                self._give_back(key, instrument)
        return [*_frames("subscribe", gained), *_frames("unsubscribe", dropped)]

    def _hold(self, key: str, instrument: Instrument) -> None:
        if key not in self._held:
            held = self._held[key] = _Held(instrument)
            self._by_id.setdefault(instrument.token, []).append(held)

    def _give_back(self, key: str, instrument: Instrument) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            same = self._by_id[instrument.token]
            same.remove(held)
            if not same:
                del self._by_id[instrument.token]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        events, self._refused = self._refused, []
        try:
            event = self._read(unwrap(data))
        except BadValue as problem:
            event = Malformed(str(problem))
        if event is not None:
            events.append(event)
        return events

    def _read(self, message: Message | None) -> Event | None:
        if message is None:
            return Alive()
        whole = message.whole
        if whole is not None:
            message = Message(whole.get("mode"), whole.get("instrument"), status=whole.get("status"))
        if message.status == "error":
            return Rejected("the broker reports an error")
        if message.mode not in (_LTP, _QUOTE) or message.instrument is None:
            return Alive()
        held = self._find(message.instrument)
        if held is None:
            return None
        if message.data is None:
            raise BadValue("a frame without its data")
        if message.mode == _LTP:
            return _ltp(held, message)
        return _quote(held, message)

    def _find(self, name: object) -> _Held | None:
        if type(name) is int:
            name = str(name)
        if not isinstance(name, str):
            return None
        held = self._held.get(name)
        if held is not None:
            return held
        same = self._by_id.get(name)
        if same is None:
            return None
        if len(same) > 1:
            raise BadValue("an id that two subscribed segments have")
        return same[0]


def _key_of(instrument: Instrument) -> str | None:
    prefix = PREFIXES.get(instrument.exchange)
    return None if prefix is None else f"{prefix}:{instrument.token}"


def _mode(wish: Wish | None) -> str | None:
    """The stream that serves a wish. There is no book here: Depth gets what a quote has."""
    if wish is None:
        return None
    return _LTP if wish.mode is Mode.LTP else _QUOTE


def _frames(action: str, lists: Mapping[tuple[str, str], Sequence[str]]) -> list[Send]:
    """One segment a frame. (single source: of a mixed one only the first segment was delivered.)"""
    return [
        json.dumps({"action": action, "mode": mode, "instruments": keys[at : at + _PER_FRAME]})
        for (mode, _), keys in lists.items()
        for at in range(0, len(keys), _PER_FRAME)
    ]


def _ltp(held: _Held, message: Message) -> Tick | None:
    data = message.data
    if data is None:
        return None
    held.ltp = ltp = _newer(as_price(data.ltp, data.live_price), held.ltp)
    if ltp is None:
        return None
    return Tick(held.instrument, Mode.LTP, ltp=ltp, exchange_timestamp=as_time(message.timestamp))


def _quote(held: _Held, message: Message) -> Tick | None:
    data = message.data
    if data is None:
        return None
    held.ltp = _newer(as_price(data.ltp, data.live_price), held.ltp)
    held.open = _newer(as_price(data.open, data.day_open), held.open)
    held.high = _newer(as_price(data.high, data.day_high), held.high)
    held.low = _newer(as_price(data.low, data.day_low), held.low)
    held.close = _newer(as_price(data.close, data.prev_close), held.close)
    held.average = _newer(as_price(data.average_price), held.average)
    held.upper = _newer(as_price(data.upper_circuit), held.upper)
    held.lower = _newer(as_price(data.lower_circuit), held.lower)
    held.volume = _newer(as_count(data.volume), held.volume)
    held.oi = _newer(as_count(data.oi), held.oi)
    if held.knows_nothing():
        return None
    return Tick(
        held.instrument,
        Mode.QUOTE,
        ltp=held.ltp,
        open=held.open,
        high=held.high,
        low=held.low,
        close=held.close,
        volume=held.volume,
        avg_trade_price=held.average,
        oi=held.oi,
        upper_circuit=held.upper,
        lower_circuit=held.lower,
        exchange_timestamp=as_time(message.timestamp),
    )


def _newer(new: _Number | None, old: _Number | None) -> _Number | None:
    """A missing value, and a zero where something is known, leave what is known."""
    if new is None or (new == 0 and old is not None):
        return old
    return new
