"""Clocks that jump, processes that restart, and a second feed that takes over."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.adapter import Keepalive, Refused
from openalgo_ws.tick import Mode, Wish
from tests.support.upper import kite

QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)
MANY = 3000
HOUR = 3600.0


@pytest.mark.parametrize("wish", [QUOTE, DEPTH], ids=["quote", "depth"])
@pytest.mark.parametrize("jump", [-6 * HOUR, -90.0, 90.0, 12 * HOUR])
@pytest_twisted.ensureDeferred
async def test_the_clock_of_the_machine_jumps(
    make_scene: Any, recovered: Any, jump: float, wish: Wish
) -> None:
    scene = make_scene(adapter=kite(keepalive=Keepalive()))
    await scene.hold(wish)
    began, down = scene.seconds(), scene.down()
    scene.environment.jump(jump)
    took = await scene.ticking(2)
    # Longer than any stall time; few ticks will do.
    scene.broker.rate = 10.0
    await scene.run(200)
    await scene.exactly_once()
    assert not down()
    name = f"clock jumps by {jump:+g} s ({wish.mode.title})"
    recovered(name, took=took, limit=2, attempts=scene.attempts(began), most=0)
    # Nor is a socket that breaks after it any different.
    scene.broker.reset()
    broken = scene.seconds()
    took = await scene.ticking(2)
    await scene.exactly_once()
    recovered(f"{name}, then a reset", took=took, limit=2, attempts=scene.attempts(broken), most=1)


@pytest.mark.parametrize("who", ["feeds", "broker"])
@pytest_twisted.ensureDeferred
async def test_a_restart_with_three_thousand_subscriptions(make_scene: Any, recovered: Any, who: str) -> None:
    scene = make_scene(count=MANY, rate=3000.0)
    await scene.hold(QUOTE)
    began = scene.seconds()
    if who == "feeds":
        await scene.stop()
        scene.bus.ticked.clear()
        scene.start()
        await scene.subscribe(QUOTE)
    else:
        port = scene.broker.port
        await scene.broker.stop()
        scene.bus.ticked.clear()
        scene.broker.listen(port)
    await scene.ticked(4)
    took = scene.seconds() - began
    await scene.exactly_once()
    assert scene.carried() == [MANY]
    recovered(f"{who} restarted, {MANY} symbols", took=took, limit=4, attempts=scene.attempts(began), most=1)


@pytest.mark.parametrize("fault", ["gone", "stale", "refused", "half open"])
@pytest_twisted.ensureDeferred
async def test_a_second_feed_takes_over_and_the_first_takes_back(
    make_scene: Any, recovered: Any, fault: str
) -> None:
    scene = make_scene(brokers=2, plan="ann=ann,bob", adapter=kite(keepalive=Keepalive()))
    await scene.hold(QUOTE)
    first, second = scene.brokers["zerodha"], scene.brokers["reserve"]
    assert scene.carried("reserve") == [0]
    began, port = scene.seconds(), first.port
    if fault == "gone":
        await first.stop()
    elif fault == "stale":
        first.faults.silent = True
    elif fault == "refused":
        first.faults.refuse = Refused(401)
        first.reset()
    else:
        first.faults.half_open = True
        first.reset()
    # Silence becomes a stall after 90 s.
    limit = 92 if fault == "stale" else 2
    await scene.ticking(limit)
    took = scene.seconds() - began
    await scene.exactly_once(second)
    assert scene.carried("reserve") == [60]
    name = f"the first feed is {fault}"
    recovered(f"failover, {name}", took=took, limit=limit, attempts=scene.attempts(began), most=2)
    first.faults.clear()
    if fault == "gone":
        first.listen(port)
    elif fault == "refused":
        first.credentials["access_token"] = "tomorrows-access-token"
        scene.login()
    back = scene.seconds()
    await scene.until(lambda: sum(scene.carried("reserve")) == 0, 180, "the first takes back")
    recovered(
        f"take-back, {name}", took=scene.seconds() - back, limit=180, attempts=scene.attempts(back), most=8
    )
    await scene.exactly_once(first)
    assert scene.carried() == [60]
