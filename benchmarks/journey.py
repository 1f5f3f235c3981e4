"""Ticks on their way: when the simulated broker sent what, and when the sampled client received it.

A tick is known by its instrument and volume. Those that can't be told apart are left out of latencies.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from load import Receiver
from loadgen import library

#: By instrument (``NSE:SBIN``) and volume: when it was sent, in ns of the monotonic clock.
Sent = Mapping[tuple[str, int], Sequence[int]]

#: Instrument, volume, and when it was received.
Received = tuple[str, int, int]

#: Of an instrument without a volume, such as an index.
NO_VOLUME = -1


class Notes:
    """An observer of a `SimulatedBroker`: what was sent and when."""

    def __init__(self) -> None:
        self.sent: dict[tuple[str, int], list[int]] = {}

    def __call__(self, ticks: Iterable[Any]) -> None:
        now = time.monotonic_ns()
        for tick in ticks:
            one = tick.instrument
            volume = NO_VOLUME if tick.volume is None else tick.volume
            self.sent.setdefault((f"{one.exchange}:{one.symbol}", volume), []).append(now)


class _Data(msgspec.Struct):
    volume: int = NO_VOLUME


class _Message(msgspec.Struct):
    type: str = ""
    symbol: str = ""
    exchange: str = ""
    snapshot: bool = False
    data: _Data = msgspec.field(default_factory=_Data)


def messages(receiver: Receiver) -> Iterator[Received]:
    """The ticks that the sampled client got, in order; without snapshots, which are of ticks before."""
    tools = library()
    size = tools.receiver_recorded(receiver.handle)
    kept = ctypes.string_at(tools.receiver_record(receiver.handle), size)
    decode = msgspec.json.Decoder(_Message).decode
    at = 0
    while at < size:
        received = int.from_bytes(kept[at : at + 8], "little")
        length = int.from_bytes(kept[at + 8 : at + 12], "little")
        at += 12 + length
        message = decode(kept[at - length : at])
        if message.type == "market_data" and not message.snapshot:
            yield f"{message.exchange}:{message.symbol}", message.data.volume, received


def within(sent: Sent, start: int, end: int) -> dict[tuple[str, int], Sequence[int]]:
    """What was sent at no other time."""
    return {key: times for key, times in sent.items() if all(start <= at < end for at in times)}


def matched(sent: Sent, received: Iterable[Received]) -> list[float]:
    """Latencies in ms of the messages that can be told apart: those whose instrument and volume were sent
    once."""
    return [
        (at - sent[name, volume][0]) / 1e6
        for name, volume, at in received
        if len(sent.get((name, volume), ())) == 1
    ]


def lost(sent: Sent, received: Iterable[Received]) -> int:
    """Instruments whose last volume the sampled client never saw: conflation keeps those."""
    final: dict[str, int] = {}
    for name, volume in sent:
        final[name] = max(volume, final.get(name, NO_VOLUME))
    seen = {name: volume for name, volume, _ in received}
    return sum(seen.get(name, NO_VOLUME) < volume for name, volume in final.items())
