"""Lines: one instrument of one feed, with who wants its ticks and what it last said."""

from __future__ import annotations

import msgspec

from openalgo_ws.gateway.channel import Channel, ChannelKey, Clock, Encoder, Form, Stats, ThrottledChannel
from openalgo_ws.gateway.ticks import RoutedTick, reader_of
from openalgo_ws.tick import Mode

__all__ = ["Line", "Source"]


class Source:
    """The ticks of a line that come in one mode.

    What the router touches for every tick is here and in the channels, not in the line.
    """

    __slots__ = ("channels", "last", "line", "read", "serial", "ticks")

    def __init__(self, line: Line, mode: Mode) -> None:
        self.line = line
        #: What makes a tick of an untagged publisher's payload.
        self.read = reader_of(mode)
        #: Whom such a tick serves.
        self.channels: tuple[Channel, ...] = ()
        self.last: RoutedTick | None = None
        #: When `last` came, in the order of all that the router had.
        self.serial = 0
        #: How many have come.
        self.ticks = 0


class Line:
    """One instrument of one feed: its channels, and its ticks by mode.

    ``id`` stands for symbol and exchange in binary records, whatever the feed. ``kept`` counts those
    elsewhere for whom the last values are kept, ``awaited`` clients of ours who are about to subscribe:
    channels without subscribers stay for them.
    """

    __slots__ = ("_forms", "awaited", "exchange", "feed", "id", "kept", "sources", "symbol")

    def __init__(self, feed: str, symbol: str, exchange: str, id: int) -> None:
        self.feed = feed
        self.symbol = symbol
        self.exchange = exchange
        self.id = id
        self.kept = 0
        self.awaited = 0
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
        return max(able, key=lambda source: source.serial).last

    def lasts(self) -> list[RoutedTick]:
        """The last tick of each mode that is the newest or richer than all newer ones, oldest first."""
        shown: list[RoutedTick] = []
        for source in sorted(self.sources.values(), key=lambda source: -source.serial):
            if source.last is not None and (not shown or source.last.mode > shown[-1].mode):
                shown.append(source.last)
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
