"""Every adapter behind the feeds when its broker fails: everything ticks again, within the time promised.

What the feeds do about it is the matter of tests/faults; here it is shown for every protocol there is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.adapter import Adapter
from openalgo_ws.registry import Registry
from openalgo_ws.simulator.journal import Outcome
from openalgo_ws.tick import Mode, Wish
from tests.support.upper import Scene, scenes

QUOTE = Wish(Mode.QUOTE)


@pytest.fixture
def make_scene() -> Iterator[Callable[..., Scene]]:
    with scenes() as make:
        yield make


def pause_after_close(adapter: Adapter, scene: Any) -> float:
    """The seconds that a broker asks for before the next connection."""
    codecs = [
        feed.codec(scene.broker.credentials, scene.environment) for feed in adapter.feeds if feed.market
    ]
    return max(codec.closed(None, "").wait or 0.0 for codec in codecs)


@pytest.mark.parametrize("fault", ["reset", "tear", "garbage", "silent"])
@pytest.mark.parametrize("broker", Registry().names())
@pytest_twisted.ensureDeferred
async def test_everything_ticks_again(make_scene: Any, broker: str, fault: str) -> None:
    adapter = Registry().load(broker)
    # A silence is long: where it is, the broker looks after its connections less often.
    scene = make_scene(adapter=adapter, count=24, interval=0.25 if fault == "silent" else 0.05)
    await scene.hold(QUOTE)
    before, sockets = scene.carried(), scene.broker.sockets
    began, down = scene.seconds(), scene.down()
    if fault == "silent":
        scene.broker.faults.silent = True
        stall = max(feed.keepalive.stall_after for feed in adapter.feeds if feed.market)
        await scene.until(down, stall + 1, "it is noticed")
        scene.broker.faults.clear()
    elif fault == "garbage":
        scene.broker.faults.garbage = True
        await scene.run(5)
        scene.broker.faults.clear()
    elif fault == "tear":
        scene.broker.tear()
    else:
        scene.broker.reset()
    # Garbage inside a byte stream can't be skipped: each piece of it costs a connection, and the
    # pauses between them grow.
    lost = fault == "garbage" and scene.broker.takes_streams
    await scene.ticking((6 if lost else 2) + pause_after_close(adapter, scene))
    scene.broker.rate = 0.0
    await scene.run(3)
    assert scene.carried() == before
    assert scene.broker.sockets <= sockets
    dialled = [a for a in scene.broker.journal.since(began) if a.outcome is not Outcome.HTTP]
    assert len(dialled) <= (6 if lost else 3)
    for one in scene.instruments:
        # Some brokers send whole paise, whatever the instrument.
        published = json.loads(scene.bus.last[one.symbol, one.exchange].body)
        assert published["ltp"] == pytest.approx(scene.exchange.last(one).ltp, abs=0.01)
