"""Who is told of alerts: the log, the status pages, the webhook, and of a feed's its own users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.config import Settings
from openalgo_ws.config.alerts import rules_in_force
from openalgo_ws.ops.alerts import Alert, Alerts, as_notice
from openalgo_ws.ops.events import EventLog
from openalgo_ws.ops.history import History
from openalgo_ws.ops.live import LiveFactory
from openalgo_ws.ops.monitor import PerformanceMonitor
from openalgo_ws.ops.sources import Sources
from openalgo_ws.ops.webhook import Webhook

__all__ = ["AlertWatch"]


class AlertWatch:
    """Monitor, alerts and webhook of one server, as ``settings`` say. ``now`` gives epoch seconds."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        sources: Sources,
        history: History,
        now: Callable[[], float],
        clock: IReactorTime,
    ) -> None:
        self._sources = sources
        self.monitor = PerformanceMonitor(clock, sources, history)
        rules = rules_in_force(settings.alerts, settings.stale_tick_warn_seconds)
        self.alerts = Alerts(clock, rules, brokers=self._brokers, now=now)
        self.monitor.listener = self.alerts.told
        #: None where nothing is posted.
        self.webhook: Webhook | None = None
        if settings.alert_webhook is not None:
            self.webhook = Webhook(reactor, settings.alert_webhook)
        self.alerts.listeners.append(self._tell_users)
        self.alerts.listeners.append(self._post)

    def tell(self, pages: LiveFactory, events: EventLog) -> None:
        """Tell the status pages, too: whoever sees one may see everything."""

        def tell(alert: Alert) -> None:
            pages.tell(as_notice(alert, feed=alert.feed))
            if alert.status == "cleared":
                # That one was raised is a warning in the log, which the events show anyway.
                of = f" of feed {alert.feed}" if alert.feed else ""
                events.add("info", f"alert cleared: {alert.name}{of}: {alert.message}")

        self.alerts.listeners.append(tell)

    def _brokers(self) -> Mapping[str, str | None]:
        feeds = self._sources.feeds
        return {} if feeds is None else {tag: status.broker for tag, status in feeds.feed_states().items()}

    def _tell_users(self, alert: Alert) -> None:
        feeds = self._sources.feeds
        if not alert.feed or feeds is None:
            return
        for feed in feeds.feed_reports():
            if feed.tag == alert.feed:
                self._sources.notify(feed.users, as_notice(alert, broker=feed.broker))

    def _post(self, alert: Alert) -> None:
        if self.webhook is not None:
            of = f" of feed {alert.feed}" if alert.feed else ""
            text = f"openalgo-ws: {alert.name}{of} {alert.status}: {alert.message}"
            # `text` is what chat services show.
            self.webhook.post(as_notice(alert, feed=alert.feed, at=alert.at, text=text))
