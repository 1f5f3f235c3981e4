"""What the status port of one of several feed processes shows: the feed side while this process leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from openalgo_ws.bus.demand import Status
from openalgo_ws.feeds.report import AccountReport, FeedReport, Ledger
from openalgo_ws.tap.feeds import OwnFeeds

__all__ = ["Presently"]


class Presently:
    """Feeds, counts and publisher of the present term, for `openalgo_ws.ops.sources.Sources`; nothing where
    another process leads. Counters begin anew with each term."""

    def __init__(self, own: Callable[[], OwnFeeds | None]) -> None:
        self._own = own

    # Feeds.

    @property
    def ledger(self) -> Ledger:
        """What connections have counted."""
        own = self._own()
        return Ledger() if own is None else own.manager.ledger

    def feed_states(self) -> dict[str, Status]:
        """How each feed is."""
        own = self._own()
        return {} if own is None else own.manager.feed_states()

    def feed_reports(self) -> list[FeedReport]:
        """The feeds."""
        own = self._own()
        return [] if own is None else own.manager.feed_reports()

    def account_reports(self) -> list[AccountReport]:
        """The accounts' sessions."""
        own = self._own()
        return [] if own is None else own.manager.account_reports()

    def due(self) -> set[str]:
        """Feeds of which something is held whose exchange trades now."""
        own = self._own()
        return set() if own is None else own.stale.due()

    # Counts of what the feeds publish.

    @property
    def ticks(self) -> Mapping[str, list[int]]:
        """For each feed a list of counts, indexed by `Mode`."""
        own = self._own()
        return {} if own is None else own.meter.ticks

    @property
    def orders(self) -> int:
        """Order updates."""
        own = self._own()
        return 0 if own is None else own.meter.orders

    def published(self) -> dict[str, int]:
        """How many ticks each feed has published."""
        own = self._own()
        return {} if own is None else own.meter.published()

    # The publisher.

    @property
    def conflated(self) -> int:
        """Ticks that a newer one replaced while they waited for NATS."""
        own = self._own()
        return 0 if own is None else own.publisher.conflated

    @property
    def lost(self) -> int:
        """Order updates that were dropped because too many waited."""
        own = self._own()
        return 0 if own is None else own.publisher.lost

    def backlog(self) -> int:
        """What waits for NATS."""
        own = self._own()
        return 0 if own is None else own.publisher.backlog()
