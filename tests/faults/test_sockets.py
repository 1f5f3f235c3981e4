"""Sockets that break, hang or lie: noticed in time, and everything ticks again."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.adapter import Keepalive
from openalgo_ws.tick import Mode, Wish
from tests.support.upper import kite

QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)

#: What a feed declares that says nothing of its own: pings every 20 s, a pong within 10 s.
PINGS = Keepalive()


async def whole(scene: Any) -> None:
    """After a fault: one connection, everything on it, every tick published once."""
    await scene.exactly_once()
    assert scene.carried() == [len(scene.instruments)]
    assert scene.broker.sockets == 1


@pytest.mark.parametrize("fault", ["reset", "tear", "server close", "server restart"])
@pytest_twisted.ensureDeferred
async def test_a_socket_that_breaks(make_scene: Any, recovered: Any, fault: str) -> None:
    scene = make_scene()
    await scene.hold(DEPTH)
    began, down = scene.seconds(), scene.down()
    if fault == "reset":
        scene.broker.reset()
    elif fault == "tear":
        scene.broker.tear()
    elif fault == "server close":
        scene.broker.faults.login_loop = 0.0
    else:
        port = scene.broker.port
        await scene.broker.stop()
        scene.broker.listen(port)
    await scene.until(down, 1)
    scene.broker.faults.clear()
    await scene.ticking(2)
    took = scene.seconds() - began
    await whole(scene)
    name = {"reset": "TCP reset", "tear": "TCP reset in the middle of a packet"}.get(fault, fault)
    recovered(name, took=took, limit=2, attempts=scene.attempts(began), most=1)


@pytest.mark.parametrize("with_data", [True, False])
@pytest_twisted.ensureDeferred
async def test_garbage(make_scene: Any, recovered: Any, with_data: bool) -> None:
    scene = make_scene(adapter=kite(keepalive=PINGS))
    await scene.hold(DEPTH)
    began, down = scene.seconds(), scene.down()
    scene.broker.faults.garbage = True
    if with_data:
        # What is well-formed between the garbage is served, and the connection stays.
        took = await scene.ticking(2)
        await scene.run(60)
        assert not down()
    else:
        scene.broker.faults.silent = True
        await scene.until(down, 5, "nothing but garbage is noticed")
        scene.broker.faults.clear()
        noticed = scene.seconds()
        await scene.ticking(2)
        took = scene.seconds() - noticed
    scene.broker.faults.clear()
    await whole(scene)
    name = "garbage between the data" if with_data else "nothing but garbage, from its notice on"
    recovered(name, took=took, limit=2, attempts=scene.attempts(began), most=0 if with_data else 1)


@pytest.mark.parametrize("fault", ["half open", "slow loris"])
@pytest_twisted.ensureDeferred
async def test_a_handshake_without_end(make_scene: Any, recovered: Any, fault: str) -> None:
    scene = make_scene()
    await scene.hold(QUOTE)
    if fault == "half open":
        scene.broker.faults.half_open = True
    else:
        scene.broker.faults.slow_handshake = 1.0
    scene.broker.reset()
    began = scene.seconds()
    await scene.until(lambda: scene.attempts(began) == 1, 2, "the next dial")
    dialled = scene.seconds()
    # Whoever comes next is served; who hangs goes on to hang.
    scene.broker.faults.half_open = False
    await scene.until(lambda: scene.broker.sockets == 0, 2 * 20, "it is given up")
    scene.broker.faults.clear()
    await scene.ticking(2)
    took = scene.seconds() - dialled
    await whole(scene)
    recovered(fault, took=took, limit=2 * 20 + 2, attempts=scene.attempts(began), most=2)


@pytest.mark.parametrize(
    ("fault", "pings", "limit"),
    [
        ("no pong, but data", True, 2 * 20),
        ("dead peer behind an open socket", True, 2 * 20),
        ("dead peer, a feed without pings", False, 2 * 20),
        ("silent, but answering pings", True, 90),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_peer_that_falls_silent(
    make_scene: Any, recovered: Any, fault: str, pings: bool, limit: float
) -> None:
    scene = make_scene(adapter=kite(keepalive=PINGS) if pings else None)
    await scene.hold(QUOTE)
    began, down = scene.seconds(), scene.down()
    scene.broker.faults.no_pong = "pong" in fault or "dead" in fault
    scene.broker.faults.silent = "data" not in fault
    await scene.until(down, limit, "it is noticed")
    scene.broker.faults.clear()
    await scene.ticking(2)
    took = scene.seconds() - began
    await whole(scene)
    recovered(fault, took=took, limit=limit + 2, attempts=scene.attempts(began), most=1)


@pytest_twisted.ensureDeferred
async def test_a_disconnect_every_two_seconds_for_a_minute(make_scene: Any, recovered: Any) -> None:
    scene = make_scene()
    await scene.hold(QUOTE)
    scene.broker.faults.drop_every = 2.0
    began = scene.seconds()
    longest = 0.0
    while scene.seconds() < began + 60:
        down = scene.down()
        await scene.until(down, 3, "the next disconnect")
        longest = max(longest, await scene.ticking(2))
    scene.broker.faults.clear()
    await scene.ticking(2)
    await whole(scene)
    recovered(
        "disconnect every 2 s for a minute, each",
        took=longest,
        limit=2,
        attempts=scene.attempts(began),
        most=30,
    )


@pytest_twisted.ensureDeferred
async def test_a_login_that_is_accepted_and_closed_in_a_loop(make_scene: Any, recovered: Any) -> None:
    scene = make_scene()
    await scene.hold(QUOTE)
    scene.broker.faults.login_loop = 0.2
    began = scene.seconds()
    await scene.run(300)
    attempts = [attempt.at for attempt in scene.broker.journal.since(began)]
    busiest = max(sum(at <= other < at + 60 for other in attempts) for at in attempts)
    scene.broker.faults.clear()
    took = await scene.ticking(62)
    await whole(scene)
    recovered("login accepted, then closed, for 5 minutes", took=took, limit=62, attempts=busiest, most=8)
