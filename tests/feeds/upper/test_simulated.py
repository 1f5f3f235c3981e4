"""The whole upper half over real sockets: pools, the morning's new token, orders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.adapter import Keepalive
from openalgo_ws.bus.demand import FeedState
from openalgo_ws.tick import Mode, Wish
from tests.support.upper import Scene, kite, scenes

QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)


@pytest.fixture
def make_scene() -> Iterator[Callable[..., Scene]]:
    with scenes() as make:
        yield make


@pytest_twisted.ensureDeferred
async def test_instruments_are_spread_and_all_of_them_tick(make_scene: Any) -> None:
    scene = make_scene(max_symbols=25)
    holds = await scene.hold(DEPTH)
    assert scene.carried() == [10, 25, 25]
    for (_, exchange), record in scene.bus.last.items():
        assert record.levels == (0 if exchange.endswith("_INDEX") else 5)
        assert record.mode is Mode.DEPTH
    await scene.exactly_once()
    assert {s.state for s in scene.listener.statuses} - {FeedState.CONNECTING} == {FeedState.CONNECTED}
    scene.manager.release(holds)
    await scene.until(lambda: sum(scene.carried()) == 0, 6, "they linger for five seconds")


@pytest_twisted.ensureDeferred
async def test_a_new_token_in_the_morning_costs_no_tick(make_scene: Any) -> None:
    scene = make_scene(max_symbols=40)
    await scene.hold(QUOTE)
    down, before = scene.down(), set(scene.broker.connections)
    scene.expire()
    scene.login()
    await scene.manager.credentials_changed("ann")
    await scene.until(lambda: not before & set(scene.broker.connections), 10, "both are replaced")
    await scene.exactly_once()
    assert scene.carried() == [20, 40]
    # Nobody saw a gap.
    assert not down()


@pytest_twisted.ensureDeferred
async def test_a_new_token_in_the_night_is_noticed_without_being_told(make_scene: Any) -> None:
    scene = make_scene()
    await scene.hold(QUOTE)
    before = set(scene.broker.connections)
    # From ten in the morning to half past three.
    scene.broker.rate = 0.1
    scene.environment.jump(17.5 * 3600)
    scene.expire()
    scene.login()
    await scene.until(lambda: not before & set(scene.broker.connections), 900, "it is replaced")
    scene.broker.rate = scene.rate
    await scene.exactly_once()
    assert scene.carried() == [60]


@pytest_twisted.ensureDeferred
async def test_with_every_place_taken_the_gap_is_announced(make_scene: Any) -> None:
    scene = make_scene(max_symbols=60, max_connections=1)
    await scene.hold(QUOTE)
    scene.expire()
    scene.login()
    await scene.manager.credentials_changed("ann")
    await scene.until(lambda: "gap" in scene.listener.statuses[-1].message, 5, "a gap is announced")
    await scene.exactly_once()
    assert scene.carried() == [60]


@pytest_twisted.ensureDeferred
async def test_a_refused_token_is_told_and_a_new_one_brings_everything_back(make_scene: Any) -> None:
    scene = make_scene()
    scene.expire()
    await scene.subscribe(QUOTE)
    await scene.until(lambda: scene.listener.denied.keys() == scene.names, 5, "each is refused")
    assert {denied.code for denied in scene.listener.denied.values()} == {"BROKER_CONNECTION_ERROR"}
    assert scene.listener.state is FeedState.AUTH_FAILED
    scene.login()
    await scene.manager.credentials_changed("ann")
    await scene.ticking(2)
    await scene.exactly_once()


@pytest_twisted.ensureDeferred
async def test_a_feed_that_stalled_is_called_stale_until_it_is_back(make_scene: Any) -> None:
    scene = make_scene(adapter=kite(keepalive=Keepalive()))
    await scene.hold(QUOTE)
    before = len(scene.listener.statuses)
    scene.broker.faults.silent = True
    await scene.until(scene.down(), 91, "it stalls")
    scene.broker.faults.clear()
    await scene.ticking(2)
    states = [status.state for status in scene.listener.statuses[before:]]
    assert states == [FeedState.STALE, FeedState.CONNECTED]
    assert "no tick for 90 s" in scene.listener.statuses[before].message


@pytest_twisted.ensureDeferred
async def test_a_second_feed_takes_over_at_once_when_the_first_is_stale(make_scene: Any) -> None:
    scene = make_scene(adapter=kite(keepalive=Keepalive()), brokers=2, plan="ann=ann,bob", failover=10.0)
    await scene.hold(QUOTE)
    scene.broker.faults.silent = True
    await scene.ticking(90.5)
    assert scene.carried("reserve") == [60]


@pytest_twisted.ensureDeferred
async def test_an_order_is_told_once_however_many_connections_there_are(make_scene: Any, t: Any) -> None:
    scene = make_scene(max_symbols=25)
    await scene.hold(QUOTE)
    one = scene.instruments[-1]
    for number in ("1", "2"):
        order = t.order(orderid=number, symbol=one.symbol, exchange=one.exchange, order_status="complete")
        scene.broker.order(order, one.token)
    await scene.run(2)
    assert [update["orderid"] for update in scene.bus.orders] == ["1", "2"]
    assert {(update["symbol"], update["user_id"]) for update in scene.bus.orders} == {(one.symbol, "ann")}
