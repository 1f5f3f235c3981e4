"""Faults of one connection among several: the others don't notice, and nothing is carried twice."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from openalgo_ws.adapter import Refused
from openalgo_ws.bus.demand import FeedState
from openalgo_ws.tick import Mode, Wish

QUOTE = Wish(Mode.QUOTE)


@pytest_twisted.ensureDeferred
async def test_one_of_three_connections_is_reset(make_scene: Any, recovered: Any) -> None:
    scene = make_scene(max_symbols=25)
    await scene.hold(QUOTE)
    began = scene.seconds()
    others = scene.broker.connections[1:]
    scene.broker.connections[0].reset()
    await scene.ticking(2)
    took = scene.seconds() - began
    await scene.exactly_once()
    assert scene.carried() == [10, 25, 25]
    assert set(others) <= set(scene.broker.connections)
    recovered("reset of one of three connections", took=took, limit=2, attempts=scene.attempts(began), most=1)


@pytest_twisted.ensureDeferred
async def test_what_a_dead_connection_carried_goes_to_the_others(make_scene: Any, recovered: Any) -> None:
    scene = make_scene(count=60, max_symbols=40)
    await scene.hold(QUOTE)
    assert scene.carried() == [20, 40]
    full = max(scene.broker.connections, key=lambda served: served.connection.held())
    # Twenty of forty find room; the rest comes when the broker lets somebody in again.
    scene.broker.faults.refuse = Refused(503)
    began = scene.seconds()
    full.reset()
    await scene.until(lambda: scene.carried() == [40], 12, "half of them have moved")
    assert scene.listener.state is FeedState.RECONNECTING
    moved = scene.names - await mute(scene)
    took = scene.seconds() - began
    assert len(moved) == 40
    await scene.exactly_once(names=moved)
    recovered(
        "a dead connection, moved to others", took=took, limit=14, attempts=scene.attempts(began), most=8
    )
    scene.broker.faults.clear()
    back = scene.seconds()
    await scene.ticking(62)
    took = scene.seconds() - back
    await scene.exactly_once()
    assert scene.carried() == [20, 40]
    recovered("… and the rest when it is let in", took=took, limit=62, attempts=scene.attempts(back), most=2)


async def mute(scene: Any) -> set[tuple[str, str]]:
    """The symbols that don't tick."""
    scene.bus.ticked.clear()
    await scene.run(2)
    silent: set[tuple[str, str]] = scene.names - scene.bus.ticked.keys()
    return silent
