"""Partitions of the accounts: what one feed process of several on NATS serves at a time.

How many there are, and which account is in which, follows from the settings alone. So it does not change
while processes come and go: only who has a partition does (`openalgo_ws.tap.leaders`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b

import msgspec
from twisted.internet.defer import Deferred

from openalgo_ws.bus.demand import Demand, DemandListener, Denied, Granted, Hold, Status, Want
from openalgo_ws.feeds.plan import FeedPlan, preferred_of
from openalgo_ws.scale.partitioner import SymbolPartitioner

__all__ = ["PartitionedDemand", "Partitions", "dealt"]


class Partitions:
    """``count`` of them. ``plan`` maps users to the accounts whose feeds serve them (`FeedPlan`): accounts
    that serve a user together are in one partition."""

    def __init__(self, count: int, plan: Mapping[str, tuple[str, ...]]) -> None:
        self.count = count
        self._plan = FeedPlan(plan)
        self._partitioner = SymbolPartitioner(map(str, range(count)))
        told = msgspec.json.encode(sorted(plan.items()) if count > 1 else [])
        #: What all processes must have in common.
        self.layout = f"{count}-{blake2b(told, digest_size=8).hexdigest()}"

    def of_account(self, account: str) -> int:
        """Where an account is served."""
        return int(self._partitioner.owner(self._plan.together(account), ""))

    def of_user(self, user: str) -> int:
        """Where the feed is that serves a user."""
        return self.of_account(self._plan.accounts(user)[0])

    def of_feed(self, tag: str) -> int:
        """Where the feed with this tag is."""
        return self.of_account(preferred_of(tag))

    def subject(self, number: int) -> str:
        """What ends the subjects of a partition's demand; nothing where it is the only one."""
        return "" if self.count == 1 else f".{self.layout}.{number}"

    def lease(self, number: int) -> str:
        """The name of a partition's lease."""
        return "feeds" if self.count == 1 else f"feeds-{number}"


def dealt(count: int, members: Iterable[str]) -> dict[str, set[int]]:
    """Which of so many partitions each of these processes is to have: all about equally many, and one
    process more or less moves few of them. Whoever names the same processes comes to the same answer."""
    division = SymbolPartitioner(sorted(members)).divide([(str(one), "") for one in range(count)], slack=0)
    return {member: {int(name) for name, _ in names} for member, names in division.items()}


class PartitionedDemand:
    """`openalgo_ws.bus.demand.Demand` by one for each partition."""

    def __init__(self, partitions: Partitions, demands: Sequence[Demand]) -> None:
        self._partitions = partitions
        self._demands = demands

    def _of_user(self, user: str) -> Demand:
        return self._demands[self._partitions.of_user(user)]

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        """Hold each want; one answer each, in order. Never fails."""
        return self._of_user(user).subscribe(user, wants)

    def release(self, holds: Sequence[Hold]) -> None:
        """Give granted wants back."""
        by_feed: dict[str, list[Hold]] = {}
        for hold in holds:
            by_feed.setdefault(hold.feed, []).append(hold)
        for tag, given in by_feed.items():
            self._demands[self._partitions.of_feed(tag)].release(given)

    def status(self, user: str) -> Deferred[Status]:
        """The state of the feed that serves this user. Never fails."""
        return self._of_user(user).status(user)

    def watch_orders(self, user: str, wanted: bool) -> None:
        """Somebody wants this user's order updates, or nobody does any more: they come from the user's own
        account."""
        self._demands[self._partitions.of_account(user)].watch_orders(user, wanted)

    def feed_of(self, user: str) -> str | None:
        """The tag under which this user's wants will be granted, where that is known here."""
        return self._of_user(user).feed_of(user)

    def supported_brokers(self) -> list[str]:
        """Names of the brokers that are spoken to, sorted: all feed processes speak to the same."""
        brokers: Collection[str] = set().union(*(demand.supported_brokers() for demand in self._demands))
        return sorted(brokers)

    def listen(self, listener: DemandListener) -> None:
        """Report changes to this listener from now on."""
        for demand in self._demands:
            demand.listen(listener)
