"""The status port's parts: who is let in, what is measured, the word about a silent feed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from openalgo_ws.bus.records import pack, topic_for
from openalgo_ws.config.alerts import AlertText
from openalgo_ws.ops.alerts import tells_of_silence
from openalgo_ws.ops.histogram import Histogram
from openalgo_ws.ops.meter import Meter
from openalgo_ws.ops.probe import Probe
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.stale import StaleWatch
from openalgo_ws.tick import Mode
from tests.gateway.support import Rig, record


class Sink:
    def __init__(self) -> None:
        self.ticks: list[tuple[str, Any]] = []
        self.orders: list[str] = []

    def publish(self, feed: str, record: Any) -> None:
        self.ticks.append((feed, record))

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        self.orders.append(user)


class Calendar:
    open = True

    def in_session(self, exchange: str, now: float) -> bool:
        return self.open and exchange == "NSE"


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    said: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace", "").startswith("openalgo_ws.ops"):
            said.append(event["feed"])

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)


def test_a_silent_feed_is_warned_of_once_while_its_exchange_is_open(warnings: list[str]) -> None:
    clock, calendar = Clock(), Calendar()
    held = {"alice": {"NSE", "MCX"}, "bob": {"MCX"}}
    published = {"alice": 0}
    watch = StaleWatch(
        clock,
        after=120.0,
        published=lambda: published,
        held=lambda: held,
        calendar=calendar,
        now=clock.seconds,
        alerted=lambda feed: False,
    )
    watch.startService()
    assert watch.due() == {"alice"}
    clock.pump([30.0] * 4)
    assert warnings == []
    clock.pump([30.0] * 6)
    assert warnings == ["alice"]
    published["alice"] += 1
    clock.pump([30.0] * 10)
    assert warnings == ["alice", "alice"]
    calendar.open = False
    clock.pump([30.0] * 10)
    assert len(warnings) == 2
    watch.stopService()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([], ["alice", "bob", "carol"]),
        (["tick_age_s>60:0s"], ["carol"]),
        (["tick_age_s{bob}>60:0s"], ["alice", "carol"]),
        (["tick_age_s{zerodha}>60:0s"], ["bob", "carol"]),
        (["tick_age_s<60:0s", "feed_down_s>60:0s"], ["alice", "bob", "carol"]),
    ],
)
def test_of_a_silent_feed_that_has_an_alert_there_is_no_second_word(
    warnings: list[str], rules: list[str], said: list[str]
) -> None:
    clock = Clock()
    read = [AlertText().parse(text, Path()) for text in rules]
    # Alerts know nothing of carol's.
    brokers = {"alice": "zerodha", "bob": "upstox"}
    watch = StaleWatch(
        clock,
        after=60.0,
        published=dict,
        held=lambda: {feed: {"NSE"} for feed in ("alice", "bob", "carol")},
        calendar=Calendar(),
        now=clock.seconds,
        alerted=tells_of_silence(read, lambda: brokers),
    )
    watch.startService()
    clock.pump([15.0] * 12)
    assert sorted(warnings) == said
    watch.stopService()


def test_what_feeds_publish_is_counted_by_mode_and_passed_on() -> None:
    sink = Sink()
    meter = Meter(sink)
    meter.publish("alice", record(1.0))
    meter.publish("alice", record(1.0, mode=Mode.DEPTH))
    meter.publish("bob", record(1.0, mode=Mode.QUOTE))
    meter.publish_order("zerodha", "bob", {})
    assert meter.ticks == {"alice": [0, 1, 0, 1], "bob": [0, 0, 1, 0]}
    assert meter.published() == {"alice": 2, "bob": 1}
    assert [feed for feed, _ in sink.ticks] == ["alice", "alice", "bob"]
    assert (meter.orders, sink.orders) == (1, ["bob"])


def test_a_histogram_counts_as_prometheus_does() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(value)
    assert histogram.cumulative() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert histogram.total == 12.0


def test_the_pulse_notes_how_late_it_is() -> None:
    clock = Clock()
    pulse = Pulse(clock, 0.1)
    pulse.startService()
    clock.pump([0.1, 0.1])
    assert pulse.worst() < 1e-6
    clock.advance(0.45)
    assert pulse.worst() == pytest.approx(0.35)
    assert pulse.worst() == 0.0
    pulse.stopService()
    assert clock.getDelayedCalls() == []


def test_a_probe_goes_the_way_of_a_tick_and_takes_as_long() -> None:
    rig, sink = Rig(), Sink()
    probe = Probe(rig.clock, sink, rig.router, 0.25)
    probe.startService()

    def arrive() -> None:
        feed, sent = sink.ticks.pop()
        rig.router.receive([(topic_for(feed), pack([sent]))])

    rig.clock.advance(0.25)
    rig.clock.advance(0.1)
    assert probe.waiting == pytest.approx(0.1)
    arrive()
    assert probe.waiting == 0.0
    assert probe.percentile(0.5) == pytest.approx(0.1)
    assert probe.fresh() == (pytest.approx(0.1), pytest.approx(0.1))
    assert probe.fresh() == (None, None)
    rig.clock.pump([0.25] * 4)
    assert len(sink.ticks) == 1, "one at a time"
    rig.clock.pump([0.25] * 50)
    assert len(sink.ticks) == 2, "one that is lost is sent again"
    arrive()
    sink.ticks.clear()
    assert probe.arrivals == 2
    probe.stopService()
    rig.router.stop()
    assert rig.clock.getDelayedCalls() == []
