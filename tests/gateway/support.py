"""A router without sockets: writers that remember, a clock that is told the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.task import Clock

from openalgo_ws.bus.records import TickRecord, pack, topic_for
from openalgo_ws.encoding.data import encode
from openalgo_ws.gateway.channel import ChannelKey
from openalgo_ws.gateway.formats import ENCODERS
from openalgo_ws.gateway.router import Router
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick


@dataclass(eq=False)
class FakeWriter:
    """Takes everything, and notes when."""

    clock: Clock
    paused: bool = False
    received: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    on_write: Callable[[], None] | None = None
    #: How long a write takes (seconds).
    cost: float = 0.0

    def write(self, data: bytes) -> None:
        # Time passes, but nothing else has its turn.
        self.clock.rightNow += self.cost
        for message in messages(data):
            self.received.append((self.clock.seconds(), message))
        if self.on_write is not None:
            told, self.on_write = self.on_write, None
            told()

    def ltps(self) -> list[float]:
        return [message["data"]["ltp"] for _, message in self.received]


def messages(data: bytes) -> list[dict[str, Any]]:
    """The JSON messages in a run of server frames."""
    found = []
    at = 0
    while at < len(data):
        length = data[at + 1]
        at += 2
        if length == 126:
            length = int.from_bytes(data[at : at + 2])
            at += 2
        elif length == 127:
            length = int.from_bytes(data[at : at + 8])
            at += 8
        found.append(json.loads(data[at : at + length]))
        at += length
    assert at == len(data)
    return found


@dataclass
class Rig:
    """A router on a clock."""

    clock: Clock = field(default_factory=Clock)
    control: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.router = Router(
            self.clock,
            ENCODERS,
            wall_ms=lambda: int(self.clock.seconds() * 1000),
            control=lambda topic, payload: self.control.append((topic, payload)),
        )

    def writer(self) -> Any:
        writer: Any = FakeWriter(self.clock)
        self.router.delivery.attach(writer)
        return writer

    def hold(
        self,
        writer: Any,
        symbol: str = "SBIN",
        mode: Mode = Mode.LTP,
        *,
        feed: str = "f",
        throttle: float = 0.0,
        levels: int = 5,
        format: str = "openalgo",
    ) -> Any:
        key = ChannelKey(mode, levels if mode is Mode.DEPTH else 0, format, "zerodha", throttle)
        channel = self.router.subscribe(writer, feed, symbol, "NSE", key)
        self.router.delivery.flush_client(writer)
        return channel

    def publish(
        self, ltp: float, symbol: str = "SBIN", mode: Mode = Mode.LTP, *, feed: str = "f", levels: int = 5
    ) -> None:
        self.router.receive([(topic_for(feed), pack([record(ltp, symbol, mode, levels)]))])

    def foreign(self, topic: bytes, payload: bytes | dict[str, Any]) -> None:
        text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.router.receive([(topic, text)])


def record(ltp: float, symbol: str = "SBIN", mode: Mode = Mode.LTP, levels: int = 5) -> TickRecord:
    book = Depth(
        [Level(ltp - i, 10 + i, 1) for i in range(1, levels + 1)],
        [Level(ltp + i, 20 + i, 2) for i in range(1, levels + 1)],
    )
    state = Tick(Instrument(symbol, "NSE", "1"), mode, ltp=ltp, open=1.0, volume=7, depth=book)
    body, ltp_end, quote_end, held = encode(state, mode, 1_700_000_000_000, levels)
    return TickRecord(symbol, "NSE", mode, held, 1_700_000_000_000, ltp_end, quote_end, body)
