"""A gateway with its status port, and feeds made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.task import Clock

from openalgo_ws.bus.demand import FeedState, Status
from openalgo_ws.bus.intake import Intake
from openalgo_ws.config import Settings, load
from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.report import (
    AccountReport,
    ConnectionReport,
    FeedReport,
    Ledger,
    PoolReport,
)
from openalgo_ws.ops.meter import Meter
from openalgo_ws.ops.probe import Probe
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.service import StatusPort
from openalgo_ws.ops.sources import Sources
from tests.gateway.conftest import Server, dial, serve
from tests.support.fixtures import browser

__all__ = ["browser", "dial", "serve"]

#: Shown nowhere but in requests.
TOKEN = "a token for the status port"


#: Alice's.
KEY = "the API key of alice"


class FakeLedger(Ledger):
    def entries(self) -> list[tuple[str, str, str, ConnectionCounters]]:
        counters = ConnectionCounters(dials=3, ticks=20)
        counters.ended["stalled"] = 2
        return [("alice", "zerodha", "ticker", counters)]


class FakeFeeds:
    """One feed, one account, one connection."""

    def __init__(self) -> None:
        self.state = FeedState.CONNECTED

    @property
    def ledger(self) -> Ledger:
        return FakeLedger()

    def feed_states(self) -> dict[str, Status]:
        return {"alice": Status("zerodha", self.state)}

    def feed_reports(self) -> list[FeedReport]:
        return [
            FeedReport(
                tag="alice",
                broker="zerodha",
                state=self.state,
                message="",
                users=["alice"],
                accounts=("alice",),
                held=7,
            )
        ]

    def account_reports(self) -> list[AccountReport]:
        connection = ConnectionReport(
            number=0,
            state="live",
            message="",
            instruments=7,
            asked=5,
            load=7,
            ticks=20,
            tick_age=1.5,
            login_age=60.0,
        )
        pool = PoolReport(feed="ticker", load=7, capacity=9000, limit=3, connections=[connection])
        return [AccountReport(account="alice", broker="zerodha", state=self.state, message="", pools=[pool])]


class FakeKeys:
    """Two users, one of whom has a key that can be decrypted."""

    async def users(self) -> list[str]:
        return ["alice", "bob"]

    async def api_key(self, user_id: str) -> str | None:
        return KEY if user_id == "alice" else None


class FakeBus:
    conflated = 4
    lost = 1

    def backlog(self) -> int:
        return 9


class Nowhere:
    def publish(self, feed: str, record: Any) -> None:
        """Nobody listens."""

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Nobody listens."""


class Rig:
    """A gateway, its status port, and a way to ask it."""

    def __init__(self, server: Server, on_clock: bool = False, **environ: str) -> None:
        self.server = server
        self.feeds = FakeFeeds()
        self.meter = Meter(Nowhere())
        self.due = {"alice"}
        self.intake = Intake(lambda messages: None, lambda: None)
        self.clock = Clock()
        self.now = 1_700_000_000.0
        # Any free port; as a setting 0 would mean none.
        settings: Settings = replace(load({}, environ, None).settings, status_port=0)
        self.sources = Sources(
            version="1.2.3",
            gateway=server.gateway,
            pulse=Pulse(self.clock),
            feeds=self.feeds,
            meter=self.meter,
            bus=FakeBus(),
            intake=self.intake,
            unread=lambda: 4096,
            probe=Probe(self.clock, Nowhere(), server.gateway.router),
            due=lambda: self.due,
        )
        self.port = StatusPort(
            reactor,
            settings,
            self.sources,
            keys=FakeKeys(),
            demand=server.demand,
            now=lambda: self.now,
            clock=self.clock if on_clock else None,
        )
        self.events, self.history = self.port.events, self.port.history
        self.port.privilegedStartService()
        self.port.startService()

    def tick(self, seconds: int) -> None:
        """Let seconds pass, where the rig is on its clock."""
        self.clock.pump([0.125] * 8 * seconds)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port.server.port}"

    async def get(self, path: str, method: str = "GET", **given: Any) -> tuple[Any, str]:
        """The response and its text."""
        answer = await treq.request(
            method, f"{self.url}{path}", persistent=False, allow_redirects=False, **given
        )
        return answer, await answer.text()

    async def json(self, path: str, **given: Any) -> tuple[int, Any]:
        """The code, and the content."""
        answer, text = await self.get(path, **given)
        return answer.code, msgspec.json.decode(text)


@pytest.fixture
def watched(serve: Callable[..., Server]) -> Iterator[Callable[..., Rig]]:
    """Start a gateway and its status port with these environment variables; they end with the test."""
    running: list[Rig] = []

    def begin(on_clock: bool = False, **environ: str) -> Rig:
        running.append(Rig(serve(), on_clock, **environ))
        return running[-1]

    yield begin
    for rig in running:
        pytest_twisted.blockon(rig.port.stopService())
