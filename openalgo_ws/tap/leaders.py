"""One of several feed processes on NATS: which partitions of the accounts it tries to lead, and leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from functools import partial
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from openalgo_ws.bus import subjects
from openalgo_ws.bus.nats import NatsBus
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.scale.lease import Lease
from openalgo_ws.scale.members import Members
from openalgo_ws.scale.nats_lease import NatsLeaseStore, NatsMarkStore
from openalgo_ws.scale.partitions import Partitions, dealt
from openalgo_ws.tap.feeds import FeedSide
from openalgo_ws.tap.leader import Leader

__all__ = ["Leaders"]

#: The time to live of leases (seconds).
_TTL = 5.0
#: The share of it after which a feed process that is not heard is taken for dead, and how often each is heard
#: in that time.
_SILENCE = 0.8
_BEATS = 3

_Said = tuple[str, bool]
_said = msgspec.msgpack.Decoder(_Said)


class Leaders(Service):
    """Has a feed side for each partition that this process leads. ``name`` is the process's, and no other's.

    Each partition has a lease, which the process asks for that it is dealt to among those that live. All who
    ask for any have a mark in common that names the division: while one of them lives, nobody with another
    division serves. Where there is one partition, everybody asks.
    """

    log = Logger()
    name = "leaders"

    def __init__(
        self,
        link: NatsLink,
        name: str,
        partitions: Partitions,
        *,
        make: Callable[[NatsBus], FeedSide],
        unmake: Callable[[FeedSide], None],
    ) -> None:
        self._link = link
        self._name = name
        self._partitions = partitions
        count = partitions.count
        self._leaders = [
            Leader(
                link,
                NatsLeaseStore(link, partitions.lease(number), owner=name, ttl=_TTL),
                ttl=_TTL,
                part=partitions.subject(number),
                what="the feeds" if count == 1 else f"the feeds of partition {number + 1} of {count}",
                make=make,
                unmake=unmake,
            )
            for number in range(count)
        ]
        mark = NatsMarkStore(link, "layout", owner=partitions.layout, ttl=_TTL)
        self._mark = Lease(link.reactor, mark, ttl=_TTL, gained=self._begin, lost=self._abandon)
        self._members = Members(
            link.reactor,
            name,
            beat=_TTL * _SILENCE / _BEATS,
            silence=_TTL * _SILENCE,
            tell=self._tell,
            changed=self._deal,
        )
        self._hearing: Subscription | None = None
        self._saying: asyncio.Task[None] | None = None

    def feeds(self) -> list[FeedSide]:
        """The feed sides of the partitions that this process leads."""
        return [leader.feeds for leader in self._leaders if leader.feeds is not None]

    def credentials_changed(self, user: str) -> None:
        """A user's credentials may have changed."""
        feeds = self._leaders[self._partitions.of_account(user)].feeds
        if feeds is not None:
            feeds.credentials_changed(user)

    def startService(self) -> None:
        """Begin to ask for leases as soon as NATS is reached."""
        super().startService()  # type: ignore[no-untyped-call]
        self._link.join(self)

    def stopService(self) -> Deferred[Any]:
        """Leave the brokers, then let other processes take over."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await DeferredList([leader.want(False) for leader in self._leaders])
        self._members.stop()
        if self._saying is not None:
            await Deferred.fromFuture(self._saying)
        self.close()
        await self._mark.stop()

    def up(self) -> None:
        """Part of `LinkEnd`."""
        self._members.excuse()
        if self._hearing is None and self._partitions.count > 1:
            self._link.run(self._hear)
        if not self._mark.asking and self.running:
            self._mark.start()

    def down(self) -> None:
        """Part of `LinkEnd`: leases end by themselves if NATS does not come back soon."""

    def close(self) -> None:
        """Part of `LinkEnd`."""
        self._link.part(self)
        hearing, self._hearing = self._hearing, None
        if hearing is not None:
            self._link.run(hearing.unsubscribe)

    def _begin(self) -> None:
        if self._partitions.count == 1:
            self._deal(frozenset({self._name}))
        else:
            self._members.start()

    def _abandon(self) -> None:
        self._members.stop()
        for leader in self._leaders:
            leader.abandon()

    def _deal(self, members: Set[str]) -> None:
        """Try to lead this process's share."""
        if self.running:
            mine = dealt(self._partitions.count, members)[self._name]
            for number, leader in enumerate(self._leaders):
                leader.want(number in mine)

    # What feed processes tell each other.

    async def _hear(self) -> None:
        client = self._link.client
        if client is not None and self._hearing is None:
            # The client subscribes by itself again when it reconnects.
            self._hearing = await client.subscribe(self._subject(), cb=self._heard)

    async def _heard(self, message: Msg) -> None:
        try:
            name, here = _said.decode(message.data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        self._members.heard(name, here)

    def _tell(self, here: bool) -> None:
        self._saying = self._link.run(partial(self._say, msgspec.msgpack.encode((self._name, here))))

    async def _say(self, data: bytes) -> None:
        client = self._link.client
        if client is not None:
            await client.publish(self._subject(), data)

    def _subject(self) -> str:
        return f"{subjects.MEMBERS}.{self._partitions.layout}"
