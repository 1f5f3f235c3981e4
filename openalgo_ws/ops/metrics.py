"""``/metrics``: what the parts have counted, in Prometheus' words.

Nothing is counted here. The parts keep plain integers anyway; they are read when Prometheus asks.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from openalgo_ws.bus.demand import FeedState
from openalgo_ws.feeds.life import ConnectionState
from openalgo_ws.feeds.report import ConnectionReport
from openalgo_ws.ops.alerts import Alerts
from openalgo_ws.ops.histogram import Histogram
from openalgo_ws.ops.probe import FEED as PROBE
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.sources import Feeds, Sources, Workers
from openalgo_ws.ops.webhook import Webhook
from openalgo_ws.tick import Mode

__all__ = ["CONTENT_TYPE", "Metrics", "loop_metric", "server_metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
_PREFIX = "openalgo_ws_"
#: How the feed of publishers that don't name themselves is called.
_UNTAGGED = "(bus)"

Labels = tuple[str, ...]


class Metrics:
    """A registry of our own, with the server's numbers and those of its process."""

    def __init__(
        self, sources: Sources, alerts: Alerts | None = None, webhook: Webhook | None = None
    ) -> None:
        """Where ``sources`` have workers, theirs are in it, too."""
        self._registry = CollectorRegistry()
        self._registry.register(_Server(sources))
        if alerts is not None:
            self._registry.register(_Alerts(alerts, webhook))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of them in the text format."""
        return generate_latest(self._registry)


def server_metrics(sources: Sources) -> Iterator[Metric]:
    """What the parts of this process have counted."""
    return _Server(sources).parts()


def loop_metric(pulse: Pulse) -> Metric:
    """How late an event loop is."""
    return _histogram("event_loop_lag_seconds", "How late the event loop is.", pulse.delays)


class _Alerts(Collector):
    """Reads the alerts at every scrape."""

    def __init__(self, alerts: Alerts, webhook: Webhook | None) -> None:
        self._alerts = alerts
        self._webhook = webhook

    def collect(self) -> Iterator[Metric]:
        states = {key: float(active) for key, active in self._alerts.states().items()}
        yield _gauge("alert_active", "1 while an alert is raised.", states, "name", "feed")
        results = {} if self._webhook is None else self._webhook.results()
        yield _counter("alert_posts", "Alerts for the webhook, by what became of them.", results, "result")


class _Server(Collector):
    """Reads the parts at every scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        workers, shards = self._sources.workers, self._sources.shards
        own = self.parts() if shards is None else shards.metrics(self.parts())
        if workers is None:
            return own
        return workers.reports.metrics(itertools.chain(own, _workers(workers)))

    def parts(self) -> Iterator[Metric]:
        """What this process has counted."""
        sources = self._sources
        info = InfoMetricFamily(f"{_PREFIX}build", "The version that runs.")
        info.add_metric([], {"version": sources.version})
        yield info
        yield from self._clients()
        yield from self._deliveries()
        yield from self._ticks()
        yield from self._bus()
        yield loop_metric(sources.pulse)
        if sources.probe is not None:
            help = "From a feed's publication to the write to a client, measured by a probe 4 times a second."
            yield _histogram("latency_seconds", help, sources.probe.latencies)
        if sources.feeds is not None:
            yield from _feeds(sources.feeds, sources.due())
            yield from _connections(sources.feeds)
            yield from _ledger(sources.feeds)

    def _clients(self) -> Iterator[Metric]:
        gateway, tally = self._sources.gateway, self._sources.gateway.context.tally
        clients = gateway.clients()
        held = {(mode.title,): float(count) for mode, count in tally.subscriptions.items()}
        waiting = sum(session.writer.waiting for session in clients)
        behind = sum(gateway.router.delivery.behind(session.writer) for session in clients)
        yield _gauge("connections", "Clients connected, by format.", _by(s.format for s in clients), "format")
        yield _gauge("users", "Users with an authenticated client.", len(gateway.context.sessions))
        yield _counter("connections_opened", "Clients that connected.", tally.opened)
        yield _counter("connections_refused", "Clients turned away.", tally.refused, "reason")
        yield _counter("connections_closed", "Connections that we closed.", tally.closed, "code")
        yield _counter("authentications", "Answers to authenticate.", tally.authentications, "result")
        yield _gauge(
            "subscriptions",
            "Subscriptions (symbol and mode) that clients and status pages hold.",
            held,
            "mode",
        )
        yield _counter("subscribes", "Symbols in answers to subscribe.", tally.subscribes, "result")
        yield _gauge("client_waiting_bytes", "Bytes that clients have not taken yet, at most.", waiting)
        yield _gauge("slow_clients", "Clients that are given only the latest values.", behind)
        yield _counter("slow_client_events", "How often a client became slow.", tally.overflows)
        yield _counter("client_sent_bytes", "Bytes written to clients.", self._sources.bytes_sent())

    def _deliveries(self) -> Iterator[Metric]:
        router = self._sources.gateway.router
        settings = self._sources.gateway.context.settings
        told = {
            (feed or _UNTAGGED, mode.title): stats
            for (feed, mode), stats in router.told.items()
            if feed != PROBE
        }
        encoded = {labels: stats.encoded for labels, stats in told.items()}
        conflated = {labels: stats.conflated for labels, stats in told.items()}
        by = ("feed", "mode")
        yield _counter("ticks_out", "Messages made of ticks; each goes to one client or many.", encoded, *by)
        yield _counter("conflated", "Ticks that a newer one replaced before they went out.", conflated, *by)
        yield _counter("deliveries", "Messages with ticks to clients.", self._sources.deliveries())
        yield _gauge("outboxes", "Outboxes; fewer than clients where some share.", self._sources.outboxes())
        yield _gauge("throttled_channels", "Symbols that wait for their throttle.", router.throttled())
        yield _gauge("kept_values", "Latest values that wait for slow clients.", router.delivery.kept())
        yield _gauge(
            "throttle_seconds", "Throttle of clients that ask for none.", settings.throttle_ms / 1000
        )

    def _ticks(self) -> Iterator[Metric]:
        meter = self._sources.meter
        if meter is None:
            return
        ticks = {
            (feed, mode.title): float(counts[mode])
            for feed, counts in meter.ticks.items()
            for mode in Mode
            if counts[mode]
        }
        yield _counter("ticks_in", "Ticks that feeds published.", ticks, "feed", "mode")
        yield _counter("orders_in", "Order updates that feeds published.", meter.orders)

    def _bus(self) -> Iterator[Metric]:
        counts, bus = self._sources.gateway.router.bus_stats, self._sources.bus
        yield _counter("bus_messages", "Messages from the bus.", counts.messages)
        yield _counter("bus_ticks", "Ticks from the bus.", counts.ticks)
        yield _counter("bus_unwanted_ticks", "Ticks from the bus that nobody held.", counts.unwanted)
        yield _counter("bus_malformed", "Messages from the bus that could not be used.", counts.malformed)
        intake = self._sources.intake
        if intake is not None:
            yield _counter("intake_messages", "Messages read from the bus.", intake.messages)
            yield _gauge(
                "intake_backlog", "Messages, or instruments, that wait for the gateway.", intake.backlog()
            )
            yield _gauge(
                "intake_batch", "Messages read from the bus at a time; more where it lags.", intake.size
            )
            yield _gauge(
                "intake_conflating",
                "1 while only the latest of each instrument is kept.",
                int(intake.conflating),
            )
            yield _counter(
                "intake_conflated",
                "Ticks replaced while the gateway lagged behind the bus.",
                intake.conflated,
            )
        unread = self._sources.unread
        if unread is not None:
            yield _gauge(
                "bus_unread_bytes", "What publishers outside sent and nobody looked at yet.", unread()
            )
        if bus is not None:
            yield _gauge("bus_backlog", "Records that wait for room on the bus.", bus.backlog())
            yield _counter("bus_conflated", "Records replaced while they waited for room.", bus.conflated)
            yield _counter("bus_lost", "Order updates that found no room, and what is too long.", bus.lost)


def _workers(workers: Workers) -> Iterator[Metric]:
    ready = {(slot,): float(state == "ready") for slot, state in workers.ready().items()}
    yield _gauge("worker_ready", "1 where a worker process serves clients.", ready, "slot")
    yield _counter("worker_deaths", "Worker processes that ended by themselves.", workers.deaths)
    links = workers.links()
    dropped = {(name,): float(link.dropped) for name, link in links.items()}
    yield _gauge("worker_dropped", "Messages for a worker that found no room at all.", dropped, "name")
    waiting = {(name,): float(link.intake.backlog()) for name, link in links.items()}
    yield _gauge("worker_backlog", "Messages, or instruments, that wait for a worker.", waiting, "name")


def _feeds(feeds: Feeds, due: set[str]) -> Iterator[Metric]:
    states, held, expected = {}, {}, {}
    for feed in feeds.feed_reports():
        for state in FeedState:
            states[feed.tag, feed.broker or "", state.value] = float(state is feed.state)
        held[(feed.tag,)] = float(feed.held)
        expected[(feed.tag,)] = float(feed.tag in due)
    yield _gauge("feed_state", "1 for the state that a feed is in.", states, "feed", "broker", "state")
    yield _gauge("feed_instruments", "Instruments that a feed serves.", held, "feed")
    yield _gauge("feed_in_session", "Whether something of a feed trades now.", expected, "feed")


def _connections(feeds: Feeds) -> Iterator[Metric]:
    ages: dict[Labels, float] = {}
    wanted: dict[Labels, float] = {}
    asked: dict[Labels, float] = {}
    loads: dict[Labels, float] = {}
    capacities: dict[Labels, float] = {}
    states: dict[Labels, float] = {}
    for account in feeds.account_reports():
        for pool in account.pools:
            labels = (account.account, account.broker, pool.feed)
            wanted[labels] = float(sum(connection.instruments for connection in pool.connections))
            asked[labels] = float(sum(connection.asked for connection in pool.connections))
            loads[labels], capacities[labels] = float(pool.load), float(pool.capacity)
            age = _youngest(pool.connections)
            if age is not None:
                ages[labels] = age
            counts = Counter(connection.state for connection in pool.connections)
            for state in ConnectionState:
                states[*labels, state.value] = float(counts[state.value])
    by = ("account", "broker", "socket")
    yield _gauge("tick_age_seconds", "Time since the last tick.", ages, *by)
    yield _gauge("pool_instruments", "Instruments that connections are to carry.", wanted, *by)
    yield _gauge("pool_asked", "Of these, what the broker has been asked for.", asked, *by)
    yield _gauge("pool_load", "Instruments (or the broker's units) carried.", loads, *by)
    yield _gauge("pool_capacity", "How much may be carried.", capacities, *by)
    yield _gauge("pool_connections", "Connections to the broker by state.", states, *by, "state")


def _ledger(feeds: Feeds) -> Iterator[Metric]:
    entries = [
        ((account, broker, feed), counted) for account, broker, feed, counted in feeds.ledger.entries()
    ]
    by = ("account", "broker", "socket")
    ended = {(*labels, cause): n for labels, counted in entries for cause, n in counted.ended.items()}
    yield _counter("reconnects", "Connections and attempts that ended, by cause.", ended, *by, "cause")
    for name, attribute, help in (
        ("dials", "dials", "Sockets dialled."),
        ("logins", "logins", "Logins that got through."),
        ("received_frames", "frames", "Messages from brokers."),
        ("received_bytes", "bytes", "Bytes from brokers."),
        ("received_ticks", "ticks", "Ticks from brokers, before they are joined."),
        ("received_malformed", "malformed", "Messages from brokers that could not be read."),
        ("refusals", "rejected", "Subscriptions that brokers refused."),
    ):
        values = {labels: getattr(counted, attribute) for labels, counted in entries}
        yield _counter(f"broker_{name}", help, values, *by)


def _youngest(connections: Iterable[ConnectionReport]) -> float | None:
    return min((one.tick_age for one in connections if one.tick_age is not None), default=None)


def _by(labels: Iterable[str]) -> dict[Labels, float]:
    return {(label,): float(count) for label, count in Counter(labels).items()}


def _counter(name: str, help: str, value: object, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"{_PREFIX}{name}", help, labels=labels), value)


def _gauge(name: str, help: str, value: object, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"{_PREFIX}{name}", help, labels=labels), value)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, value: object) -> Metric:
    """``value`` is one number, or a mapping of labels (a tuple, or the only one) to numbers."""
    if isinstance(value, dict):
        for labels, number in value.items():
            texts = labels if isinstance(labels, tuple) else (labels,)
            family.add_metric([str(text) for text in texts], float(number))
    elif isinstance(value, int | float):
        family.add_metric([], float(value))
    return family


def _histogram(name: str, help: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(f"{_PREFIX}{name}", help)
    family.add_metric([], buckets=histogram.cumulative(), sum_value=histogram.total)
    return family
