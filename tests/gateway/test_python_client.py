"""The client against the gateway: JSON and binary give the same events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from openalgo_ws.client import Client, MarketData, Subscribed
from openalgo_ws.config import Secret
from openalgo_ws.tick import Mode


class Watching:
    """A client, and a wait for the next of its events of a kind."""

    def __init__(self, port: int, key: str, **options: Any) -> None:
        self._arrived: list[Any] = []
        self._waiting: tuple[type, Deferred[Any]] | None = None
        self.client = Client(reactor, f"ws://127.0.0.1:{port}", Secret(key), self._event, **options)

    def _event(self, event: Any) -> None:
        if self._waiting is not None and isinstance(event, self._waiting[0]):
            waiting, self._waiting = self._waiting[1], None
            waiting.callback(event)
        else:
            self._arrived.append(event)

    def next(self, kind: type) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        known = next((event for event in self._arrived if isinstance(event, kind)), None)
        if known is not None:
            self._arrived.remove(known)
            done.callback(known)
        else:
            self._waiting = (kind, done)
            done.addTimeout(10, reactor)
        return done


@pytest.mark.parametrize("mode", [Mode.LTP, Mode.DEPTH])
@pytest_twisted.ensureDeferred
async def test_both_formats_give_the_same_events(server, secret: Callable[[str], str], mode: Mode) -> None:
    key = secret("alice-key")
    both = [Watching(server.port, key, binary=binary) for binary in (False, True)]
    for each in both:
        each.client.core.subscribe(["NSE:SBIN"], mode)
        each.client.startService()
    try:
        for each in both:
            await each.next(Subscribed)
        server.publish(842.35, mode=mode)
        text, binary = [await each.next(MarketData) for each in both]
        assert text == binary
        assert text.data["ltp"] == 842.35
    finally:
        for each in both:
            await each.client.stopService()
