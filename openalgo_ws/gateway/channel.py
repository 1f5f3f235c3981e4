"""From a tick to the clients that hold its instrument: forms and channels.

A *line* (`openalgo_ws.gateway.line`) is one instrument of one feed. It has *forms*: the ways in which its
ticks are told (mode, levels, format, broker label); a tick is encoded and framed once per form. A form
has *channels*, one per throttle interval; all subscribers of a channel get the same frames at the same
times.

With thousands of instruments most of what a tick costs is waiting for memory that has left the cache. What
`Channel.take` needs is therefore in the channel itself, and as little as possible anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from openalgo_ws.gateway.frames import spliced_text_frame, text_frame
from openalgo_ws.gateway.ticks import RoutedTick
from openalgo_ws.tick import Mode

if TYPE_CHECKING:
    from openalgo_ws.gateway.line import Line

__all__ = ["Channel", "ChannelKey", "Clock", "Encoder", "Form", "Sink", "Stats", "ThrottledChannel"]


class ChannelKey(msgspec.Struct, frozen=True):
    """What a subscription asks of a line. ``interval`` is the throttle in seconds; ``deflate`` says
    that the client's messages are compressed; the scales (decimals of prices and quantities) count
    for the binary format alone."""

    mode: Mode
    levels: int
    format: str
    broker: str | None
    interval: float
    deflate: bool = False
    price_scale: int = 0
    qty_scale: int = 0


class Encoder(Protocol):
    """A format: how the payload of a market-data message is made.

    Where `head` gives a text, the payload is that text, the tick's ``data`` object and a closing
    brace, and `whole` is only asked for snapshots. `packer` gives what makes of a payload a frame as
    outboxes hold it, and `join` makes of the frames of a turn what goes to the socket.
    """

    def head(self, line: Line, form: Form) -> bytes | None: ...  # pragma: no cover

    def whole(
        self, line: Line, form: Form, tick: RoutedTick, snapshot: bool
    ) -> bytes: ...  # pragma: no cover

    def packer(self, deflate: bool) -> Callable[[bytes], bytes]: ...  # pragma: no cover

    def join(self, frames: Sequence[bytes]) -> bytes: ...  # pragma: no cover


class Clock(Protocol):
    """The part of `ThrottleClock` that a channel uses."""

    def schedule(self, thing: ThrottledChannel, due: float) -> None: ...  # pragma: no cover


class Sink(Protocol):
    """Where a channel's frames go: an outbox. Hashable by identity.

    ``frames`` is what leaves at the end of this turn, always the same list. While ``behind`` is
    true the sink takes only the latest tick per channel, through `keep`.
    """

    frames: list[bytes]
    behind: bool

    def keep(self, channel: Channel, tick: RoutedTick) -> None: ...  # pragma: no cover

    def flush(self) -> int: ...  # pragma: no cover


class Stats:
    """Counters of the hot path, plain integers, and what this turn has touched."""

    __slots__ = ("conflated", "deliveries", "encoded", "touched")

    def __init__(self, touched: list[Channel] | None = None) -> None:
        #: Channels that appended frames in this turn; several counters may share the list.
        self.touched: list[Channel] = [] if touched is None else touched
        self.deliveries = 0
        self.conflated = 0
        self.encoded = 0


class Form:
    """One way of telling a line's ticks.

    Where several channels tell them, the frame of the tick encoded last is remembered. A frame that
    is given up at the end of the turn leaves its memory, still in the cache, to the next one.
    """

    __slots__ = (
        "_encoder",
        "_frame",
        "_pack",
        "_tick",
        "broker",
        "channels",
        "head",
        "join",
        "levels",
        "line",
        "mode",
        "price_scale",
        "qty_scale",
        "stats",
    )

    def __init__(self, line: Line, key: ChannelKey, encoder: Encoder, stats: Stats) -> None:
        self.line = line
        self.mode = key.mode
        self.levels = key.levels
        self.broker = key.broker
        self.price_scale = key.price_scale
        self.qty_scale = key.qty_scale
        self.channels: dict[float, Channel] = {}
        self.stats = stats
        self.head = encoder.head(line, self)
        self._encoder = encoder
        self._pack = encoder.packer(key.deflate)
        self.join = encoder.join
        self._tick: RoutedTick | None = None
        self._frame = b""

    @property
    def splice(self) -> bytes | None:
        """What a channel may put before a tick's own bytes by itself: where it is the only one to tell
        them, as plain text."""
        return self.head if self._pack is text_frame and len(self.channels) == 1 else None

    def frame(self, tick: RoutedTick) -> bytes:
        """The tick as outboxes hold it: a WebSocket frame, or in the binary format a record."""
        if tick is self._tick:
            return self._frame
        head = self.head
        if head is None:
            frame = self._pack(self._encoder.whole(self.line, self, tick, False))
        elif self._pack is text_frame:
            frame = spliced_text_frame(head, tick.data(self.mode, self.levels))
        else:
            frame = self._pack(b"%b%b}" % (head, tick.data(self.mode, self.levels)))
        self.stats.encoded += 1
        if len(self.channels) > 1:
            self._frame = frame
            self._tick = tick
        return frame

    def snapshot(self, tick: RoutedTick) -> bytes:
        """The same, marked as the last known value."""
        return self._pack(self._encoder.whole(self.line, self, tick, True))


class Channel:
    """A form without throttling: every tick goes to every subscriber."""

    __slots__ = (
        "_levels",
        "_mode",
        "_stats",
        "behind",
        "boxes",
        "form",
        "interval",
        "late",
        "sinks",
        "splice",
    )

    def __init__(self, form: Form, interval: float) -> None:
        self.form = form
        self.interval = interval
        #: sink → its list of frames.
        self.sinks: dict[Sink, list[bytes]] = {}
        #: Sinks that are conflating.
        self.behind: dict[Sink, None] = {}
        #: sink → when it may have its next message.
        self.late: dict[Sink, float] = {}
        #: The lists in `sinks` where these are all the subscribers; None: look again.
        self.boxes: tuple[list[bytes], ...] | None = None
        #: `Form.splice`, kept up to date by the line.
        self.splice: bytes | None = None
        self._mode = form.mode
        self._levels = form.levels
        self._stats = form.stats

    def __bool__(self) -> bool:
        """Whether anybody is subscribed."""
        return bool(self.sinks or self.behind or self.late)

    def _reach(self, boxes: tuple[list[bytes], ...] | None) -> None:
        self.boxes = boxes
        self.form.line.sources[self._mode].look()

    def add(self, sink: Sink, snapshot_at: float | None) -> None:
        """Subscribe a sink; ``snapshot_at`` is when it was given the last value, if it was."""
        self._reach(None)
        if self.interval and snapshot_at is not None:
            self.late[sink] = snapshot_at + self.interval
        elif sink.behind:
            self.behind[sink] = None
        else:
            self.sinks[sink] = sink.frames

    def discard(self, sink: Sink) -> None:
        """Unsubscribe a sink."""
        self._reach(None)
        if self.sinks.pop(sink, None) is None:
            self.behind.pop(sink, None)
            self.late.pop(sink, None)

    def settle(self, sink: Sink, now: float) -> bool:
        """Whether the sink is an ordinary subscriber, made one if its time has come."""
        return True

    def shift(self, sink: Sink) -> None:
        """A sink began to conflate, or has caught up (``sink.behind`` says which)."""
        if sink in self.late:
            return
        if sink.behind:
            self._reach(None)
            if self.sinks.pop(sink, None) is not None:
                self.behind[sink] = None
        else:
            self.rise(sink)

    def rise(self, sink: Sink) -> None:
        """A sink that conflates has all of this channel."""
        self._reach(None)
        if sink in self.behind:
            del self.behind[sink]
            self.sinks[sink] = sink.frames

    def take(self, tick: RoutedTick, now: float) -> None:
        """A new tick."""
        boxes = self.boxes
        if boxes is None:
            self.send(tick, now)
            return
        splice = self.splice
        if splice is not None and tick.mode is self._mode and tick.levels <= self._levels:
            frame = spliced_text_frame(splice, tick.body)
            self._stats.encoded += 1
        else:
            frame = self.form.frame(tick)
        for frames in boxes:
            frames.append(frame)
        self._stats.touched.append(self)

    def tell_last(self, tick: RoutedTick) -> None:
        """Tell the last known value, which came later than its subscribers."""
        frame = self.form.snapshot(tick)
        for frames in self.sinks.values():
            frames.append(frame)
        if self.sinks:
            self._stats.touched.append(self)
        for sink in self.behind:
            sink.keep(self, tick)

    def send(self, tick: RoutedTick, now: float) -> None:
        """Tell a tick now, to those who keep up and to those who don't."""
        sinks = self.sinks
        if sinks:
            frame = self.form.frame(tick)
            for frames in sinks.values():
                frames.append(frame)
            self._stats.touched.append(self)
        if self.behind:
            for sink in self.behind:
                sink.keep(self, tick)
        elif not self.late:
            self._reach(tuple(sinks.values()))


class ThrottledChannel(Channel):
    """A form at one throttle interval: trailing-edge conflation for all its subscribers.

    After a message the next one waits until the interval has passed and then carries the latest
    tick. A subscriber that joins with a snapshot is *late* until the interval has passed for it as
    well; what is sent meanwhile reaches it at the end of the window, so nothing is lost.
    """

    __slots__ = ("_clock", "_last", "_missed", "_next_at", "_pending", "_scheduled")

    def __init__(self, form: Form, interval: float, clock: Clock) -> None:
        super().__init__(form, interval)
        self._clock = clock
        self._next_at = 0.0
        self._pending: RoutedTick | None = None
        self._last: RoutedTick | None = None
        self._missed = False
        self._scheduled = False

    def discard(self, sink: Sink) -> None:
        """Unsubscribe a sink."""
        super().discard(sink)
        if not self.late:
            # Nobody is left who has missed anything: who comes later begins with something newer.
            self._missed = False
            self._last = None

    def settle(self, sink: Sink, now: float) -> bool:
        due = self.late.get(sink)
        if due is None:
            return True
        if due > now or self._missed:
            return False
        del self.late[sink]
        self.add(sink, None)
        return True

    def take(self, tick: RoutedTick, now: float) -> None:
        """A new tick: tell it now, or when the window ends."""
        if now >= self._next_at:
            if self._pending is not None:
                # The window's end has come but the clock has not yet told: this one is newer.
                self._pending = None
                self.form.stats.conflated += 1
            self.send(tick, now)
            self._window(now)
        else:
            if self._pending is not None:
                self.form.stats.conflated += 1
            self._pending = tick
            self._wake_at(self._next_at)

    def fire(self, now: float) -> None:
        """The window has ended."""
        self._scheduled = False
        tick = self._pending
        if now < self._next_at and (tick is not None or self._missed):
            # A newer tick went out as the window ended and began another.
            self._wake_at(self._next_at)
        elif tick is not None:
            self._pending = None
            self.send(tick, now)
            self._window(now)
        elif self._missed and self._last is not None:
            # Only the latecomers missed the last tick; it starts a window for all.
            self._missed = False
            joining = [sink for sink, due in self.late.items() if due <= now]
            for sink in joining:
                del self.late[sink]
                self.add(sink, None)
                self._give(sink, self._last)
            self._window(now)

    def _window(self, now: float) -> None:
        self._next_at = now + self.interval
        if self._missed:
            self._wake_at(self._next_at)

    def _wake_at(self, due: float) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._clock.schedule(self, due)

    def send(self, tick: RoutedTick, now: float) -> None:
        """Tell a tick now, and to latecomers if their time has come."""
        if self.late:
            self._admit(tick, now)
        super().send(tick, now)

    def _admit(self, tick: RoutedTick, now: float) -> None:
        """Let in the latecomers whose time has come; the others miss this tick for now."""
        for sink in [sink for sink, due in self.late.items() if due <= now]:
            del self.late[sink]
            self.add(sink, None)
        if self.late:
            self._missed = True
            self._last = tick
        else:
            self._missed = False
            self._last = None

    def _give(self, sink: Sink, tick: RoutedTick) -> None:
        if sink.behind:
            sink.keep(self, tick)
        else:
            sink.frames.append(self.form.frame(tick))
            self._stats.touched.append(self)
