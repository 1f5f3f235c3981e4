"""The status port, and the word about a silent feed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from openalgo_ws.ops.stale import StaleWatch
from openalgo_ws.ops.status import StatusServer, status_site
from tests.gateway.support import record


@pytest_twisted.ensureDeferred
async def test_the_status_port() -> None:
    state = {"ok": False, "feeds": {}}
    server = StatusServer(reactor, 0, status_site(reactor, lambda: {"clients": 3}, lambda: state))
    server.privilegedStartService()
    server.startService()
    try:
        seen: dict[str, Any] = {}
        for path in ("healthz", "readyz", "api/status", "nothing"):
            answer = await treq.get(f"http://127.0.0.1:{server.port}/{path}", persistent=False)
            text = await answer.text()
            seen[path] = (answer.code, json.loads(text) if answer.code != 404 else None)
        assert seen["healthz"] == (200, {"ok": True})
        assert seen["readyz"] == (503, state)
        assert seen["api/status"] == (200, {"clients": 3})
        assert seen["nothing"][0] == 404
    finally:
        await server.stopService()


class Sink:
    def __init__(self) -> None:
        self.ticks: list[str] = []

    def publish(self, feed: str, record: Any) -> None:
        self.ticks.append(feed)

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        self.ticks.append(user)


class Calendar:
    open = True

    def in_session(self, exchange: str, now: float) -> bool:
        return self.open and exchange == "NSE"


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    said: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace", "").startswith("openalgo_ws.ops"):
            said.append(event["feed"])

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)


def test_a_silent_feed_is_warned_of_once_while_its_exchange_is_open(warnings: list[str]) -> None:
    clock, sink, calendar = Clock(), Sink(), Calendar()
    held = {"alice": {"NSE", "MCX"}, "bob": {"MCX"}}
    watch = StaleWatch(
        clock, sink, after=120.0, held=lambda: held, calendar=calendar, now=lambda: clock.seconds()
    )
    watch.startService()
    clock.pump([30.0] * 4)
    assert warnings == []
    clock.pump([30.0] * 6)
    assert warnings == ["alice"]
    watch.publish("alice", record(1.0))
    assert sink.ticks == ["alice"]
    clock.pump([30.0] * 10)
    assert warnings == ["alice", "alice"]
    calendar.open = False
    clock.pump([30.0] * 10)
    assert len(warnings) == 2
    watch.stopService()
    assert clock.getDelayedCalls() == []
