"""From the feed process to its workers: everything that is on the bus, and the last values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from openalgo_ws.bus.demand import Hold
from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.records import LAST_VALUES, TickRecord, pack, pack_messages, topic_for
from openalgo_ws.gateway.line import Line
from openalgo_ws.gateway.router import Router
from openalgo_ws.gateway.ticks import ForeignTick, RoutedTick
from openalgo_ws.scale.links import Ways, WorkerLink

__all__ = ["Fanout", "LastValues"]

#: Instruments whose last values are sent in one turn.
_PORTION = 200


class Fanout:
    """The links to all workers, by name; ``ways`` makes them."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self.links: dict[str, WorkerLink] = {}

    def address(self, name: str) -> str:
        """Where a worker is to look for its end."""
        return self._ways.address(name)

    def add(self, name: str, address: str) -> None:
        """A worker will come to this address. RingError if there is no memory for its ring."""
        self.links[name] = self._ways.link(address)

    def remove(self, name: str) -> None:
        """A worker is gone."""
        link = self.links.pop(name, None)
        if link is not None:
            link.close()

    def receive(self, messages: Sequence[Message]) -> None:
        """Pass on what came from the bus."""
        own = [message for message in messages if message[0] != LAST_VALUES]
        for link in self.links.values():
            link.send(own)

    def shutdown(self) -> None:
        """End all links."""
        for name in list(self.links):
            self.remove(name)
        self._ways.close()


class LastValues:
    """Sends a worker the last values of what it begins to hold; a `HoldObserver`.

    They are the router's, which keeps them as long as any worker holds the instrument, and a while
    longer. What has been sent to the workers is what the router knows, so they come in the right order.
    """

    def __init__(
        self, clock: IReactorTime, router: Router, links: Callable[[str], WorkerLink | None]
    ) -> None:
        self._clock = clock
        self._router = router
        self._links = links
        #: (feed, symbol, exchange) → its line, with how often each gateway holds it (in several modes).
        self._lines: dict[tuple[str, str, str], Line] = {}
        self._holds: Counter[tuple[str, str, str, str]] = Counter()
        self._asked: dict[tuple[str, Line], None] = {}
        self._call: IDelayedCall | None = None

    def asked(self, feed: str, symbol: str, exchange: str) -> None:
        """Part of `HoldObserver`."""
        self._router.index.expect(feed, symbol, exchange)

    def refused(self, feed: str, symbol: str, exchange: str) -> None:
        """Part of `HoldObserver`."""
        self._router.index.expect_no_more(feed, symbol, exchange)

    def held(self, gateway: str, hold: Hold) -> None:
        """Part of `HoldObserver`."""
        key = (hold.feed, hold.symbol, hold.exchange)
        self._holds[(gateway, *key)] += 1
        line = self._lines[key] = self._router.index.keep(*key)
        if self._holds[(gateway, *key)] == 1:
            self._asked[gateway, line] = None
            if self._call is None:
                self._call = self._clock.callLater(0, self._send)

    def given_back(self, gateway: str, hold: Hold) -> None:
        """Part of `HoldObserver`."""
        key = (hold.feed, hold.symbol, hold.exchange)
        line = self._lines[key]
        self._router.index.give_up(line)
        if not line.kept:
            del self._lines[key]
        self._holds[(gateway, *key)] -= 1
        if not self._holds[(gateway, *key)]:
            del self._holds[(gateway, *key)]
            self._asked.pop((gateway, line), None)

    def symbols(self) -> set[tuple[str, str]]:
        """The instruments that gateways hold, as exchange and symbol."""
        return {(exchange, symbol) for _, symbol, exchange in self._lines}

    def stop(self) -> None:
        """End the timer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _send(self) -> None:
        self._call = None
        for gateway, line in [key for key, _ in zip(self._asked, range(_PORTION), strict=False)]:
            del self._asked[gateway, line]
            link = self._links(gateway)
            messages = [_message(line, tick) for tick in line.lasts()]
            if link is not None and messages:
                link.send([(LAST_VALUES, pack_messages(messages))])
        if self._asked:
            self._call = self._clock.callLater(0, self._send)


def _message(line: Line, tick: RoutedTick) -> Message:
    """The message that brings a tick."""
    if isinstance(tick, ForeignTick):
        return f"{line.exchange}_{line.symbol}_{tick.mode.name}".encode(), tick.body
    assert isinstance(tick, TickRecord)
    return topic_for(line.feed), pack([tick])
