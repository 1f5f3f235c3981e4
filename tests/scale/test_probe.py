"""A probe that is sent in one process and heard in another, on one clock."""

from __future__ import annotations

from openalgo_ws.bus.records import TickRecord, pack, topic_for
from openalgo_ws.ops.probe import FEED, Probe, ProbeEar
from tests.gateway.support import Rig


class Pipe:
    """A sink whose records arrive when somebody fetches them."""

    def __init__(self) -> None:
        self.sent: list[TickRecord] = []

    def publish(self, feed: str, record: TickRecord) -> None:
        assert feed == FEED
        self.sent.append(record)

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        raise AssertionError("a probe sends no orders")


def test_each_process_measures_its_own_way() -> None:
    feed, worker, pipe = Rig(), Rig(), Pipe()
    worker.clock = feed.clock
    probe = Probe(feed.clock, pipe, feed.router)
    ear = ProbeEar(feed.clock, worker.router)
    probe.startService()
    ear.startService()
    for _ in range(3):
        feed.clock.advance(0.25)
        message = (topic_for(FEED), pack([pipe.sent[-1]]))
        feed.clock.advance(0.001)
        feed.router.receive([message])
        feed.clock.advance(0.002)
        worker.router.receive([message])
    assert probe.arrivals == ear.arrivals == 3
    assert round(probe.percentile(0.5) or 0, 6) == 0.001
    assert round(ear.percentile(0.5) or 0, 6) == 0.003
    assert ear.waiting == 0.0
    probe.stopService()
    ear.stopService()
    for rig in (feed, worker):
        rig.router.stop()
    assert not feed.clock.getDelayedCalls()


def test_a_last_value_is_no_measure() -> None:
    feed, worker, pipe = Rig(), Rig(), Pipe()
    probe = Probe(feed.clock, pipe, feed.router)
    probe.startService()
    feed.clock.advance(0.25)
    first = ProbeEar(worker.clock, worker.router)
    first.startService()
    worker.router.receive([(topic_for(FEED), pack(pipe.sent))])
    first.stopService()
    second = ProbeEar(worker.clock, worker.router)
    second.startService()
    worker.router.delivery.flush()
    assert second.arrivals == 0
    second.stopService()
    probe.stopService()
    for rig in (feed, worker):
        rig.router.stop()
