"""What the status port of one of several feed processes shows: the feed sides that this process has now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from openalgo_ws.bus.demand import Status
from openalgo_ws.feeds.report import AccountReport, FeedReport, Ledger
from openalgo_ws.tap.feeds import OwnFeeds

__all__ = ["Presently"]


class Presently:
    """Feeds, counts and publishers of the present terms, for `openalgo_ws.ops.sources.Sources`; nothing of
    what other processes lead. Counters begin anew with each term."""

    def __init__(self, own: Callable[[], Sequence[OwnFeeds]]) -> None:
        self._own = own

    # Feeds.

    @property
    def ledger(self) -> Ledger:
        """What connections have counted."""
        return Ledger.of(own.manager.ledger for own in self._own())

    def feed_states(self) -> dict[str, Status]:
        """How each feed is."""
        return {tag: state for own in self._own() for tag, state in own.manager.feed_states().items()}

    def feed_reports(self) -> list[FeedReport]:
        """The feeds."""
        return [report for own in self._own() for report in own.manager.feed_reports()]

    def account_reports(self) -> list[AccountReport]:
        """The accounts' sessions."""
        return [report for own in self._own() for report in own.manager.account_reports()]

    def due(self) -> set[str]:
        """Feeds of which something is held whose exchange trades now."""
        return {tag for own in self._own() for tag in own.stale.due()}

    # Counts of what the feeds publish. A feed is published by one of them.

    @property
    def ticks(self) -> Mapping[str, list[int]]:
        """For each feed a list of counts, indexed by `Mode`."""
        return {tag: counts for own in self._own() for tag, counts in own.meter.ticks.items()}

    @property
    def orders(self) -> int:
        """Order updates."""
        return sum(own.meter.orders for own in self._own())

    def published(self) -> dict[str, int]:
        """How many ticks each feed has published."""
        return {tag: count for own in self._own() for tag, count in own.meter.published().items()}

    # The publishers.

    @property
    def conflated(self) -> int:
        """Ticks that a newer one replaced while they waited for NATS."""
        return sum(own.publisher.conflated for own in self._own())

    @property
    def lost(self) -> int:
        """Order updates that were dropped because too many waited."""
        return sum(own.publisher.lost for own in self._own())

    def backlog(self) -> int:
        """What waits for NATS."""
        return sum(own.publisher.backlog() for own in self._own())
