"""Alerts: when they are raised and cleared, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import pytest_twisted
from prometheus_client.core import GaugeMetricFamily
from twisted.internet.task import Clock

from openalgo_ws.bus.demand import FeedState
from openalgo_ws.bus.records import pack, topic_for
from openalgo_ws.config.alerts import AlertText
from openalgo_ws.ops.alerts import Alert, Alerts
from openalgo_ws.ops.monitor import PerformanceMonitor
from openalgo_ws.ops.reports import Report, Reports, families
from tests.gateway.support import record
from tests.ops.page import open_page
from tests.ops.test_status_port import samples


class Scene:
    """Alerts on a clock, told a value a second."""

    def __init__(self, *rules: str) -> None:
        self.clock = Clock()
        self.brokers = {"alice": "zerodha", "bob": "angel"}
        read = [AlertText().parse(rule, Path()) for rule in rules]
        self.alerts = Alerts(self.clock, read, brokers=lambda: self.brokers, now=self.clock.seconds)
        self.heard: list[Alert] = []
        self.alerts.listeners.append(self.heard.append)

    def tell(self, name: str, values: Sequence[float | None], feed: str = "") -> list[str]:
        """What was raised or cleared meanwhile."""
        before = len(self.heard)
        for value in values:
            self.alerts.told({} if value is None else {name: {feed: value}})
            self.clock.advance(1.0)
        return [alert.status for alert in self.heard[before:]]


def test_it_is_raised_after_a_while_and_cleared_below_a_lower_bound() -> None:
    scene = Scene("loop_lag_ms>20:3s<10:2s")
    assert scene.tell("loop_lag_ms", [30, 30, 30]) == []
    assert scene.tell("loop_lag_ms", [30]) == ["raised"]
    assert scene.tell("loop_lag_ms", [15] * 20) == [], "between the bounds it stays raised"
    assert scene.tell("loop_lag_ms", [5, 5]) == []
    assert scene.tell("loop_lag_ms", [5]) == ["cleared"]
    raised, cleared = scene.heard
    assert (raised.value, raised.threshold, raised.feed) == (30.0, 20.0, "")
    assert raised.message == "30 is above 20 for 3 s"
    assert cleared.message == "5 is no longer above 10 for 2 s"


def test_a_value_to_and_fro_raises_nothing_and_clears_nothing() -> None:
    scene = Scene("loop_lag_ms>20:3s<10:3s")
    assert scene.tell("loop_lag_ms", [30, 30, 5] * 10) == []
    assert scene.tell("loop_lag_ms", [30] * 4) == ["raised"]
    assert scene.tell("loop_lag_ms", [5, 5, 30] * 10) == []


def test_a_value_that_was_not_measured_ends_the_wait_and_changes_nothing() -> None:
    scene = Scene("latency_p99_ms>20:3s<10:3s")
    assert scene.tell("latency_p99_ms", [30, 30, None, 30, 30]) == []
    assert scene.tell("latency_p99_ms", [30, 30]) == ["raised"]
    assert scene.tell("latency_p99_ms", [None] * 20) == []
    assert [alert.name for alert in scene.alerts.active()] == ["latency_p99_ms"]


def test_too_little_is_a_reason_as_well() -> None:
    scene = Scene("ticks_per_s<10:2s>20:2s")
    assert scene.tell("ticks_per_s", [5, 5, 5]) == ["raised"]
    assert scene.tell("ticks_per_s", [15] * 5) == []
    assert scene.tell("ticks_per_s", [25, 25, 25]) == ["cleared"]


def test_each_feed_has_its_own_and_the_rule_that_names_it() -> None:
    scene = Scene("tick_age_s>60:0s", "tick_age_s{zerodha}>5:0s", "tick_age_s{bob}>30:0s")
    scene.brokers["carol"] = "dhan"
    scene.alerts.told({"tick_age_s": {"alice": 10.0, "bob": 10.0, "carol": 10.0}})
    assert [(alert.feed, alert.threshold) for alert in scene.heard] == [("alice", 5.0)]
    scene.alerts.told({"tick_age_s": {"alice": 10.0, "bob": 40.0, "carol": 40.0}})
    assert [(alert.feed, alert.threshold) for alert in scene.heard[1:]] == [("bob", 30.0)]


def test_a_feed_that_has_nothing_to_do_is_no_longer_accused() -> None:
    scene = Scene("tick_age_s>60:2s")
    assert scene.tell("tick_age_s", [70, 71, 72], "alice") == ["raised"]
    assert scene.tell("tick_age_s", [None], "alice") == ["cleared"]
    assert scene.heard[-1].value is None
    assert scene.tell("tick_age_s", [70, 71], "alice") == [], "in the morning it begins anew"


def test_what_is_watched_is_known_before_anything_happens() -> None:
    scene = Scene("loop_lag_ms>20", "tick_age_s>60:0s")
    assert scene.alerts.states() == {("loop_lag_ms", ""): False, ("tick_age_s", ""): False}
    scene.tell("tick_age_s", [70], "alice")
    assert scene.alerts.states()["tick_age_s", "alice"] is True


# The whole way: from what the parts count to those who are told.


@pytest_twisted.ensureDeferred
async def test_a_feeds_alert_goes_to_its_users_and_to_the_page(watched: Any, dial: Any) -> None:
    rig = watched(on_clock=True, WS_ALERTS="feed_down_s>3:0s")
    alice, bob = await dial(rig.server), await dial(rig.server)
    for client, key in ((alice, "alice-key"), (bob, "bob-key")):
        await client.ask(action="authenticate", api_key=key, notices=True)
    page = await open_page(rig.port.server.port, "alice")
    rig.tick(1)
    rig.feeds.state = FeedState.RECONNECTING
    rig.tick(6)
    notice = await alice.next()
    assert notice == {
        "type": "alert",
        "name": "feed_down_s",
        "status": "raised",
        "value": 4.0,
        "threshold": 3.0,
        "message": "4 is above 3",
        "broker": "zerodha",
    }
    assert (await page.until("alert"))["feed"] == "alice"
    _, status = await rig.json("/api/status")
    assert [(one["name"], one["feed"], one["status"]) for one in status["alerts"]] == [
        ("feed_down_s", "alice", "raised")
    ]
    key = ("openalgo_ws_alert_active", (("feed", "alice"), ("name", "feed_down_s")))
    assert samples((await rig.get("/metrics"))[1])[key] == 1
    rig.feeds.state = FeedState.CONNECTED
    rig.tick(2)
    assert (await alice.next())["status"] == "cleared"
    assert samples((await rig.get("/metrics"))[1])[key] == 0
    assert await bob.all_said() == []
    texts = [event.text for event in rig.events.since(0)]
    assert texts == [
        "alert raised: feed_down_s of feed alice: 4 is above 3",
        "alert cleared: feed_down_s of feed alice: 0 is no longer above 2.4",
    ]
    await page.end()


@pytest_twisted.ensureDeferred
async def test_users_are_not_told_of_the_server(watched: Any, dial: Any) -> None:
    rig = watched(on_clock=True, WS_ALERTS="clients>0:0s")
    alice = await dial(rig.server)
    await alice.ask(action="authenticate", api_key="alice-key", notices=True)
    page = await open_page(rig.port.server.port, "alice")
    rig.tick(1)
    assert (await page.until("alert"))["name"] == "clients"
    assert await alice.all_said() == []
    await page.end()


def test_ages_begin_when_trading_does(watched: Any) -> None:
    rig = watched(on_clock=True)
    rig.due.clear()
    rig.tick(100)
    assert rig.port.monitor.values["tick_age_s"] == {}
    rig.due.add("alice")
    rig.tick(11)
    age = rig.port.monitor.values["tick_age_s"]["alice"]
    assert 5.0 <= age <= 10.0
    rig.meter.publish("alice", record(1.0))
    rig.tick(1)
    assert rig.port.monitor.values["tick_age_s"]["alice"] == 0.0


def test_rates_and_shares(watched: Any) -> None:
    rig = watched(on_clock=True)
    rig.tick(1)
    ticks = [(topic_for("nobody"), pack([record(float(n)) for n in range(30)]))]
    rig.server.gateway.receive(ticks)
    rig.intake.conflated += 10
    rig.tick(1)
    values = rig.port.monitor.values
    assert values["ticks_per_s"] == {"": pytest.approx(30.0)}
    assert values["intake_conflated_pct"] == {"": 25.0}
    assert values["bus_backlog"] == {"": 9.0}
    rig.tick(1)
    assert rig.port.monitor.values["intake_conflated_pct"] == {"": 0.0}


def test_what_workers_reported_counts(watched: Any) -> None:
    reports = Reports()
    for name, clients in (("one", 3), ("two", 4)):
        gauge = GaugeMetricFamily("openalgo_ws_connections", "", labels=["format"])
        gauge.add_metric(["openalgo"], clients)
        gauge.add_metric(["binary"], 1)
        reports.put(name, Report(metrics=families([gauge])))
    rig = watched(on_clock=True)
    workers = SimpleNamespace(reports=reports)
    monitor = PerformanceMonitor(
        rig.clock, msgspec.structs.replace(rig.sources, workers=workers), rig.history
    )
    rig.tick(1)
    assert monitor.values["clients"] == {"": 9.0}


def test_a_probe_that_does_not_arrive_counts(watched: Any) -> None:
    rig = watched(on_clock=True)
    rig.tick(5)
    assert rig.port.monitor.values["latency_p99_ms"][""] > 1000
