"""The wire: JSON text both ways.

We send ``{"do": "add" | "drop", "what": "price" | "full", "ids": ["2885", …]}``; ticks come as
``{"id": "2885", "ltp": 1426.05, "time": 1795319531089, …}``, errors as ``{"error": "…", "id": "2885"}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec

from openalgo_ws.adapter import (
    Alive,
    Cause,
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
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["ExampleCodec"]

#: Price, quantity, orders.
_Row = tuple[float, int, int]


class _Message(msgspec.Struct):
    """Everything that may come. What is not of its type makes the frame malformed."""

    id: str = ""
    error: str | None = None
    ltp: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: int | None = None
    time: int | None = None
    buy: list[_Row] | None = None
    sell: list[_Row] | None = None


_decode = msgspec.json.Decoder(_Message).decode


class ExampleCodec(FeedCodec):
    """One connection."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._token = credentials.get("access_token", "")
        self._held: dict[str, Instrument] = {}

    def dial(self) -> Dial:
        return Dial(url="wss://ticks.example.com/v1", headers={"Authorization": f"Bearer {self._token}"})

    def change(self, changes: Sequence[Change]) -> list[Send]:
        """What to send so that the broker sends what is wanted now."""
        requests: dict[tuple[str, str], list[str]] = {}
        for instrument, old, new in changes:
            before, after = _stream(old), _stream(new)
            if new is None:
                self._held.pop(instrument.token, None)
            else:
                self._held[instrument.token] = instrument
            if before != after:
                if before is not None:
                    requests.setdefault(("drop", before), []).append(instrument.token)
                if after is not None:
                    requests.setdefault(("add", after), []).append(instrument.token)
        return [json.dumps({"do": do, "what": what, "ids": ids}) for (do, what), ids in requests.items()]

    def received(self, data: str | bytes) -> list[Event]:
        """Never raises: what can't be read is a `Malformed` event."""
        try:
            message = _decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return [Malformed("not a message of this protocol")]
        instrument = self._held.get(message.id)
        if message.error is not None:
            if message.error == "token":
                return [Disconnect(Verdict(Cause.TOKEN, "the token has expired"))]
            return [Rejected(message.error, () if instrument is None else (instrument,))]
        if not message.id:
            return [Alive()]
        # A tick may still come just after its instrument was given back.
        return [] if instrument is None else [_tick(instrument, message)]


def _stream(wish: Wish | None) -> str | None:
    """The broker's stream that serves a wish."""
    if wish is None:
        return None
    return "price" if wish.mode is Mode.LTP else "full"


def _tick(instrument: Instrument, message: _Message) -> Tick:
    """Only what came: nothing is made up."""
    book = None
    kind = Mode.LTP if message.open is None else Mode.QUOTE
    if message.buy is not None and message.sell is not None:
        book, kind = Depth(_levels(message.buy), _levels(message.sell)), Mode.DEPTH
    return Tick(
        instrument,
        kind,
        ltp=message.ltp,
        open=message.open,
        high=message.high,
        low=message.low,
        close=message.close,
        volume=message.volume,
        exchange_timestamp=message.time,
        depth=book,
    )


def _levels(rows: Sequence[_Row]) -> list[Level]:
    return [Level(price, quantity, orders) for price, quantity, orders in rows]
