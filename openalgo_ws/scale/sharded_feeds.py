"""How the feeds are, over all shards: what each has reported, put together by account and by tag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from openalgo_ws.bus.demand import Status
from openalgo_ws.feeds.report import AccountReport, FeedReport, Ledger, PoolReport
from openalgo_ws.feeds.session import WORST_FIRST
from openalgo_ws.ops.reports import Fed, Reports
from openalgo_ws.ops.sources import Backlog, Counts, Feeds

__all__ = ["ShardedFeeds", "fed"]


class ShardedFeeds:
    """Feeds, counts and publishers for `openalgo_ws.ops.sources.Sources`: those of this process, and of those
    that report. What they have counted only grows, whoever of them ends."""

    def __init__(
        self,
        own: Feeds,
        reports: Reports,
        *,
        meter: Counts,
        bus: Backlog,
        due: Callable[[], set[str]],
    ) -> None:
        self._own = own
        self._reports = reports
        self._meter = meter
        self._bus = bus
        self._due = due

    @property
    def ledger(self) -> Ledger:
        """What connections have counted."""
        ledger = Ledger()
        for entry in self._fed().connections:
            ledger.add(*entry)
        return ledger

    def due(self) -> set[str]:
        """Feeds of which something is held whose exchange trades now."""
        return self._due().union(*(report.due for report in self._reports.latest.values()))

    @property
    def ticks(self) -> Mapping[str, list[int]]:
        """For each feed a list of counts, indexed by `Mode`."""
        return self._fed().ticks

    @property
    def orders(self) -> int:
        """Order updates."""
        return self._fed().orders

    def published(self) -> dict[str, int]:
        """How many ticks each feed has published."""
        return {feed: sum(counts) for feed, counts in self.ticks.items()}

    @property
    def conflated(self) -> int:
        """Records that a newer one replaced while they waited for room."""
        return self._fed().conflated

    @property
    def lost(self) -> int:
        """What found no room at all."""
        return self._fed().lost

    def backlog(self) -> int:
        """What waits for room."""
        return self._bus.backlog() + sum(report.backlog for report in self._reports.latest.values())

    def _fed(self) -> Fed:
        return self._reports.fed(fed(self._own, self._meter, self._bus))

    def feed_states(self) -> dict[str, Status]:
        """For each feed's tag how it is: as its worst shard."""
        return {one.tag: Status(one.broker, one.state, one.message) for one in self.feed_reports()}

    def feed_reports(self) -> list[FeedReport]:
        """The logical feeds, each once."""
        by_tag: dict[str, list[FeedReport]] = {}
        for report in (self._own.feed_reports(), *(one.feeds for one in self._reports.latest.values())):
            for feed in report:
                by_tag.setdefault(feed.tag, []).append(feed)
        return [_feed(parts) for parts in by_tag.values()]

    def account_reports(self) -> list[AccountReport]:
        """The accounts, each once with the connections of all shards."""
        by_name: dict[tuple[str, str], list[AccountReport]] = {}
        for report in (self._own.account_reports(), *(one.accounts for one in self._reports.latest.values())):
            for account in report:
                by_name.setdefault((account.account, account.broker), []).append(account)
        return [_account(parts) for parts in by_name.values()]


def fed(feeds: Feeds, meter: Counts, bus: Backlog) -> Fed:
    """What the feeds of this process have counted."""
    return Fed(dict(meter.ticks), meter.orders, bus.conflated, bus.lost, feeds.ledger.entries())


def _feed(parts: list[FeedReport]) -> FeedReport:
    worst = min(parts, key=lambda part: WORST_FIRST.index(part.state))
    return msgspec.structs.replace(
        worst,
        users=sorted({user for part in parts for user in part.users}),
        held=sum(part.held for part in parts),
    )


def _account(parts: list[AccountReport]) -> AccountReport:
    worst = min(parts, key=lambda part: WORST_FIRST.index(part.state))
    pools: dict[str, list[PoolReport]] = {}
    for pool in (pool for part in parts for pool in part.pools):
        pools.setdefault(pool.feed, []).append(pool)
    return msgspec.structs.replace(worst, pools=[_pool(same) for same in pools.values()])


def _pool(parts: Iterable[PoolReport]) -> PoolReport:
    parts = list(parts)
    return PoolReport(
        feed=parts[0].feed,
        load=sum(part.load for part in parts),
        capacity=sum(part.capacity for part in parts),
        limit=sum(part.limit for part in parts),
        connections=[one for part in parts for one in part.connections],
    )
