"""Outboxes: what leaves at the end of a turn, for one client or for many that hold the same.

During a turn channels append frames to outboxes; at its end every touched outbox is joined once
and written to each of its clients. Clients whose subscriptions are equal share one outbox, so a
hundred dashboards on the same watch-list cost one join, not a hundred. A client that changes its
subscriptions or falls behind gets an outbox of its own first.

A thousand clients take longer to write to than the reactor may be kept: what is joined can be written
in steps, with frames for the next time gathering meanwhile. Each client still gets everything in order.
"""

from __future__ import annotations

from collections.abc import Iterable

from openalgo_ws.gateway.channel import Channel
from openalgo_ws.gateway.ticks import RoutedTick
from openalgo_ws.gateway.writer import ClientWriter

__all__ = ["Outbox"]

#: How much a client that fell behind is given at a time when it has drained.
_PORTION = 64 * 1024

#: About so many bytes are joined at a time. A larger block is mapped by the allocator anew each time, and
#: the faults of its pages cost more than another `send`.
_JOINED = 112 * 1024


class Outbox:
    """Frames of this turn, and whom they go to."""

    __slots__ = (
        "_data",
        "_join",
        "_kept",
        "_messages",
        "_rest",
        "_risen",
        "behind",
        "channels",
        "frames",
        "shared_key",
        "writers",
    )

    def __init__(self, writers: Iterable[ClientWriter], channels: Iterable[Channel] = ()) -> None:
        self.frames: list[bytes] = []
        #: True while the client takes only the latest of each channel.
        self.behind = False
        self.writers: list[ClientWriter] = list(writers)
        #: What it holds, as an ordered set.
        self.channels: dict[Channel, None] = dict.fromkeys(channels)
        #: Under which set of channels it is shared, if it is.
        self.shared_key: frozenset[Channel] | None = None
        self._kept: dict[Channel, RoutedTick] = {}
        #: Channels that don't conflate any more, while others still do.
        self._risen: list[Channel] = []
        #: What is being written, how many messages that is, and to whom it is still to be written,
        #: the next one last.
        self._data = b""
        self._messages = 0
        self._rest: list[ClientWriter] = []
        #: A client has one format for all that it holds, and so have those that share an outbox.
        self._join = next((channel.form.join for channel in self.channels), b"".join)

    def hold(self, channel: Channel) -> None:
        """One channel more."""
        self.channels[channel] = None
        self._join = channel.form.join

    @property
    def pending(self) -> bool:
        """Whether anything is still to be written."""
        return bool(self._rest or self.frames)

    def step(self, clients: int) -> int:
        """Write what is pending to so many clients at the most; how many messages that were."""
        if not self._rest:
            self.seal()
        rest = self._rest
        messages = 0
        while rest and clients:
            clients -= 1
            messages += self._messages
            # A client that overflows now leaves, if the outbox is shared; it has had its share.
            rest.pop().write(self._data)
        if not rest:
            # Its memory, still in the cache, is for the next outbox.
            self._data = b""
        return messages

    def seal(self) -> bool:
        """Join the frames, for those who are here now. False: some are not joined yet."""
        if self._rest:
            return not self.frames
        frames = self.frames
        if not frames:
            return True
        most = _JOINED // len(frames[0]) + 1
        if len(frames) <= most:
            self._messages = len(frames)
            self._data = self._join(frames)
            frames.clear()
        else:
            self._messages = most
            self._data = self._join(frames[:most])
            del frames[:most]
        self._rest = self.writers[::-1]
        return not frames

    def flush(self) -> int:
        """Write everything to every client; how many messages that were."""
        messages = 0
        while self.pending:
            messages += self.step(len(self.writers))
        return messages

    def part(self, writer: ClientWriter) -> list[tuple[bytes, int]]:
        """Let a client go. What is still to be written to it, in order, with the number of messages."""
        owed = []
        if writer in self._rest:
            self._rest.remove(writer)
            owed.append((self._data, self._messages))
        if self.frames:
            owed.append((self._join(self.frames), len(self.frames)))
        self.writers.remove(writer)
        return owed

    @property
    def kept(self) -> int:
        """Values that wait until the client has drained."""
        return len(self._kept)

    def keep(self, channel: Channel, tick: RoutedTick) -> None:
        """While behind: remember the latest tick of a channel."""
        if channel in self._kept:
            channel.form.stats.conflated += 1
        self._kept[channel] = tick

    def forget(self, channel: Channel) -> None:
        """The channel is no longer held."""
        self.channels.pop(channel, None)
        self._kept.pop(channel, None)

    def fall_behind(self) -> int:
        """From now on keep only the latest of each channel. How many messages were written before."""
        messages = self.flush()
        self.behind = True
        for channel in self.channels:
            channel.shift(self)
        self._risen.clear()
        return messages

    def sink_back(self) -> int:
        """The client has filled up again before it had everything: what has come for it meanwhile is
        written (how many messages that were), what comes now is kept."""
        messages = self.flush()
        for channel in self._risen:
            channel.shift(self)
        self._risen.clear()
        return messages

    def catch_up(self) -> bool:
        """The client has drained: give it a portion of what was kept. Whether it has everything now.

        A channel whose value was given is told as usual from then on, so that this comes to an end
        however many ticks there are.
        """
        (writer,) = self.writers
        kept = self._kept
        if kept and not writer.paused:
            frames: list[bytes] = []
            size = 0
            while kept and size < _PORTION:
                channel = next(iter(kept))
                frame = channel.form.frame(kept.pop(channel))
                channel.form.stats.deliveries += 1
                channel.rise(self)
                self._risen.append(channel)
                frames.append(frame)
                size += len(frame)
            writer.write(self._join(frames))
        if kept or writer.paused:
            return False
        self.behind = False
        self._risen.clear()
        for channel in self.channels:
            channel.shift(self)
        return True
