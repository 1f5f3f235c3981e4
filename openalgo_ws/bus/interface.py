"""What every bus is: a way for ticks and order updates from one publisher to its subscribers.

`openalgo_ws.bus.zeromq` and `openalgo_ws.bus.shm` implement it, and ``tests/bus/contract`` holds them to
what the docstrings here promise:

- A subscriber sees the ticks of an instrument, within one feed, in the order of their publication.
- As long as no more waits than the bus's bound, everything published arrives.
- Beyond the bound ticks are conflated, never dropped: when there is room again, the latest record of each
  instrument that waited arrives. What waits is bounded by the number of instruments.
- Order updates are not conflated. So many wait as the bound says; then the oldest is lost, and counted.
- A message that can't be read costs only itself, and is counted.
"""

from __future__ import annotations

from typing import Protocol

from openalgo_ws.bus.intake import BATCH, Message, Receive
from openalgo_ws.bus.records import TickSink

__all__ = ["Bus", "BusPublisher", "BusSubscriber", "Message", "Receive"]


class BusPublisher(TickSink, Protocol):
    """The end where feeds publish. The counters only grow."""

    @property
    def published(self) -> int:
        """Ticks and order updates that were given to the bus."""

    @property
    def conflated(self) -> int:
        """Ticks of these that a newer one of their instrument replaced while they waited for room."""

    @property
    def lost(self) -> int:
        """Order updates of these that were dropped because too many waited, and whatever is longer than
        the longest message that the transport can carry."""

    def backlog(self) -> int:
        """Ticks and order updates that wait for room now."""

    def close(self) -> None:
        """Stop publishing; what waits for room is given up. Harmless when closed already."""


class BusSubscriber(Protocol):
    """The end where a gateway receives. The receiver is given at most one batch in a turn of the reactor,
    and none while the Deferred that it gave back for the last one has not fired: then
    `openalgo_ws.bus.intake` keeps what comes. The counters only grow."""

    @property
    def received(self) -> int:
        """Messages that came."""

    @property
    def conflated(self) -> int:
        """Ticks that came and that a newer one replaced while the receiver was busy."""

    @property
    def lost(self) -> int:
        """Messages that were published and are known not to come. 0 where the transport can't know."""

    @property
    def malformed(self) -> int:
        """Messages that were not made as the bus makes them."""

    def backlog(self) -> int:
        """What waits for the receiver, as far as the transport can tell."""

    def close(self) -> None:
        """Stop receiving. No batch comes after this. Harmless when closed already."""


class Bus(Protocol):
    """One way from one publisher to any number of subscribers, which may be in other processes."""

    def publisher(self) -> BusPublisher:
        """This way's publisher. What the transport raises if it can't be had."""

    def subscriber(self, receive: Receive, *, batch: int = BATCH, mark: int = 4096) -> BusSubscriber:
        """A subscriber to everything; ``batch`` and ``mark`` are those of `openalgo_ws.bus.intake`.

        Where there is no publisher yet, or the publisher is replaced, it joins as soon as there is one.
        """

    def shutdown(self) -> None:
        """Close everything that was made from this bus."""
