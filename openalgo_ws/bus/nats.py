"""The bus on NATS, for feeds and gateways on different machines.

Each instrument and mode has a subject of its own (`openalgo_ws.bus.subjects`), and a gateway subscribes to
those that its clients hold: the NATS server does the routing, and no gateway sees what it does not need.

A NATS server does not push back: a subscriber that is too slow is cut off. So subscribers always read, and
conflate what their gateway has no time for (`openalgo_ws.bus.intake`); publishers conflate while the
server can't be reached. What was on its way when a connection broke is lost; therefore a publisher that is
back says the last tick of every instrument again, and a subscriber that is back, or begins to be
interested, asks for it. What is no market data is numbered, and what is missing of it asked for
(`openalgo_ws.bus.nats_updates`). What a feed process had on its way when it was halted comes late, and is
passed over (`openalgo_ws.bus.terms`).

The client is nats-py, which lives on asyncio: this needs Twisted's asyncio reactor
(``twistd --reactor=asyncio``).
"""

from __future__ import annotations

from openalgo_ws.bus.intake import BATCH, Receive
from openalgo_ws.bus.nats_link import LinkEnd, NatsLink
from openalgo_ws.bus.nats_publisher import NatsPublisher
from openalgo_ws.bus.nats_subscriber import NatsSubscriber

__all__ = ["NatsBus", "NatsPublisher", "NatsSubscriber"]


class NatsBus:
    """Publishers and subscribers on one connection; implements `openalgo_ws.bus.interface.Bus`.

    ``bound`` ticks and ``updates`` order updates wait for the server before ticks are conflated and the
    oldest update is lost. Who publishes under a lease gives its ``term`` (`openalgo_ws.bus.terms`).
    """

    def __init__(
        self, link: NatsLink, *, bound: int = 10_000, updates: int = 10_000, term: int | None = None
    ) -> None:
        self._link = link
        self._bound = bound
        self._updates = updates
        self._term = term
        self._made: list[LinkEnd] = []

    def publisher(self) -> NatsPublisher:
        publisher = NatsPublisher(self._link, bound=self._bound, updates=self._updates, term=self._term)
        self._made.append(publisher)
        return publisher

    def subscriber(
        self, receive: Receive, *, batch: int = BATCH, mark: int = 4096, everything: bool = True
    ) -> NatsSubscriber:
        subscriber = NatsSubscriber(
            self._link, receive, batch=batch, mark=mark, updates=self._updates, everything=everything
        )
        self._made.append(subscriber)
        return subscriber

    def shutdown(self) -> None:
        for end in self._made:
            end.close()
        self._made.clear()
