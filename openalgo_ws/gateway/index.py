"""The subscription index: every instrument of which anything is kept, by feed and by topic.

It is keyed by feed, so a user's clients can only ever be given ticks of the feeds that were granted to
them. An instrument that nobody holds any more stays for a while with its last values, and so does one that
somebody is about to hold: what comes of it meanwhile is perhaps the only tick for a long time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.bus.topics import market_topics
from openalgo_ws.gateway.channel import Channel
from openalgo_ws.gateway.ids import Ids
from openalgo_ws.gateway.line import Line, Source

__all__ = ["Index", "Interest"]

#: For how long at least (seconds) what comes of an instrument is kept that somebody is about to hold.
_EXPECTED = 5.0


class Interest(Protocol):
    """Told of which instruments anything is kept: `openalgo_ws.bus.nats.NatsSubscriber`."""

    def want(self, feed: str, symbol: str, exchange: str) -> None:
        """What comes of an instrument is of use from now on."""

    def unwant(self, feed: str, symbol: str, exchange: str) -> None:
        """It is not any more."""


class Index:
    """The lines of all feeds. ``linger`` is how long (seconds) they outlive the last subscriber."""

    def __init__(self, reactor: IReactorTime, linger: float) -> None:
        self._reactor = reactor
        self._linger = linger
        #: Where the bus brings only what is wanted: set it before anything is.
        self.interest: Interest | None = None
        #: Feed → (symbol, exchange) → line. To be read only.
        self.feeds: dict[str, dict[tuple[str, str], Line]] = {}
        #: An untagged publisher's topic → what takes its ticks. To be read only.
        self.untagged: dict[bytes, Source] = {}
        self._ids = Ids()
        #: Lines that nobody holds, the first to be forgotten first, and when that is.
        self._idle: dict[Line, float] = {}
        self._idle_call: IDelayedCall | None = None

    def line(self, feed: str, symbol: str, exchange: str) -> Line:
        """The line of an instrument, made if it isn't there. It stays until `let_go` or `prune`."""
        lines = self.feeds.setdefault(feed, {})
        line = lines.get((symbol, exchange))
        if line is None:
            line = Line(feed, symbol, exchange, self._ids.take(symbol, exchange))
            lines[symbol, exchange] = line
            if feed == UNTAGGED:
                for topic, mode in market_topics(exchange, symbol):
                    self.untagged[topic] = line.sources[mode]
            if self.interest is not None:
                self.interest.want(feed, symbol, exchange)
        self._idle.pop(line, None)
        return line

    def lines(self) -> Iterator[Line]:
        """Every instrument that is held, or was until a while ago."""
        for lines in list(self.feeds.values()):
            yield from list(lines.values())

    def prune(self, channel: Channel) -> None:
        """Give up a channel that has no subscriber left."""
        if channel:
            return
        line = channel.form.line
        line.prune(channel)
        self.let_go(line)

    def let_go(self, line: Line) -> None:
        """A line that nobody holds is forgotten after a while."""
        if not line:
            self._let_idle(line, self._linger)

    # Those who are about to subscribe.

    def expect(self, feed: str, symbol: str, exchange: str) -> None:
        """Somebody is about to subscribe to an instrument: remember what comes of it meanwhile."""
        line = self.line(feed, symbol, exchange)
        line.expected += 1
        if not line:
            self._let_idle(line, max(self._linger, _EXPECTED))

    def expect_no_more(self, feed: str, symbol: str, exchange: str) -> None:
        """One was refused it: if all were that have asked, nothing is remembered that was not before."""
        line = self.feeds.get(feed, {}).get((symbol, exchange))
        if line is None:
            return
        if line.expected:
            line.expected -= 1
        if not line.expected and line in self._idle and not line.ticks:
            del self._idle[line]
            self._forget(line)

    def awaited(self, feed: str, symbol: str, exchange: str) -> Line:
        """A client is about to subscribe to an instrument that it was granted: remember what comes of it,
        until `await_no_more` was called as often."""
        line = self.line(feed, symbol, exchange)
        line.awaited += 1
        return line

    def await_no_more(self, line: Line) -> None:
        """The client has subscribed, or won't."""
        line.give_up()
        self.let_go(line)

    # Gateways elsewhere.

    def keep(self, feed: str, symbol: str, exchange: str) -> Line:
        """Keep an instrument's last values, until `give_up` was called as often."""
        line = self.line(feed, symbol, exchange)
        line.kept += 1
        return line

    def give_up(self, line: Line) -> None:
        """Somebody needs an instrument's last values no more. They go after a while."""
        line.kept -= 1
        self.let_go(line)

    def stop(self) -> None:
        """End the timer."""
        if self._idle_call is not None:
            self._idle_call.cancel()
            self._idle_call = None

    def _let_idle(self, line: Line, linger: float) -> None:
        """Forget a line that nobody holds when so much time has passed."""
        self._idle[line] = self._reactor.seconds() + linger
        if self._idle_call is None:
            self._idle_call = self._reactor.callLater(linger, self._expire)

    def _expire(self) -> None:
        self._idle_call = None
        now = self._reactor.seconds()
        for line, until in list(self._idle.items()):
            if until > now:
                self._idle_call = self._reactor.callLater(until - now, self._expire)
                return
            del self._idle[line]
            self._forget(line)

    def _forget(self, line: Line) -> None:
        lines = self.feeds[line.feed]
        del lines[line.symbol, line.exchange]
        self._ids.give(line.symbol, line.exchange)
        if not lines:
            del self.feeds[line.feed]
        if line.feed == UNTAGGED:
            for topic, _ in market_topics(line.exchange, line.symbol):
                del self.untagged[topic]
        if self.interest is not None:
            self.interest.unwant(line.feed, line.symbol, line.exchange)
