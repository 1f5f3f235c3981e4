"""The reports of several workers as one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.ops.reports import Fed, Report, Reports, families
from openalgo_ws.scale import control as c
from openalgo_ws.scale.sharded_feeds import ShardedFeeds
from tests.ops.conftest import FakeBus, FakeFeeds


def counted(times: int, level: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    counter = Counter("sent", "Messages.", ["feed"], registry=registry)
    counter.labels("alice").inc(times)
    Gauge("open", "Connections.", registry=registry).set(level)
    histogram = Histogram("lag", "Delays.", buckets=(0.1, 1.0), registry=registry)
    for _ in range(times):
        histogram.observe(0.05)
    return registry


def report(times: int, level: float) -> Report:
    metrics = families(counted(times, level).collect())
    return Report(metrics=metrics, status={"deliveries": times, "clients": level})


def text(reports: Reports, own: CollectorRegistry) -> str:
    class Together(Collector):
        def collect(self):
            return reports.metrics(own.collect())

    registry = CollectorRegistry()
    registry.register(Together())
    return generate_latest(registry).decode()


def test_counters_and_histograms_are_sums_and_gauges_are_told_apart() -> None:
    reports = Reports()
    reports.put("0.1", report(3, 5.0))
    reports.put("1.2", report(4, 6.0))
    shown = text(reports, counted(1, 0.5))
    assert 'sent_total{feed="alice"} 8.0' in shown
    assert 'lag_bucket{le="0.1"} 8.0' in shown
    assert "lag_count 8.0" in shown
    for worker, level in (("0.1", 5.0), ("1.2", 6.0), ("feeds", 0.5)):
        assert f'open{{worker="{worker}"}} {level}' in shown
    assert shown.count("# TYPE lag histogram") == 1


def test_what_a_worker_had_counted_outlives_it() -> None:
    reports = Reports()
    reports.put("0.1", report(3, 5.0))
    reports.retire("0.1")
    reports.retire("0.1")
    reports.put("0.2", report(4, 6.0))
    shown = text(reports, CollectorRegistry())
    assert 'sent_total{feed="alice"} 7.0' in shown
    assert "lag_count 7.0" in shown
    assert '0.1"' not in shown.replace('le="0.1"', "")
    assert reports.total("deliveries") == 7
    assert reports.total("clients") == 6


def test_what_only_the_supervisor_has_needs_no_label() -> None:
    reports = Reports()
    own = CollectorRegistry()
    Gauge("feeds", "Feeds.", registry=own).set(2)
    assert "feeds 2.0" in text(reports, own)


def shard(ticks: int, ended: int) -> Report:
    """A feed process' report as it arrives."""
    counters = ConnectionCounters(dials=1, ticks=ticks)
    counters.ended["stalled"] = ended
    made = Report(
        status={"loop_lag_ms": float(ticks)},
        fed=Fed({"alice": [0, ticks, 0, 0]}, 1, 2, 3, [("alice", "zerodha", "ticker", counters)]),
        backlog=ticks,
        due=["bob"],
    )
    message = c.decode_from_worker(c.encode(c.Reported(made)))
    assert isinstance(message, c.Reported)
    return message.report


class FakeMeter:
    def __init__(self) -> None:
        self.ticks = {"alice": [0, 1, 2, 3], "carol": [0, 0, 0, 9]}
        self.orders = 5

    def published(self) -> dict[str, int]:
        raise AssertionError("it is summed over all")


def test_what_feed_processes_counted_is_summed_and_outlives_them() -> None:
    reports = Reports()
    meter = FakeMeter()
    feeds = ShardedFeeds(FakeFeeds(), reports, meter=meter, bus=FakeBus(), due=lambda: {"alice"})
    reports.put("0.1", shard(10, 4))
    reports.put("1.2", shard(20, 0))
    assert feeds.due() == {"alice", "bob"}
    assert feeds.backlog() == 9 + 10 + 20
    assert reports.loop_lag_ms() == 20.0
    reports.retire("0.1")
    assert feeds.backlog() == 9 + 20
    for _ in range(2):
        assert feeds.ticks == {"alice": [0, 31, 2, 3], "carol": [0, 0, 0, 9]}
        assert feeds.published() == {"alice": 36, "carol": 9}
        assert (feeds.orders, feeds.conflated, feeds.lost) == (5 + 2, 4 + 4, 1 + 6)
        ((account, broker, socket, counted),) = feeds.ledger.entries()
        assert (account, broker, socket) == ("alice", "zerodha", "ticker")
        assert (counted.dials, counted.ticks, counted.ended) == (3 + 2, 20 + 30, {"stalled": 2 + 4})
        # Reading changes nothing.
        assert meter.ticks == {"alice": [0, 1, 2, 3], "carol": [0, 0, 0, 9]}
