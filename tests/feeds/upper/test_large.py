"""Thousands of instruments of one user, over many connections of two accounts, as the simulators count."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.adapter import Limits
from openalgo_ws.adapter.simulate import Accepted
from openalgo_ws.bus.demand import Granted
from openalgo_ws.tick import Mode, Wish
from tests.support.upper import Scene, kite, scenes

QUOTE = Wish(Mode.QUOTE)

INSTRUMENTS, PER_CONNECTION, PER_FRAME, PAUSE = 5000, 900, 250, 0.2


class Frames:
    """What each connection was sent: how many tokens, and when."""

    def __init__(self) -> None:
        self.sent: dict[int, list[tuple[float, int]]] = {}

    def watch(self, scene: Scene) -> None:
        for broker in scene.brokers.values():
            self._watch(broker.side, scene.seconds)

    def _watch(self, side: Any, seconds: Callable[[], float]) -> None:
        accept = side.accept

        def accepting(upgrade: Any) -> Any:
            answer = accept(upgrade)
            if isinstance(answer, Accepted):
                self._listen(answer.connection, seconds)
            return answer

        side.accept = accepting

    def _listen(self, connection: Any, seconds: Callable[[], float]) -> None:
        log = self.sent[len(self.sent)] = []
        received = connection.received

        def receiving(data: str) -> Any:
            message = json.loads(data)
            tokens = message["v"][1] if message["a"] == "mode" else message["v"]
            log.append((seconds(), len(tokens)))
            return received(data)

        connection.received = receiving


@pytest.fixture
def large() -> Iterator[Scene]:
    adapter = kite(
        limits=Limits(
            per_connection=PER_CONNECTION, connections=3, per_change=PER_FRAME, change_interval=PAUSE
        )
    )
    with scenes() as make:
        # Nothing ticks but what the broker sends upon a subscribe.
        yield make(count=INSTRUMENTS, adapter=adapter, brokers=2, plan="ann=ann,bob", rate=0.0)


@pytest_twisted.ensureDeferred
async def test_all_are_subscribed_within_every_limit_and_all_of_them_tick(large: Scene) -> None:
    frames = Frames()
    frames.watch(large)

    answers = await large.subscribe(QUOTE)
    took = await large.ticked(20)

    assert all(isinstance(answer, Granted) for answer in answers)
    assert large.carried("zerodha") == [PER_CONNECTION] * 3
    assert large.carried("reserve") == [500, PER_CONNECTION, PER_CONNECTION]
    (ann, bob) = large.manager.account_reports()
    for account in (ann, bob):
        assert [one.asked for one in account.pools[0].connections] == [
            one.instruments for one in account.pools[0].connections
        ]
    assert len(frames.sent) == 6
    for log in frames.sent.values():
        assert max(count for _, count in log) <= PER_FRAME
        times = sorted({at for at, _ in log})
        assert all(later - earlier >= PAUSE * 0.99 for earlier, later in pairwise(times))
    # Four frames a connection, three pauses in between; all connections side by side.
    assert took < 20 * PAUSE


@pytest_twisted.ensureDeferred
async def test_all_tick_again_after_the_broker_dropped_everything_and_after_a_restart(large: Scene) -> None:
    await large.subscribe(QUOTE)
    await large.ticked(20)
    for broker in large.brokers.values():
        broker.reset()
    await large.ticking(60)
    carried = large.carried("zerodha") + large.carried("reserve")
    assert sum(carried) == INSTRUMENTS
    assert max(carried) <= PER_CONNECTION

    await large.stop()
    large.start()
    large.bus.ticked.clear()
    await large.subscribe(QUOTE)
    await large.ticked(20)
    assert sum(large.carried("zerodha") + large.carried("reserve")) == INSTRUMENTS
