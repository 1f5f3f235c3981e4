"""The router: bus messages in, frames in outboxes out.

Looking up who wants a tick is one dictionary access; a tick that nobody wants costs nothing more.
The subscription index is keyed by feed too, so a user's clients can only ever be given ticks of
the feeds that were granted to them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.bus.records import LAST_VALUES, TICKS_PREFIX, tag_of, unpack, unpack_messages
from openalgo_ws.bus.topics import market_topics, parse_market_topic
from openalgo_ws.gateway.channel import Channel, ChannelKey, Encoder, Stats
from openalgo_ws.gateway.frames import spliced_text_frame
from openalgo_ws.gateway.ids import Ids
from openalgo_ws.gateway.line import Line, Source
from openalgo_ws.gateway.outbox import Outbox
from openalgo_ws.gateway.throttle import ThrottleClock
from openalgo_ws.gateway.ticks import RoutedTick, read_foreign
from openalgo_ws.gateway.turns import Turns
from openalgo_ws.gateway.writer import ClientWriter
from openalgo_ws.tick import Mode

__all__ = ["BusStats", "Interest", "Opening", "Router"]

#: A channel that a client is about to hold, its last tick and that as a frame.
Opening = tuple[Channel, RoutedTick | None, bytes]

#: A change of subscriptions is over when nothing changed for so long (seconds).
_SETTLED = 0.5

#: Topics of market data that are remembered as such. Who publishes more of them has them read anew.
_TOPICS = 65_536

#: For how long at least (seconds) what comes of an instrument is kept that somebody is about to hold.
_EXPECTED = 5.0

#: For how long (seconds) clients are written to before everything else has its turn.
_SLICE = 0.003
#: Clients that are written to between two looks at the clock.
_STEP = 16


class Interest(Protocol):
    """Told of which instruments anything is kept: `openalgo_ws.bus.nats.NatsSubscriber`."""

    def want(self, feed: str, symbol: str, exchange: str) -> None:
        """What comes of an instrument is of use from now on."""

    def unwant(self, feed: str, symbol: str, exchange: str) -> None:
        """It is not any more."""


class BusStats:
    """Counters of what came from the bus."""

    __slots__ = ("malformed", "messages", "ticks", "unwanted")

    def __init__(self) -> None:
        self.messages = 0
        self.ticks = 0
        self.unwanted = 0
        self.malformed = 0


class Router:
    """Routes ticks to the outboxes of those who hold them.

    ``control`` takes every message that is neither market data nor ours: (topic, payload).
    ``linger`` is how long (seconds) last values outlive the last subscriber. ``mirror``: the bus is that
    of a feed process, which sends the last values of what begins to be held.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        encoders: Mapping[str, Encoder],
        *,
        wall_ms: Callable[[], int],
        control: Callable[[bytes, bytes], None],
        linger: float = 300.0,
        mirror: bool = False,
    ) -> None:
        #: What went out, by feed and mode.
        self.told: dict[tuple[str, Mode], Stats] = {}
        self._touched: list[Channel] = []
        self._deliveries = 0
        self.bus_stats = BusStats()
        #: Shares the reactor's turns among what clients ask for.
        self.turns = Turns(reactor)
        self._reactor = reactor
        self._encoders = encoders
        self._wall_ms = wall_ms
        self._control = control
        self._linger = linger
        self._mirror = mirror
        #: Where the bus brings only what is wanted: set it before anything is.
        self.interest: Interest | None = None
        self._clock = ThrottleClock(reactor, self.flush)
        self._own: dict[str, dict[tuple[str, str], Line]] = {}
        self._ids = Ids()
        self._foreign: dict[bytes, Source] = {}
        #: Counts ticks that somebody may want, in their order.
        self._serial = 0
        #: Topics of ticks that nobody wanted when they came.
        self._market: set[bytes] = set()
        self._outboxes: dict[ClientWriter, Outbox] = {}
        self._shared: dict[frozenset[Channel], Outbox] = {}
        #: Clients that are being given what was kept for them.
        self._catching: set[ClientWriter] = set()
        self._settling: dict[ClientWriter, float] = {}
        self._settle_call: IDelayedCall | None = None
        self._idle: dict[Line, float] = {}
        self._idle_call: IDelayedCall | None = None
        self._complained = float("-inf")
        #: Outboxes that hold something still to be written.
        self._unwritten: OrderedDict[Outbox, None] = OrderedDict()
        self._write_call: IDelayedCall | None = None
        self._written: Deferred[None] | None = None

    # From the bus.

    def receive(self, messages: Sequence[tuple[bytes, bytes]]) -> Deferred[None] | None:
        """A batch of bus messages: route every one, then flush what they touched.

        Where that takes longer than the reactor may be kept, it goes on in the next turns: the next
        batch should wait for the Deferred.
        """
        now = self._reactor.seconds()
        wall_ms = self._wall_ms()
        foreign, touched = self._foreign, self._touched
        read = 0
        for topic, payload in messages:
            source = foreign.get(topic)
            if source is None:
                self._other(topic, payload, now)
                continue
            read += 1
            boxes = source.boxes
            tick = None
            try:
                if not boxes or not (text := source.check(payload, wall_ms, source.levels)):
                    tick = source.read(payload, wall_ms)
            except (ValueError, RecursionError):
                self._malformed(now, "a payload that is not a JSON object with a finite ltp")
                continue
            # Written out here and for our own feeds: a call costs as much as all of it.
            self._serial = source.serial = self._serial + 1
            source.ticks += 1
            if tick is not None:
                source.last = tick
                for channel in source.channels:
                    channel.take(tick, now)
                continue
            source.last = text
            frame = spliced_text_frame(source.splice, text)
            source.stats.encoded += 1
            for frames in boxes:
                frames.append(frame)
            touched.append(source.only)
        self.bus_stats.messages += len(messages)
        self.bus_stats.ticks += read
        self.flush()
        if self._write_call is None:
            return None
        if self._written is None:
            self._written = Deferred()
        return self._written

    def _other(self, topic: bytes, payload: bytes, now: float) -> None:
        if topic in self._market:
            self.bus_stats.ticks += 1
            self.bus_stats.unwanted += 1
        elif topic.startswith(TICKS_PREFIX):
            self._tagged(topic, payload, now)
        elif topic == LAST_VALUES and self._mirror:
            self._last_values(payload, now)
        elif parse_market_topic(topic) is None:
            self._control(topic, payload)
        else:
            self.bus_stats.ticks += 1
            self.bus_stats.unwanted += 1
            if len(self._market) >= _TOPICS:
                self._market.clear()
            self._market.add(topic)

    def _tagged(self, topic: bytes, payload: bytes, now: float) -> None:
        try:
            feed = tag_of(topic)
            if feed == UNTAGGED:
                raise ValueError("no feed is named")
            lines = self._own.get(feed)
            records = unpack(payload)
        except (ValueError, msgspec.MsgspecError):
            self._malformed(now, "a batch of ticks that can't be read")
            return
        stats = self.bus_stats
        stats.ticks += len(records)
        if lines is None:
            stats.unwanted += len(records)
            return
        for record in records:
            line = lines.get((record.symbol, record.exchange))
            if line is None:
                stats.unwanted += 1
                continue
            source = line.sources[record.mode]
            self._serial = source.serial = self._serial + 1
            source.ticks += 1
            source.last = record
            for channel in source.channels:
                channel.take(record, now)

    def _last_values(self, payload: bytes, now: float) -> None:
        """An instrument's last values: remember them, and tell those who have waited for them."""
        line: Line | None = None
        ticks: list[RoutedTick] = []
        try:
            for topic, data in unpack_messages(payload):
                if topic.startswith(TICKS_PREFIX):
                    (record,) = unpack(data)
                    line = self._line(tag_of(topic), record.symbol, record.exchange)
                    ticks.append(record)
                elif market := parse_market_topic(topic):
                    line = self._line(UNTAGGED, market.symbol, market.exchange)
                    ticks.append(read_foreign(data, market.mode, self._wall_ms()))
        except (ValueError, RecursionError, msgspec.MsgspecError):
            self._malformed(now, "last values that can't be read")
        if line is not None:
            if not line.ticks and not line.lasts():
                for tick in ticks:
                    source = line.sources[tick.mode]
                    self._serial = source.serial = self._serial + 1
                    source.last = tick
                line.tell_last()
            self._linger_unheld(line)

    def malformed(self, what: str) -> None:
        """Count a bus message that could not be used; logged at most once a second."""
        self._malformed(self._reactor.seconds(), what)

    def _malformed(self, now: float, what: str) -> None:
        self.bus_stats.malformed += 1
        if now - self._complained >= 1.0:
            self._complained = now
            self.log.warn(
                "dropped from the bus: {what} ({count} in all)", what=what, count=self.bus_stats.malformed
            )

    # Subscriptions.

    def attach(self, writer: ClientWriter) -> None:
        """A client is there; it holds nothing yet."""
        self._outboxes[writer] = Outbox([writer])

    def detach(self, writer: ClientWriter) -> None:
        """A client is gone with everything it held; what nobody else holds is given up by and by."""
        outbox = self._outboxes.pop(writer)
        self._settling.pop(writer, None)
        outbox.part(writer)
        if not outbox.writers:
            if outbox.shared_key is not None:
                del self._shared[outbox.shared_key]
            self.turns.begin(self._retire(outbox))

    def subscribe(
        self, writer: ClientWriter, feed: str, symbol: str, exchange: str, key: ChannelKey
    ) -> Channel:
        """Give a client an instrument's ticks from now on, beginning with the last known value.

        The last value waits for `flush_client`, so that the caller's reply can go first.
        """
        opening = self.prepare(self._line(feed, symbol, exchange), key)
        self.begin(writer, [opening])
        return opening[0]

    def prepare(self, line: Line, key: ChannelKey) -> Opening:
        """Do what takes time of a subscribe that `begin` is to end. The line is awaited until then."""
        channel = line.channel(
            key, self._encoders[key.format], self._counters(line.feed, key.mode), self._clock
        )
        last = line.last(key.mode)
        return channel, last, b"" if last is None else channel.form.snapshot(last)

    def begin(self, writer: ClientWriter, openings: Iterable[Opening]) -> None:
        """Subscribe a client to all that was prepared for it, as `subscribe` does."""
        outbox = self._private(writer)
        now = self._reactor.seconds()
        for channel, told, frame in openings:
            if channel in outbox.channels:
                continue
            outbox.hold(channel)
            last = channel.form.line.last(channel.form.mode)
            if last is None:
                channel.add(outbox, None)
            else:
                if outbox.behind:
                    outbox.keep(channel, last)
                else:
                    outbox.frames.append(frame if last is told else channel.form.snapshot(last))
                channel.add(outbox, now)

    def expect(self, feed: str, symbol: str, exchange: str) -> None:
        """Somebody is about to subscribe to an instrument: remember what comes of it meanwhile, which
        is perhaps the only tick for a long time."""
        line = self._line(feed, symbol, exchange)
        if not line:
            self._let_idle(line, max(self._linger, _EXPECTED))

    def expect_no_more(self, feed: str, symbol: str, exchange: str) -> None:
        """It was refused: nothing is remembered for it that was not before."""
        line = self._own.get(feed, {}).get((symbol, exchange))
        if line is not None and line in self._idle and not line.ticks:
            del self._idle[line]
            self._forget(line)

    def awaited(self, feed: str, symbol: str, exchange: str) -> Line:
        """A client is about to subscribe to an instrument that it was granted: remember what comes of it,
        until `await_no_more` was called as often."""
        line = self._line(feed, symbol, exchange)
        line.awaited += 1
        return line

    def await_no_more(self, line: Line) -> None:
        """The client has subscribed, or won't."""
        line.give_up()
        self._linger_unheld(line)

    def unsubscribe(self, writer: ClientWriter, channel: Channel) -> None:
        """Take it away again. Nothing of it is sent after this returns."""
        outbox = self._private(writer)
        outbox.forget(channel)
        channel.discard(outbox)
        self._prune(channel)

    def flush_client(self, writer: ClientWriter) -> None:
        """Write what waits for one client."""
        self._delivered(self._outboxes[writer].flush())

    def flush(self) -> None:
        """Write what this turn has put into outboxes."""
        touched = self._touched
        if not touched:
            return
        if len(touched) == 1:
            outboxes: Iterable[Any] = list(touched[0].sinks)
        elif len(touched) < len(self._outboxes) and self._few(touched):
            outboxes = {sink for channel in touched for sink in channel.sinks}
        else:
            # More frames than clients: looking at every outbox once is the shorter way.
            outboxes = set(self._outboxes.values())
        touched.clear()
        self._unwritten.update(dict.fromkeys(outboxes))
        if self._write_call is None:
            self._write()

    def _few(self, touched: Sequence[Channel]) -> bool:
        """Whether fewer frames are to be delivered than there are clients."""
        return sum(len(channel.sinks) for channel in touched) < len(self._outboxes)

    def _write(self) -> None:
        """Write to clients until all have everything, or for a slice of time; then go on next turn."""
        self._write_call = None
        unwritten, seconds = self._unwritten, self._reactor.seconds
        until = seconds() + _SLICE
        messages = 0
        while unwritten:
            outbox, _ = unwritten.popitem(last=False)
            messages += outbox.step(_STEP)
            if outbox.pending:
                unwritten[outbox] = None
            if unwritten and seconds() >= until:
                self._write_call = self._reactor.callLater(0, self._write)
                break
        self._deliveries += messages
        if self._write_call is None and self._written is not None:
            written, self._written = self._written, None
            written.callback(None)

    def _delivered(self, messages: int) -> None:
        """Count them. (`+=` with a call that writes loses what is counted when a client overflows in it.)"""
        self._deliveries += messages

    def overflowed(self, writer: ClientWriter) -> None:
        """The client can't keep up: conflate for it alone."""
        self._delivered(self._private(writer).fall_behind())

    def drained(self, writer: ClientWriter) -> None:
        """The client has everything that was written: give it the latest of each symbol."""
        if writer in self._outboxes and self._outboxes[writer].behind and writer not in self._catching:
            self._catching.add(writer)
            self.turns.begin(self._catch_up(writer))

    def _catch_up(self, writer: ClientWriter) -> Iterator[None]:
        """Give a client what was kept, until it is full again or has everything."""
        try:
            while (outbox := self._outboxes.get(writer)) is not None and outbox.behind:
                if outbox.catch_up():
                    self._settle_later(writer)
                elif writer.paused:
                    self._delivered(outbox.sink_back())
                    return
                yield
        finally:
            self._catching.discard(writer)

    def _line(self, feed: str, symbol: str, exchange: str) -> Line:
        lines = self._own.setdefault(feed, {})
        line = lines.get((symbol, exchange))
        if line is None:
            line = Line(feed, symbol, exchange, self._ids.take(symbol, exchange))
            lines[symbol, exchange] = line
            if feed == UNTAGGED:
                for topic, mode in market_topics(exchange, symbol):
                    self._foreign[topic] = line.sources[mode]
            if self.interest is not None:
                self.interest.want(feed, symbol, exchange)
        self._idle.pop(line, None)
        return line

    def _prune(self, channel: Channel) -> None:
        if channel:
            return
        line = channel.form.line
        line.prune(channel)
        self._linger_unheld(line)

    def _linger_unheld(self, line: Line) -> None:
        if not line:
            self._let_idle(line, self._linger)

    def _let_idle(self, line: Line, linger: float) -> None:
        """Forget a line that nobody holds when so much time has passed."""
        self._idle[line] = self._reactor.seconds() + linger
        if self._idle_call is None:
            self._idle_call = self._reactor.callLater(linger, self._expire)

    # For gateways elsewhere.

    def keep(self, feed: str, symbol: str, exchange: str) -> Line:
        """Keep an instrument's last values, until `give_up` was called as often."""
        line = self._line(feed, symbol, exchange)
        line.kept += 1
        return line

    def give_up(self, line: Line) -> None:
        """Somebody needs an instrument's last values no more. They go after a while."""
        line.kept -= 1
        self._linger_unheld(line)

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
        lines = self._own[line.feed]
        del lines[line.symbol, line.exchange]
        self._ids.give(line.symbol, line.exchange)
        if not lines:
            del self._own[line.feed]
        if line.feed == UNTAGGED:
            for topic, _ in market_topics(line.exchange, line.symbol):
                del self._foreign[topic]
        if self.interest is not None:
            self.interest.unwant(line.feed, line.symbol, line.exchange)

    # Outboxes of one's own and shared ones.

    def _private(self, writer: ClientWriter) -> Outbox:
        """The client's outbox, its alone; sharing is looked for again when it has settled."""
        outbox = self._outboxes[writer]
        if len(outbox.writers) > 1:
            owed = outbox.part(writer)
            outbox = self._outboxes[writer] = Outbox([writer], outbox.channels)
            for channel in outbox.channels:
                channel.add(outbox, None)
            # Last, because it may make the client overflow.
            for data, messages in owed:
                self._deliveries += messages
                writer.write(data)
        else:
            if outbox.shared_key is not None:
                del self._shared[outbox.shared_key]
                outbox.shared_key = None
            if outbox in self._unwritten:
                # Its turn had not come. (A last value that waits for the reply is no such thing.)
                del self._unwritten[outbox]
                self._delivered(outbox.flush())
        self._settle_later(writer)
        return outbox

    def _settle_later(self, writer: ClientWriter) -> None:
        self._settling.pop(writer, None)
        self._settling[writer] = self._reactor.seconds() + _SETTLED
        if self._settle_call is None:
            self._settle_call = self._reactor.callLater(_SETTLED, self._settle)

    def _settle(self) -> None:
        """Join clients whose subscriptions are equal; one client a turn, so that nobody waits."""
        self._settle_call = None
        if not self._settling:
            return
        now = self._reactor.seconds()
        writer = next(iter(self._settling))
        due = self._settling.pop(writer)
        if due > now:
            # The first to be due is the first in line.
            self._settling = {writer: due, **self._settling}
        elif not self._share(writer, now):
            self._settling[writer] = now + _SETTLED
        if self._settling:
            soonest = next(iter(self._settling.values()))
            self._settle_call = self._reactor.callLater(max(0.0, soonest - now), self._settle)

    def _share(self, writer: ClientWriter, now: float) -> bool:
        """Put a client into the outbox of those that hold the same. False: ask again later."""
        outbox = self._outboxes[writer]
        if outbox.behind or not outbox.channels:
            return True
        if not all(channel.settle(outbox, now) for channel in outbox.channels):
            return False
        key = frozenset(outbox.channels)
        other = self._shared.get(key)
        if other is None:
            self._shared[key] = outbox
            outbox.shared_key = key
            return True
        if not other.seal():
            return False
        self._delivered(outbox.flush())
        for channel in outbox.channels:
            channel.discard(outbox)
        other.writers.append(writer)
        self._outboxes[writer] = other
        return True

    def _retire(self, outbox: Outbox) -> Iterator[None]:
        for channel in outbox.channels:
            channel.discard(outbox)
            self._prune(channel)
            yield

    # For those who look on.

    @property
    def stats(self) -> Stats:
        """What went out in all."""
        total = Stats()
        total.deliveries = self._deliveries + sum(told.deliveries for told in self.told.values())
        total.conflated = sum(told.conflated for told in self.told.values())
        total.encoded = sum(told.encoded for told in self.told.values())
        return total

    def lines(self) -> Iterator[Line]:
        """Every instrument that is held, or was until a while ago."""
        for lines in list(self._own.values()):
            yield from list(lines.values())

    def throttled(self) -> int:
        """Channels that wait for the end of their window."""
        return self._clock.waiting()

    def kept(self) -> int:
        """Values that wait for clients which fell behind."""
        return sum(outbox.kept for outbox in set(self._outboxes.values()))

    def behind(self, writer: ClientWriter) -> bool:
        """Whether a client is on conflation of its own."""
        return self._outboxes[writer].behind

    def _counters(self, feed: str, mode: Mode) -> Stats:
        counters = self.told.get((feed, mode))
        if counters is None:
            counters = self.told[feed, mode] = Stats(self._touched)
        return counters

    def outboxes(self) -> int:
        """How many outboxes serve the clients; fewer than clients where some share."""
        return len(set(self._outboxes.values()))

    def stop(self) -> None:
        """End every timer."""
        self.turns.stop()
        self._clock.stop()
        for name in ("_settle_call", "_idle_call", "_write_call"):
            call: Any = getattr(self, name)
            if call is not None:
                call.cancel()
                setattr(self, name, None)
