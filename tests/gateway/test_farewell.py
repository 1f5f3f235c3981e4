"""What becomes of requests that are being carried out when a conversation ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.stateful.peer import Closed, Peer
from tests.gateway.stateful.rig import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.stop()


@pytest.mark.parametrize(
    "request_",
    [
        {"action": "unsubscribe_all"},
        {"action": "unsubscribe", "symbols": ["NSE:A"]},
        {"action": "subscriptions"},
    ],
)
def test_nothing_follows_the_close_frame(world: World, request_: dict[str, Any]) -> None:
    """A frame after it is a breach of the WebSocket protocol."""
    peer = Peer("openalgo")
    wire = world.dial(peer, plain=True)
    wire.receive(peer.handshake)
    wire.receive(peer.request(action="authenticate", api_key="alice-key"))
    wire.receive(peer.request(action="subscribe", symbols=["NSE:A"]))
    world.clock.settle()
    # Nothing fits into this turn any more: the answer has to wait for the next.
    world.clock.drag = 0.001
    wire.receive(peer.request(**request_))
    world.gateway.keys_changed(["alice"])
    world.clock.settle()
    heard = list(peer.hear(bytes(wire.written)))
    assert heard[-1] == Closed(4401)
    assert not +world.feeds.held
