"""What a newcomer sees first: the simulated exchange of ``--demo``."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from openalgo_ws.demo import Demo
from openalgo_ws.registry import Registry


@pytest.mark.parametrize("name", [("NSE", "RELIANCE"), ("NSE_INDEX", "NIFTY"), ("NSE", "HDFCBANK")])
def test_what_everybody_knows_ticks_several_times_a_second(name: tuple[str, str]) -> None:
    demo = Demo(Clock(), Registry())
    broker = demo.broker
    try:
        # Ten seconds, a hundredth after the other.
        moments = [broker.exchange.step(int(broker.rate) // 100) for _ in range(1000)]
    finally:
        demo.clean()
    ticks = sum(name in {(one.exchange, one.symbol) for one in touched} for touched in moments)
    assert 40 <= ticks <= 100
    # And everything else ticks as well.
    assert len({one for touched in moments for one in touched}) == len(broker.exchange)
