"""Messages that must not be missed, numbered by their sources: put in order, asked for again. Sans-I/O.

Each source counts its messages from 0 and keeps the last ones. A message comes by itself, or again because
it was asked for. Whoever sees that one is missing, by the number of a later one or because the source says
where it is, asks for what follows the last it had, and meanwhile holds back what is ahead. What a source does
not have any more, or does not say again though it is asked several times, is counted as lost and passed over.

Who begins to listen gets nothing older, but all of a source that began while nothing could be heard.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from openalgo_ws.bus.intake import Message

__all__ = ["Sequences"]

#: Between two requests for the same (seconds), and how many of them may bring nothing.
_AGAIN = 2.0
_ATTEMPTS = 3
#: Sources that are remembered; there is one for each start of a process and each time that it leads.
_SOURCES = 10_000


class _Source:
    __slots__ = ("ahead", "asked", "attempts", "begin", "end", "expected", "timer")

    def __init__(self, begin: int) -> None:
        #: Where this end began to listen, the next number, and the one after the last that is known of.
        self.begin = self.expected = self.end = begin
        self.ahead: dict[int, Message] = {}
        self.timer: IDelayedCall | None = None
        #: What the last request asked for, and how many have asked for the same.
        self.asked = -1
        self.attempts = 0


class Sequences:
    """Gives each message to ``deliver`` once, those of one source in order.

    ``ask`` is told a source and a number when messages from that number on are missing. At most ``most``
    messages of a source are held back.
    """

    def __init__(
        self,
        clock: IReactorTime,
        deliver: Callable[[Message], None],
        ask: Callable[[str, int], None],
        *,
        most: int,
    ) -> None:
        self._clock = clock
        self._deliver = deliver
        self._ask = ask
        self._most = most
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._up = False
        #: Whether there has been a break: a source that is not known then began in it.
        self._broken = False
        #: Messages that are known to have been sent and will not come.
        self.lost = 0

    def up(self) -> None:
        """Sources are reached, for the first time or again."""
        self._up = True
        for name, source in self._sources.items():
            self._look(name, source)

    def down(self) -> None:
        """They are not reached any more: nobody can be asked."""
        self._broken = self._broken or self._up
        self._up = False
        for source in self._sources.values():
            _stop(source)

    def waiting(self) -> int:
        """Messages that are held back, because one before them is missing."""
        return sum(len(source.ahead) for source in self._sources.values())

    def came(self, name: str, number: int, message: Message) -> None:
        """A message of a source has come by itself."""
        source = self._source(name, number)
        if number < source.begin:
            # The source's word of where it is has overtaken it.
            self._deliver(message)
        else:
            self._take(name, source, number, message)

    def repeated(self, name: str, number: int, message: Message) -> None:
        """A message that was asked for has come."""
        source = self._sources.get(name)
        if source is not None:
            self._take(name, source, number, message)

    def heard(self, name: str, first: int, end: int) -> None:
        """A source says which messages it has: from ``first`` to before ``end``."""
        source = self._source(name, end)
        source.end = max(source.end, end)
        if source.expected < first <= end:
            self._pass_over(source, first)
        self._look(name, source)

    def _source(self, name: str, number: int) -> _Source:
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = _Source(0 if self._broken else number)
            if len(self._sources) > _SOURCES:
                _, oldest = self._sources.popitem(last=False)
                _stop(oldest)
        else:
            self._sources.move_to_end(name)
        return source

    def _take(self, name: str, source: _Source, number: int, message: Message) -> None:
        if number < source.expected:
            return
        source.end = max(source.end, number + 1)
        if number == source.expected:
            source.expected += 1
            self._deliver(message)
            self._deliver_ahead(source)
        elif len(source.ahead) < self._most:
            source.ahead[number] = message
        self._look(name, source)

    def _deliver_ahead(self, source: _Source) -> None:
        while (message := source.ahead.pop(source.expected, None)) is not None:
            source.expected += 1
            self._deliver(message)

    def _pass_over(self, source: _Source, number: int) -> None:
        """Wait no longer for what is missing before this number."""
        for ready in sorted(one for one in source.ahead if one < number):
            self.lost += ready - source.expected
            source.expected = ready + 1
            self._deliver(source.ahead.pop(ready))
        self.lost += number - source.expected
        source.expected = number
        self._deliver_ahead(source)

    def _look(self, name: str, source: _Source) -> None:
        """Ask for what is missing, unless that was done a moment ago."""
        if source.expected >= source.end:
            _stop(source)
        elif source.timer is None and self._up:
            self._request(name, source)

    def _request(self, name: str, source: _Source) -> None:
        if source.asked != source.expected:
            source.asked, source.attempts = source.expected, 0
        source.attempts += 1
        source.timer = self._clock.callLater(_AGAIN, partial(self._unanswered, name, source))
        self._ask(name, source.expected)

    def _unanswered(self, name: str, source: _Source) -> None:
        source.timer = None
        if source.asked == source.expected and source.attempts >= _ATTEMPTS:
            self._pass_over(source, min(source.ahead, default=source.end))
        self._look(name, source)


def _stop(source: _Source) -> None:
    if source.timer is not None:
        source.timer.cancel()
        source.timer = None
    source.asked, source.attempts = -1, 0
