"""The router: bus messages in, frames in outboxes out.

Looking up who wants a tick is one dictionary access (`openalgo_ws.gateway.index`); a tick that nobody wants
costs nothing more. What was put into outboxes leaves at the end of the turn (`openalgo_ws.gateway.delivery`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.bus.records import LAST_VALUES, TICKS_PREFIX, tag_of, unpack, unpack_messages
from openalgo_ws.bus.topics import parse_market_topic
from openalgo_ws.gateway.channel import Channel, ChannelKey, Encoder, Stats
from openalgo_ws.gateway.delivery import Delivery
from openalgo_ws.gateway.frames import READY, TEXT_HEADERS, text_header
from openalgo_ws.gateway.index import Index
from openalgo_ws.gateway.line import Line
from openalgo_ws.gateway.throttle import ThrottleClock
from openalgo_ws.gateway.ticks import RoutedTick, read_foreign, stamped
from openalgo_ws.gateway.turns import Turns
from openalgo_ws.gateway.writer import ClientWriter
from openalgo_ws.tick import Mode

__all__ = ["BusStats", "Opening", "Router"]

#: A channel that a client is about to hold, its last tick and that as a frame.
Opening = tuple[Channel, RoutedTick | None, bytes]

#: Topics of market data that are remembered as such. Who publishes more of them has them read anew.
_TOPICS = 65_536

_UNSET = msgspec.UNSET
_join = b"".join


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
        #: Shares the reactor's turns among what clients ask for.
        self.turns = Turns(reactor)
        self.index = Index(reactor, linger)
        self.delivery = Delivery(reactor, self.index, self.turns)
        #: What went out, by feed and mode.
        self.told: dict[tuple[str, Mode], Stats] = {}
        self.bus_stats = BusStats()
        self._reactor = reactor
        self._encoders = encoders
        self._wall_ms = wall_ms
        self._control = control
        self._mirror = mirror
        self._clock = ThrottleClock(reactor, self.delivery.flush)
        #: Counts ticks that somebody may want, in their order.
        self._serial = 0
        #: Topics of ticks that nobody wanted when they came.
        self._market: set[bytes] = set()
        self._complained = float("-inf")

    # From the bus.

    def receive(self, messages: Sequence[tuple[bytes, bytes]]) -> Deferred[None] | None:
        """A batch of bus messages: route every one, then flush what they touched.

        Where that takes longer than the reactor may be kept, it goes on in the next turns: the next
        batch should wait for the Deferred.
        """
        now = self._reactor.seconds()
        wall_ms = self._wall_ms()
        untagged, touched = self.index.untagged, self.delivery.touched
        noting = self.delivery.goes_by_notes(len(messages))
        before = serial = self._serial
        others = 0
        # An untagged publisher's tick that all subscribers can have as it came is the usual case. For it
        # `openalgo_ws.gateway.ticks.read_foreign`, `Channel.take` and `spliced_text_frame` are written out
        # here: their calls would cost as much again as everything but the reading of the payload.
        for topic, payload in messages:
            source = untagged.get(topic)
            if source is None:
                others += 1
                self._serial = serial
                self._other(topic, payload, now)
                serial = self._serial
                continue
            boxes = source.boxes
            text = b""
            try:
                if boxes:
                    try:
                        checked = source.check(payload)
                        levels = source.levels
                        if not levels or checked.is_within(levels):
                            text = payload if checked.timestamp is not _UNSET else stamped(payload, wall_ms)
                            if not payload.isascii():
                                payload.decode()
                    except ValidationError:
                        # A book of the publisher's own form is passed on as it came, if the rest is right.
                        pass
                if not text:
                    source.last = tick = source.read(payload, wall_ms)
            except (ValueError, RecursionError):
                self._malformed(now, "a payload that is not a JSON object with a finite ltp")
                continue
            serial += 1
            source.serial = serial
            source.ticks += 1
            if not text:
                for channel in source.channels:
                    channel.take(tick, now)
                continue
            source.last = text
            splice = source.splice
            size = len(splice) + len(text) + 1
            frame = _join((TEXT_HEADERS[size] if size < READY else text_header(size), splice, text, b"}"))
            source.stats.encoded += 1
            for frames in boxes:
                frames.append(frame)
            if noting:
                touched.append(source.only)
        self._serial = serial
        self.bus_stats.messages += len(messages)
        self.bus_stats.ticks += len(messages) - others
        self.delivery.flush(everything=not noting and serial != before)
        return self.delivery.under_way()

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
            lines = self.index.feeds.get(feed)
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
                    line = self.index.line(tag_of(topic), record.symbol, record.exchange)
                    ticks.append(record)
                elif market := parse_market_topic(topic):
                    line = self.index.line(UNTAGGED, market.symbol, market.exchange)
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
            self.index.let_go(line)

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

    def subscribe(
        self, writer: ClientWriter, feed: str, symbol: str, exchange: str, key: ChannelKey
    ) -> Channel:
        """Give a client an instrument's ticks from now on, beginning with the last known value.

        The last value waits for `Delivery.flush_client`, so that the caller's reply can go first.
        """
        opening = self.prepare(self.index.line(feed, symbol, exchange), key)
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
        outbox = self.delivery.private(writer)
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

    def unsubscribe(self, writer: ClientWriter, channel: Channel) -> None:
        """Take it away again. Nothing of it is sent after this returns."""
        outbox = self.delivery.private(writer)
        outbox.forget(channel)
        channel.discard(outbox)
        self.index.prune(channel)

    # For those who look on.

    @property
    def stats(self) -> Stats:
        """What went out in all."""
        total = Stats()
        total.deliveries = self.delivery.messages + sum(told.deliveries for told in self.told.values())
        total.conflated = sum(told.conflated for told in self.told.values())
        total.encoded = sum(told.encoded for told in self.told.values())
        return total

    def throttled(self) -> int:
        """Channels that wait for the end of their window."""
        return self._clock.waiting()

    def _counters(self, feed: str, mode: Mode) -> Stats:
        counters = self.told.get((feed, mode))
        if counters is None:
            counters = self.told[feed, mode] = Stats(self.delivery.touched)
        return counters

    def stop(self) -> None:
        """End every timer."""
        self.turns.stop()
        self._clock.stop()
        self.index.stop()
        self.delivery.stop()
