"""How the server does, as numbers by name: what alerts are decided on.

Nothing is measured for this. Once a second it reads what the parts count anyway, and makes rates, shares
and ages of it; what takes longer is read every five seconds. The names are those of
`openalgo_ws.config.alerts.MEASURES`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.bus.demand import FeedState
from openalgo_ws.ops.history import History
from openalgo_ws.ops.sources import Sources

__all__ = ["PerformanceMonitor", "Values"]

#: Measure → feed's tag ("" where it is the whole server's) → value.
Values = dict[str, dict[str, float]]

#: Seconds between two looks at which feeds have something that trades: that goes through all they hold.
_FEEDS = 5.0


class PerformanceMonitor:
    """Reads ``sources`` once a second, after ``history`` has; ``listener`` is called with the values.

    A feed has ages only while something that it serves trades, and they begin when that begins: nobody
    is told in the morning that nothing has come all night. A latency is absent where none was measured.
    """

    def __init__(self, clock: IReactorTime, sources: Sources, history: History) -> None:
        self._clock = clock
        self._sources = sources
        self._history = history
        self._read = (0, 0)
        self._due: set[str] = set()
        self._looked = float("-inf")
        #: Feed → what it had published when that was last seen to grow, and when that was.
        self._ticked: dict[str, tuple[int, float]] = {}
        #: Feed → since when it is not live.
        self._down: dict[str, float] = {}
        self.values: Values = {}
        self.listener: Callable[[Values], None] = lambda values: None
        history.listeners.append(self._sample)

    def _sample(self) -> None:
        if not self._history.samples:
            return
        self._feeds()
        self.values = self._server()
        self.values["tick_age_s"] = {tag: self._now() - at for tag, (_, at) in self._ticked.items()}
        self.values["feed_down_s"] = {tag: self._now() - at for tag, at in self._down.items()}
        self.listener(self.values)

    def _now(self) -> float:
        return self._clock.seconds()

    def _server(self) -> Values:
        sources, sample = self._sources, self._history.samples[-1]
        clients = sources.gateway.clients()
        behind = sources.gateway.router.delivery.behind
        found: dict[str, float | None] = {
            "loop_lag_ms": sample.loop_lag,
            "latency_p50_ms": sample.latency_p50,
            "latency_p99_ms": sample.latency_p99,
            "ticks_per_s": sample.ticks,
            "deliveries_per_s": sample.deliveries,
            "clients": len(clients) + self._of_workers("connections"),
            "slow_clients": sum(behind(client.writer) for client in clients)
            + self._of_workers("slow_clients"),
        }
        if sources.probe is not None and sources.probe.waiting > 1.0:
            # One that does not arrive says more than those that did.
            waiting = sources.probe.waiting * 1000
            for name in ("latency_p50_ms", "latency_p99_ms"):
                found[name] = max(found[name] or 0.0, waiting)
        if sources.bus is not None:
            found["bus_backlog"] = float(sources.bus.backlog())
        if sources.intake is not None:
            found["intake_backlog"] = sources.intake.backlog() + self._of_workers("intake_backlog")
            found["intake_conflated_pct"] = self._conflated()
        return {name: {"": value} for name, value in found.items() if value is not None}

    def _of_workers(self, name: str) -> float:
        """A gauge, summed over what worker processes reported last."""
        workers = self._sources.workers
        if workers is None:
            return 0.0
        families = (family for report in workers.reports.latest.values() for family in report.metrics)
        return sum(
            value
            for family in families
            if family.name == f"openalgo_ws_{name}"
            for _, _, value in family.samples
        )

    def _conflated(self) -> float:
        intake = self._sources.intake
        assert intake is not None
        # What arrived is what was replaced and what got through.
        counts = intake.conflated, self._sources.gateway.router.bus_stats.ticks
        replaced, through = (new - old for new, old in zip(counts, self._read, strict=True))
        self._read = counts
        return 100.0 * replaced / (replaced + through) if replaced else 0.0

    def _feeds(self) -> None:
        feeds, meter, now = self._sources.feeds, self._sources.meter, self._now()
        if feeds is None:
            return
        if now - self._looked >= _FEEDS:
            self._looked = now
            self._due = self._sources.due()
        states = feeds.feed_states()
        due = self._due & states.keys()
        published = {} if meter is None else meter.published()
        for seen in (self._ticked, self._down):
            for gone in seen.keys() - due:
                del seen[gone]
        for tag in due:
            count = published.get(tag, 0)
            before = self._ticked.get(tag)
            if before is None or count != before[0]:
                self._ticked[tag] = (count, now)
            if states[tag].state is FeedState.CONNECTED:
                # Still to be seen: that it is back is what clears an alert.
                self._down[tag] = now
            else:
                self._down.setdefault(tag, now)
