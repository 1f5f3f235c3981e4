"""How the feeds are, over all shards: what each has reported, put together by account and by tag."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from openalgo_ws.bus.demand import Status
from openalgo_ws.feeds.report import AccountReport, FeedReport, Ledger, PoolReport
from openalgo_ws.feeds.session import WORST_FIRST
from openalgo_ws.ops.reports import Reports
from openalgo_ws.ops.sources import Feeds

__all__ = ["ShardedFeeds"]


class ShardedFeeds:
    """`openalgo_ws.ops.sources.Feeds` of this process, ``own``, and of those that report."""

    def __init__(self, own: Feeds, reports: Reports) -> None:
        self._own = own
        self._reports = reports

    @property
    def ledger(self) -> Ledger:
        """What the connections of this process have counted."""
        return self._own.ledger

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
