"""What a worker tells of itself, and what the reports of all workers are together.

Counters and histograms are sums over all workers, those that are gone included, so that they only grow.
A gauge has a sample for each worker that lives, with its label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from prometheus_client.core import Metric

from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.report import AccountReport, FeedReport, Ledger

__all__ = ["Family", "Fed", "Report", "Reports", "families"]

Labels = tuple[tuple[str, str], ...]

#: Families that are sums: they go on counting when a worker has ended.
_SUMMED = frozenset({"counter", "histogram"})
#: Label of a gauge's worker, and what it is for the supervisor's process.
_WORKER, _OWN = "worker", "feeds"


class Family(msgspec.Struct, frozen=True, array_like=True):
    """A metric with its samples: name, labels, value."""

    name: str
    kind: str
    help: str
    samples: list[tuple[str, Labels, float]]


class Fed(msgspec.Struct, frozen=True):
    """What a feed process has counted since its start. ``ticks`` and ``orders`` are those it published,
    ``conflated`` and ``lost`` its publisher's; ``connections`` those of the `Ledger`."""

    ticks: dict[str, list[int]] = {}
    orders: int = 0
    conflated: int = 0
    lost: int = 0
    connections: list[tuple[str, str, str, ConnectionCounters]] = []

    def __add__(self, other: Fed) -> Fed:
        ticks = {feed: list(counts) for feed, counts in self.ticks.items()}
        for feed, counts in other.ticks.items():
            known = ticks.get(feed)
            ticks[feed] = (
                list(counts) if known is None else [a + b for a, b in zip(known, counts, strict=True)]
            )
        ledger = Ledger()
        for entry in (*self.connections, *other.connections):
            ledger.add(*entry)
        return Fed(
            ticks,
            self.orders + other.orders,
            self.conflated + other.conflated,
            self.lost + other.lost,
            ledger.entries(),
        )


class Report(msgspec.Struct, frozen=True):
    """One worker at one moment. ``pid`` is its process' number; ``status`` is a part of ``/api/status``,
    ``clients`` its list of connections, ``brokers`` those of its clients."""

    pid: int = 0
    metrics: list[Family] = []
    status: dict[str, Any] = {}
    clients: list[dict[str, Any]] = []
    brokers: list[str] = []
    #: Of a feed process: its part of the accounts and of the feeds, what it has counted, how much waits for
    #: room on the bus, and the feeds of which it has something that trades now.
    accounts: list[AccountReport] = []
    feeds: list[FeedReport] = []
    fed: Fed = Fed()
    backlog: int = 0
    due: list[str] = []


def families(metrics: Iterable[Metric]) -> list[Family]:
    """Metrics as they travel. What describes the build is the same everywhere and left out."""
    return [
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            [(sample.name, tuple(sample.labels.items()), sample.value) for sample in metric.samples],
        )
        for metric in metrics
        if metric.type != "info"
    ]


class Reports:
    """The latest report of each worker, by name, and what those that are gone had counted."""

    def __init__(self) -> None:
        self.latest: dict[str, Report] = {}
        self._gone: dict[str, Family] = {}
        self._gone_status: dict[str, float] = {}
        self._gone_fed = Fed()

    def put(self, name: str, report: Report) -> None:
        """A worker has reported."""
        self.latest[name] = report

    def retire(self, name: str) -> None:
        """A worker is gone: what it had counted goes on to count."""
        report = self.latest.pop(name, None)
        if report is None:
            return
        for family in report.metrics:
            if family.kind in _SUMMED:
                known = self._gone.get(family.name)
                self._gone[family.name] = family if known is None else _sum([known, family])
        for key in COUNTED:
            self._gone_status[key] = self._gone_status.get(key, 0) + report.status.get(key, 0)
        self._gone_fed += report.fed

    def total(self, key: str) -> int:
        """The sum of one number of the statuses; of `COUNTED`, with workers that are gone."""
        now = sum(report.status.get(key, 0) for report in self.latest.values())
        return int(now + self._gone_status.get(key, 0))

    def loop_lag_ms(self) -> float:
        """The worst delay of an event loop that was reported last."""
        return max((float(one.status.get("loop_lag_ms", 0.0)) for one in self.latest.values()), default=0.0)

    def fed(self, own: Fed) -> Fed:
        """What this process' feeds, ``own``, and all feed processes have counted, those that are gone too."""
        return sum((report.fed for report in self.latest.values()), own + self._gone_fed)

    def metrics(self, own: Iterable[Metric]) -> Iterator[Metric]:
        """The metrics of all workers together, with those of the supervisor's process, ``own``."""
        found: dict[str, list[tuple[str, Family]]] = {
            name: [("", family)] for name, family in self._gone.items()
        }
        for worker, report in self.latest.items():
            for family in report.metrics:
                found.setdefault(family.name, []).append((worker, family))
        for metric in own:
            if metric.type == "info" or metric.name not in found:
                # What the workers don't have needs no label.
                yield metric
            else:
                found[metric.name] += [(_OWN, family) for family in families([metric])]
        for members in found.values():
            if members[0][1].kind in _SUMMED:
                yield _metric(_sum([family for _, family in members]))
            else:
                yield _metric(_labelled(members))


#: Numbers of a status that only grow.
COUNTED = ("deliveries", "encoded", "conflated", "bytes_sent")


def _sum(members: list[Family]) -> Family:
    first = members[0]
    samples: dict[tuple[str, Labels], float] = {}
    for family in members:
        for name, labels, value in family.samples:
            if not name.endswith("_created"):
                samples[name, labels] = samples.get((name, labels), 0.0) + value
    return Family(
        first.name, first.kind, first.help, [(name, labels, v) for (name, labels), v in samples.items()]
    )


def _labelled(members: list[tuple[str, Family]]) -> Family:
    first = members[0][1]
    samples = [
        (name, (*labels, (_WORKER, worker)), value)
        for worker, family in members
        for name, labels, value in family.samples
    ]
    return Family(first.name, first.kind, first.help, samples)


def _metric(family: Family) -> Metric:
    metric = Metric(family.name, family.help, family.kind)
    for name, labels, value in family.samples:
        metric.add_sample(name, dict(labels), value)
    return metric
