"""Sharded demand: one gateway's wishes, divided among several feed processes.

Each instrument has one shard, which the partitioner names by the instrument alone: several gateways
agree without talking, and a gateway that has been restarted finds again what it had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from twisted.internet.defer import Deferred, gatherResults

from openalgo_ws.bus.demand import Demand, DemandListener, Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.scale.partitioner import SymbolPartitioner

__all__ = ["ShardedDemand"]

#: A feed is as its worst shard.
_WORST_FIRST = (
    FeedState.AUTH_FAILED,
    FeedState.DISCONNECTED,
    FeedState.STALE,
    FeedState.RECONNECTING,
    FeedState.CONNECTING,
    FeedState.CONNECTED,
)


class ShardedDemand:
    """`openalgo_ws.bus.demand.Demand` by several others, ``shards``, by name.

    Whoever joins the same shards must give them the same names. ValueError if there are none.
    """

    def __init__(self, shards: Mapping[str, Demand]) -> None:
        self._shards = dict(shards)
        self._partitioner = SymbolPartitioner(list(self._shards))
        #: What each shard holds under each feed's tag.
        self._held: Counter[tuple[str, str]] = Counter()
        #: User → the tag under which what they want was granted last.
        self._tags: dict[str, str] = {}
        #: User → what each shard has said last of the user's feed, and what was made of that.
        self._said: dict[str, dict[str, Status]] = {}
        self._told: dict[str, Status] = {}
        self._listeners: list[DemandListener] = []
        for name, shard in self._shards.items():
            shard.listen(_Ear(self, name))

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        """Hold each want; one answer each, in order. Never fails."""
        places: dict[str, list[int]] = {}
        for place, want in enumerate(wants):
            places.setdefault(self._partitioner.owner(want.symbol, want.exchange), []).append(place)
        asked = [
            self._shards[name].subscribe(user, [wants[place] for place in mine])
            for name, mine in places.items()
        ]

        def join(parts: list[list[Granted | Denied]]) -> list[Granted | Denied]:
            answers: dict[int, Granted | Denied] = {}
            for (name, mine), part in zip(places.items(), parts, strict=True):
                answers.update(zip(mine, part, strict=True))
                self._count(user, name, part)
            self._tell([user])
            return [answers[place] for place in range(len(wants))]

        return gatherResults(asked).addCallback(join)

    def release(self, holds: Sequence[Hold]) -> None:
        """Give granted wants back."""
        parts: dict[str, list[Hold]] = {}
        for hold in holds:
            parts.setdefault(self._partitioner.owner(hold.symbol, hold.exchange), []).append(hold)
        left: set[str] = set()
        for name, part in parts.items():
            for hold in part:
                self._held[hold.feed, name] -= 1
                if not self._held[hold.feed, name]:
                    del self._held[hold.feed, name]
                    left.add(hold.feed)
            self._shards[name].release(part)
        if left:
            self._tell([user for user, tag in self._tags.items() if tag in left])

    def status(self, user: str) -> Deferred[Status]:
        """The state of the user's feed: of the worst shard that holds something for it."""

        def join(statuses: list[Status]) -> Status:
            return self._joined(user, dict(zip(self._shards, statuses, strict=True)))

        return gatherResults([shard.status(user) for shard in self._shards.values()]).addCallback(join)

    def watch_orders(self, user: str, wanted: bool) -> None:
        """Somebody wants this user's order updates, or nobody does any more: one shard sees to it."""
        self._shards[self._partitioner.owner(user, "")].watch_orders(user, wanted)

    def feed_of(self, user: str) -> str | None:
        """The tag under which this user's wants will be granted: the same for all shards."""
        return next(iter(self._shards.values())).feed_of(user)

    def supported_brokers(self) -> list[str]:
        """Names of the brokers that every shard speaks to, sorted."""
        offers = [set(shard.supported_brokers()) for shard in self._shards.values()]
        return sorted(set.intersection(*offers))

    def listen(self, listener: DemandListener) -> None:
        """Report changes to this listener from now on."""
        self._listeners.append(listener)

    def _count(self, user: str, name: str, answers: Sequence[Granted | Denied]) -> None:
        for answer in answers:
            if isinstance(answer, Granted):
                self._held[answer.feed, name] += 1
                self._tags[user] = answer.feed

    def _joined(self, user: str, said: Mapping[str, Status]) -> Status:
        """One status of many: a shard that has nothing to do for the user does not count."""
        tag = self._tags.get(user)
        serving = [status for name, status in said.items() if tag is not None and self._held[tag, name]]
        return min(serving or said.values(), key=lambda status: _WORST_FIRST.index(status.state))

    # What a shard tells

    def shard_changed(self, name: str, users: Collection[str], status: Status) -> None:
        """The feed that serves these users changed its state at that shard."""
        for user in users:
            self._said.setdefault(user, {})[name] = status
        self._tell(users)

    def _tell(self, users: Collection[str]) -> None:
        """Tell the listeners of the users whose joined status is another one."""
        news: dict[Status, list[str]] = {}
        for user in users:
            said = self._said.get(user)
            joined = self._joined(user, said) if said else None
            if joined is not None and joined != self._told.get(user):
                self._told[user] = joined
                news.setdefault(joined, []).append(user)
        for joined, told in news.items():
            for listener in self._listeners:
                listener.status_changed(frozenset(told), joined)

    def shard_refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        """A broker turned down what had been granted."""
        for listener in self._listeners:
            listener.refused(feed, symbol, exchange, denied)


class _Ear:
    """Hears one shard."""

    def __init__(self, owner: ShardedDemand, name: str) -> None:
        self._owner = owner
        self._name = name

    def status_changed(self, users: Collection[str], status: Status) -> None:
        self._owner.shard_changed(self._name, users, status)

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        self._owner.shard_refused(feed, symbol, exchange, denied)
