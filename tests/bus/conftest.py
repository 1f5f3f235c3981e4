"""A bus on ZeroMQ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet import reactor

from openalgo_ws.bus.zeromq import ZmqBus


@pytest.fixture
def bus() -> Iterator[ZmqBus]:
    bus = ZmqBus(reactor)
    yield bus
    bus.shutdown()
