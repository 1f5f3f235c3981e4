"""Lines: one instrument of one feed, with who wants its ticks and what it last said."""

from __future__ import annotations

import msgspec

from openalgo_ws.gateway.channel import Channel, ChannelKey, Clock, Encoder, Form, Stats, ThrottledChannel
from openalgo_ws.gateway.ticks import RoutedTick, checker_of, reader_of
from openalgo_ws.tick import Mode

__all__ = ["Line", "Source"]


class Source:
    """The ticks of a line that come in one mode.

    What the router touches for every tick is here and in the channels, not in the line. Where an untagged
    publisher's text can go to all subscribers as it came, it is here alone: in ``boxes`` and what belongs
    to them. That is the usual case, and what is touched of 3,000 instruments is what a tick costs.
    """

    __slots__ = (
        "boxes",
        "channels",
        "check",
        "last",
        "levels",
        "line",
        "mode",
        "only",
        "read",
        "serial",
        "splice",
        "stats",
        "ticks",
    )

    #: The only channel, with what it puts before the text and the levels that it may tell, while there are
    #: `boxes`.
    only: Channel
    splice: bytes
    levels: int
    stats: Stats

    def __init__(self, line: Line, mode: Mode) -> None:
        self.line = line
        self.mode = mode
        #: What makes a tick of an untagged publisher's payload, and what looks whether its text will do
        #: (`openalgo_ws.gateway.ticks.checker_of`).
        self.read = reader_of(mode)
        self.check = checker_of(mode)
        #: Whom such a tick serves.
        self.channels: tuple[Channel, ...] = ()
        #: The lists of frames of all whom it serves, if it can be told to all as it came; else empty.
        self.boxes: tuple[list[bytes], ...] = ()
        #: A tick, or the text of one that was checked: see `newest`.
        self.last: RoutedTick | bytes | None = None
        #: When `last` came, in the order of all that the router had.
        self.serial = 0
        #: How many have come.
        self.ticks = 0

    def look(self) -> None:
        """Find out anew what `boxes` is."""
        self.boxes = ()
        if len(self.channels) == 1:
            (channel,) = self.channels
            if channel.splice is not None and not channel.interval and channel.form.mode is self.mode:
                self.only, self.splice, self.stats = channel, channel.splice, channel.form.stats
                self.levels = channel.form.levels
                self.boxes = channel.boxes or ()

    def newest(self) -> RoutedTick | None:
        """The last tick."""
        last = self.last
        if isinstance(last, bytes):
            last = self.last = self.read(last, 0)
        return last


class Line:
    """One instrument of one feed: its channels, and its ticks by mode.

    ``id`` stands for symbol and exchange in binary records, whatever the feed. ``kept`` counts those
    elsewhere for whom the last values are kept, ``awaited`` clients of ours who are about to subscribe:
    channels without subscribers stay for them. ``expected`` is how often it was asked for and not refused.
    """

    __slots__ = ("_forms", "awaited", "exchange", "expected", "feed", "id", "kept", "sources", "symbol")

    def __init__(self, feed: str, symbol: str, exchange: str, id: int) -> None:
        self.feed = feed
        self.symbol = symbol
        self.exchange = exchange
        self.id = id
        self.kept = 0
        self.awaited = 0
        self.expected = 0
        self._forms: dict[ChannelKey, Form] = {}
        #: By the mode in which the ticks come.
        self.sources: dict[Mode, Source] = {mode: Source(self, mode) for mode in Mode}

    def __bool__(self) -> bool:
        """Whether anybody holds anything of this instrument."""
        return bool(self._forms) or self.kept > 0 or self.awaited > 0

    @property
    def ticks(self) -> int:
        """How many ticks have come since the line was made."""
        return sum(source.ticks for source in self.sources.values())

    def last(self, mode: Mode) -> RoutedTick | None:
        """The newest tick that can serve a mode."""
        able = [source for richer, source in self.sources.items() if richer >= mode]
        return max(able, key=lambda source: source.serial).newest()

    def lasts(self) -> list[RoutedTick]:
        """The last tick of each mode that is the newest or richer than all newer ones, oldest first."""
        shown: list[RoutedTick] = []
        for source in sorted(self.sources.values(), key=lambda source: -source.serial):
            last = source.newest()
            if last is not None and (not shown or last.mode > shown[-1].mode):
                shown.append(last)
        return shown[::-1]

    def tell_last(self) -> None:
        """Tell every subscriber the last value, which has just become known."""
        for form in self._forms.values():
            last = self.last(form.mode)
            if last is not None:
                for channel in form.channels.values():
                    channel.tell_last(last)

    def channel(self, key: ChannelKey, encoder: Encoder, stats: Stats, clock: Clock) -> Channel:
        """The channel of that key, made if it isn't there."""
        form_key = msgspec.structs.replace(key, interval=0.0)
        form = self._forms.get(form_key)
        if form is None:
            form = self._forms[form_key] = Form(self, key, encoder, stats)
        channel = form.channels.get(key.interval)
        if channel is None:
            interval = key.interval
            channel = ThrottledChannel(form, interval, clock) if interval else Channel(form, interval)
            form.channels[interval] = channel
            self._index()
        return channel

    def prune(self, channel: Channel) -> None:
        """Take a channel out that has no subscriber left."""
        form = channel.form
        if channel or self.awaited or form.channels.get(channel.interval) is not channel:
            return
        del form.channels[channel.interval]
        if not form.channels:
            self._forms = {key: kept for key, kept in self._forms.items() if kept is not form}
        self._index()

    def give_up(self) -> None:
        """One who was about to subscribe has done so, or won't."""
        self.awaited -= 1
        if not self.awaited:
            channels = [channel for form in self._forms.values() for channel in form.channels.values()]
            for channel in channels:
                self.prune(channel)

    def _index(self) -> None:
        channels = [channel for form in self._forms.values() for channel in form.channels.values()]
        for mode, source in self.sources.items():
            source.channels = tuple(one for one in channels if one.form.mode <= mode)
        for channel in channels:
            channel.splice = channel.form.splice
        for source in self.sources.values():
            source.look()
