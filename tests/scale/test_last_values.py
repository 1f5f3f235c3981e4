"""Last values on their way from the feed process' router to a worker's, without sockets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from openalgo_ws.bus.demand import UNTAGGED, Hold
from openalgo_ws.bus.records import LAST_VALUES, pack, pack_messages, topic_for
from openalgo_ws.gateway.formats import ENCODERS
from openalgo_ws.gateway.router import Router
from openalgo_ws.scale.fanout import LastValues
from openalgo_ws.tick import Mode, Wish
from tests.gateway.support import Rig, record


class FakeLink:
    """A `WorkerLink` whose messages the worker's router has at once."""

    def __init__(self, worker: Rig) -> None:
        self._worker = worker
        self.sent: list[tuple[bytes, bytes]] = []

    def send(self, messages: list[tuple[bytes, bytes]]) -> None:
        self.sent += messages
        self._worker.router.receive(messages)


class Both:
    """The routers of a feed process and of a worker."""

    def __init__(self) -> None:
        self.feed = Rig()
        self.worker = Rig()
        self.worker.router = Router(
            self.worker.clock,
            ENCODERS,
            wall_ms=lambda: 0,
            control=lambda topic, payload: self.worker.control.append((topic, payload)),
            mirror=True,
        )
        self.link = FakeLink(self.worker)
        self.values = LastValues(self.feed.clock, self.feed.router, {"w": self.link}.get)  # type: ignore[arg-type]

    def hold(self, gateway: str = "w", mode: Mode = Mode.LTP, feed: str = "f") -> Hold:
        made = Hold(feed, "SBIN", "NSE", Wish(mode))
        self.values.held(gateway, made)
        self.feed.clock.advance(0)
        return made

    def publish(self, ltp: float, mode: Mode = Mode.LTP) -> None:
        """A tick that reaches both."""
        message = (topic_for("f"), pack([record(ltp, mode=mode)]))
        self.feed.router.receive([message])
        self.worker.router.receive([message])


@pytest.fixture
def both() -> Both:
    return Both()


def snapshots(writer: Any) -> list[tuple[float, bool]]:
    return [(message["data"]["ltp"], message.get("snapshot", False)) for _, message in writer.received]


def test_whoever_subscribes_after_them_begins_with_the_last_value(both: Both) -> None:
    both.hold("other")
    both.feed.router.receive([(topic_for("f"), pack([record(1.0)]))])
    both.hold()
    writer = both.worker.writer()
    both.worker.hold(writer)
    both.worker.router.delivery.flush_client(writer)
    both.publish(2.0)
    assert snapshots(writer) == [(1.0, True), (2.0, False)]


def test_whoever_subscribed_before_them_is_told(both: Both) -> None:
    both.hold("other")
    both.feed.router.receive([(topic_for("f"), pack([record(1.0)]))])
    writer = both.worker.writer()
    both.worker.hold(writer)
    both.hold()
    both.publish(2.0)
    assert snapshots(writer) == [(1.0, True), (2.0, False)]


def test_a_tick_that_overtakes_the_answer_is_kept_for_who_asked(both: Both) -> None:
    both.values.asked("f", "SBIN", "NSE")
    both.values.asked("f", "INFY", "NSE")
    both.publish(1.0)
    both.hold()
    both.values.refused("f", "INFY", "NSE")
    writer = both.worker.writer()
    both.worker.hold(writer)
    both.worker.router.delivery.flush_client(writer)
    assert snapshots(writer) == [(1.0, True)]
    assert [line.symbol for line in both.feed.router.index.lines()] == ["SBIN"]


def test_nothing_is_told_where_something_newer_is_known(both: Both) -> None:
    writer = both.worker.writer()
    both.worker.hold(writer)
    both.worker.router.receive([(topic_for("f"), pack([record(3.0)]))])
    both.worker.router.receive([(LAST_VALUES, pack_messages([(topic_for("f"), pack([record(2.0)]))]))])
    assert snapshots(writer) == [(3.0, False)]


def test_untagged_values_come_as_they_were_published(both: Both) -> None:
    both.hold("other", feed=UNTAGGED)
    both.feed.foreign(b"NSE_SBIN_QUOTE", {"ltp": 5.0, "volume": 7})
    both.feed.foreign(b"NSE_SBIN_LTP", {"ltp": 6.0})
    both.hold(feed=UNTAGGED)
    poor, rich = both.worker.writer(), both.worker.writer()
    both.worker.hold(poor, feed=UNTAGGED)
    both.worker.hold(rich, feed=UNTAGGED, mode=Mode.QUOTE)
    for writer in (poor, rich):
        both.worker.router.delivery.flush_client(writer)
    assert snapshots(poor) == [(6.0, True)]
    assert [message["data"]["volume"] for _, message in rich.received] == [7]


def test_values_are_kept_while_a_worker_holds_and_a_while_longer(both: Both) -> None:
    first, second = both.hold(), both.hold(mode=Mode.QUOTE)
    both.publish(1.0)
    both.feed.clock.advance(1000)
    both.values.given_back("w", first)
    both.feed.clock.advance(1000)
    assert [line.ticks for line in both.feed.router.index.lines()] == [1]
    both.values.given_back("w", second)
    both.feed.clock.advance(299)
    assert list(both.feed.router.index.lines())
    both.feed.clock.advance(2)
    assert not list(both.feed.router.index.lines())
    both.feed.router.stop()


def test_each_worker_is_sent_them_once(both: Both) -> None:
    both.hold("other")
    both.publish(1.0)
    both.hold()
    both.hold(mode=Mode.QUOTE)
    assert len(both.link.sent) == 1


def test_only_a_mirror_takes_them() -> None:
    rig = Rig()
    rig.router.receive([(LAST_VALUES, pack_messages([(topic_for("f"), pack([record(1.0)]))]))])
    assert not list(rig.router.index.lines())
    assert [topic for topic, _ in rig.control] == [LAST_VALUES]


_pairs = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)))


@given(st.binary(max_size=60) | _pairs.map(pack_messages))
def test_nonsense_is_counted_and_nothing_else(data: bytes) -> None:
    both = Both()
    both.worker.router.receive([(LAST_VALUES, data)])
    assert not any(line.lasts() for line in both.worker.router.index.lines())
    both.publish(1.0)
    both.worker.router.stop()


def test_a_clock_is_not_left_behind(both: Both) -> None:
    clock: Clock = both.feed.clock
    both.values.held("w", Hold("f", "SBIN", "NSE", Wish(Mode.LTP)))
    both.values.stop()
    assert not clock.getDelayedCalls()
