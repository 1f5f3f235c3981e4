"""What the status port looks at. Everything here is read when somebody asks, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import msgspec

from openalgo_ws.bus.demand import Status
from openalgo_ws.feeds.report import AccountReport, FeedReport, Ledger
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.ops.probe import FEED as PROBE
from openalgo_ws.ops.probe import ProbeEar
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.reports import Reports

__all__ = ["Backlog", "Counts", "Feeds", "Intakes", "Link", "Sources", "Waiting", "Workers"]


class Feeds(Protocol):
    """The feeds' side: `openalgo_ws.feeds.manager.FeedManager`."""

    @property
    def ledger(self) -> Ledger: ...

    def feed_states(self) -> dict[str, Status]: ...

    def feed_reports(self) -> list[FeedReport]: ...

    def account_reports(self) -> list[AccountReport]: ...


class Backlog(Protocol):
    """The publisher's side of the bus: any `openalgo_ws.bus.interface.BusPublisher`."""

    @property
    def conflated(self) -> int: ...

    @property
    def lost(self) -> int: ...

    def backlog(self) -> int: ...


class Counts(Protocol):
    """What the feeds publish: `openalgo_ws.ops.meter.Meter`."""

    @property
    def ticks(self) -> Mapping[str, list[int]]: ...

    @property
    def orders(self) -> int: ...

    def published(self) -> dict[str, int]: ...


class Waiting(Protocol):
    """The gateway's side of the bus: `openalgo_ws.bus.intake.Intake`, or several of them."""

    @property
    def conflated(self) -> int: ...

    @property
    def conflating(self) -> bool: ...

    @property
    def messages(self) -> int: ...

    @property
    def size(self) -> int: ...

    def backlog(self) -> int: ...


class Link(Protocol):
    """The way to a worker: `openalgo_ws.scale.links.WorkerLink`."""

    @property
    def dropped(self) -> int: ...

    @property
    def intake(self) -> Waiting: ...


class Workers(Protocol):
    """The gateway's worker processes: `openalgo_ws.scale.supervisor.Supervisor`."""

    @property
    def deaths(self) -> int: ...

    @property
    def reports(self) -> Reports: ...

    @property
    def port(self) -> int: ...

    def ready(self) -> dict[str, str]: ...

    def links(self) -> Mapping[str, Link]: ...

    def notify(self, users: Collection[str], notice: Mapping[str, Any]) -> None: ...


class Intakes:
    """Several as one: a gateway that reads our own feeds from one bus and publishers outside from another."""

    def __init__(self, *intakes: Waiting) -> None:
        self._intakes = intakes

    @property
    def conflated(self) -> int:
        """Of all."""
        return sum(one.conflated for one in self._intakes)

    @property
    def conflating(self) -> bool:
        """Whether one does."""
        return any(one.conflating for one in self._intakes)

    @property
    def messages(self) -> int:
        """Of all."""
        return sum(one.messages for one in self._intakes)

    @property
    def size(self) -> int:
        """The largest."""
        return max(one.size for one in self._intakes)

    def backlog(self) -> int:
        """Of all."""
        return sum(one.backlog() for one in self._intakes)


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a server. Without feeds of its own it has no `feeds`, `bus`, `meter` and `probe`.
    With worker processes `gateway` is the one that serves the status page alone.

    ``unread`` tells the bytes of publishers outside that have come and that nobody has looked at. ``due``
    names the feeds of which something is held whose exchange trades now. ``served`` tells, where feeds are
    other processes' matter, whether one of these answers. ``shards``: what further feed processes report;
    the feeds, counts and publisher here are those of all together.
    """

    version: str
    gateway: Gateway
    pulse: Pulse
    feeds: Feeds | None = None
    bus: Backlog | None = None
    intake: Waiting | None = None
    unread: Callable[[], int] | None = None
    meter: Counts | None = None
    probe: ProbeEar | None = None
    due: Callable[[], set[str]] = set
    workers: Workers | None = None
    served: Callable[[], bool] | None = None
    shards: Reports | None = None

    def ticks(self) -> int:
        """Ticks that came over the bus, without the probe's."""
        return self.gateway.router.bus_stats.ticks - self._probes()

    def deliveries(self) -> int:
        """Messages with ticks that went to clients, without the probe's."""
        return self.gateway.router.stats.deliveries - self._probes() + self._elsewhere("deliveries")

    def _probes(self) -> int:
        return 0 if self.probe is None else self.probe.arrivals

    def _elsewhere(self, key: str) -> int:
        return 0 if self.workers is None else self.workers.reports.total(key)

    def loop_lag(self) -> float:
        """How late the event loop was at worst since this was last asked (seconds); of all processes."""
        there = [
            reports.loop_lag_ms() / 1000
            for reports in (self.shards, None if self.workers is None else self.workers.reports)
            if reports is not None
        ]
        return max(self.pulse.worst(), *there, 0.0)

    def notify(self, users: Collection[str], notice: Mapping[str, Any]) -> None:
        """Send a notice to those clients of these users that asked for notices."""
        self.gateway.notify(users, notice)
        if self.workers is not None:
            self.workers.notify(users, notice)

    def port(self) -> int:
        """Where clients connect; 0 where they don't connect to this process."""
        if self.workers is not None:
            return self.workers.port
        return next((int(address.port) for address in self.gateway.addresses()), 0)

    def encoded(self) -> int:
        """Messages made of ticks, without the probe's."""
        told = self.gateway.router.told.items()
        return sum(one.encoded for (feed, _), one in told if feed != PROBE) + self._elsewhere("encoded")

    def outboxes(self) -> int:
        """Outboxes that serve clients, without the probe's."""
        return (
            self.gateway.router.delivery.outboxes() - (self.probe is not None) + self._elsewhere("outboxes")
        )

    def bytes_sent(self) -> int:
        """Bytes written to clients, those that are gone included."""
        clients = self.gateway.clients()
        here = sum(one.writer.bytes_sent for one in clients)
        return self.gateway.context.tally.bytes_of_gone + here + self._elsewhere("bytes_sent")
