"""The bus in shared memory, for a publisher and subscribers on one host: `openalgo_ws.bus.ring` as a `Bus`.

**Nothing is dropped without a newer value in its place** although a ring's writer overwrites: the
publisher looks how far its readers are, and where writing would overtake one of them it conflates
instead, as on every bus (`openalgo_ws.bus.conflate`). Readers ring when half of the ring is free.

That lets the slowest reader decide for all, so a reader is not waited for longer than ``patience``: one
whose process has ended at once, one that has read nothing for so long while the ring was full then. From
what a stalled one had not read, and what is published from then on, the latest of each instrument (and the
order updates) are kept. When it comes back, it finds that it was dropped, joins again, and these are
published once more. The others then see a value they have had, never an older one.

A reader gets what the ring still holds from its beginning when it joins, so one that joins soon after the
publisher misses nothing.
"""

from __future__ import annotations

from typing import Any

from openalgo_ws.bus.intake import BATCH, Receive
from openalgo_ws.bus.ring import RingBufferPool, RingReader, Wait
from openalgo_ws.bus.shm_publisher import ShmPublisher
from openalgo_ws.bus.shm_subscriber import ShmSubscriber

__all__ = ["ShmBus", "ShmPublisher", "ShmSubscriber"]


class ShmBus:
    """The ring ``name`` of ``family``; whoever uses the same names, and is the same user, shares it.

    ``slots`` and ``slot_bytes`` are the publisher's. ``updates`` order updates wait at most, for room and
    for a reader that stalls.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        *,
        family: str = "openalgo-ws",
        slots: int = 65_536,
        slot_bytes: int = 256,
        wait: Wait = Wait.YIELDING,
        updates: int = 10_000,
        patience: float = 10.0,
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._pool = RingBufferPool(family, slots=slots, slot_bytes=slot_bytes)
        self._wait = wait
        self._updates = updates
        self._patience = patience
        self._made: list[ShmPublisher | ShmSubscriber] = []

    def publisher(self) -> ShmPublisher:
        """The publisher. RingInUse if there is one already; RingError."""
        ring = self._pool.create(self._name)
        publisher = ShmPublisher(self._reactor, ring, updates=self._updates, patience=self._patience)
        self._made.append(publisher)
        return publisher

    def subscriber(self, receive: Receive, *, batch: int = BATCH, mark: int = 4096) -> ShmSubscriber:
        """A subscriber, which joins as soon as there is a publisher."""

        def attach() -> RingReader:
            return self._pool.attach(self._name, wait=self._wait, oldest=True)

        subscriber = ShmSubscriber(self._reactor, attach, receive, wait=self._wait, batch=batch, mark=mark)
        self._made.append(subscriber)
        return subscriber

    def sweep(self) -> None:
        """Remove what processes of the family left that were killed."""
        self._pool.sweep()

    def shutdown(self) -> None:
        """Close what was made from this bus."""
        for one in self._made:
            one.close()
        self._made.clear()
        self._pool.close()
