"""Outboxes: what leaves at the end of a turn, for one client or for many that hold the same.

During a turn channels append frames to outboxes; at its end every touched outbox is joined once
and written to each of its clients. Clients whose subscriptions are equal share one outbox, so a
hundred dashboards on the same watch-list cost one join, not a hundred. A client that changes its
subscriptions or falls behind gets an outbox of its own first.
"""

from __future__ import annotations

from collections.abc import Iterable

from openalgo_ws.gateway.channel import Channel
from openalgo_ws.gateway.ticks import RoutedTick
from openalgo_ws.gateway.writer import ClientWriter

__all__ = ["Outbox"]

#: How much a client that fell behind is given at a time when it has drained.
_PORTION = 64 * 1024


class Outbox:
    """Frames of this turn, and whom they go to."""

    __slots__ = ("_join", "_kept", "behind", "channels", "frames", "shared_key", "writers")

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
        #: A client has one format for all that it holds, and so have those that share an outbox.
        self._join = next((channel.form.join for channel in self.channels), b"".join)

    def hold(self, channel: Channel) -> None:
        """One channel more."""
        self.channels[channel] = None
        self._join = channel.form.join

    def flush(self) -> int:
        """Write this turn's frames to every client; how many messages that were."""
        frames = self.frames
        messages = len(frames) * len(self.writers)
        if frames:
            data = self._join(frames)
            frames.clear()
            # A copy: a client that overflows now leaves a shared outbox in the middle of this.
            for writer in tuple(self.writers):
                writer.write(data)
        return messages

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

    def fall_behind(self) -> None:
        """From now on keep only the latest of each channel."""
        self.flush()
        self.behind = True
        for channel in self.channels:
            channel.shift(self)

    def catch_up(self) -> bool:
        """The client has drained: give it what was kept. False if it filled up again meanwhile."""
        (writer,) = self.writers
        kept = self._kept
        while kept and not writer.paused:
            frames: list[bytes] = []
            size = 0
            while kept and size < _PORTION:
                channel = next(iter(kept))
                frame = channel.form.frame(kept.pop(channel))
                channel.form.stats.deliveries += 1
                frames.append(frame)
                size += len(frame)
            writer.write(self._join(frames))
        if kept or writer.paused:
            return False
        self.behind = False
        for channel in self.channels:
            channel.shift(self)
        return True
