"""The reports of several workers as one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from openalgo_ws.ops.reports import Report, Reports, families


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
