"""What every way from the feed process to a worker has in common.

A worker that does not keep up is no other's business: what it has not taken waits for it alone, and
beyond a mark only the latest value of each instrument does (`openalgo_ws.bus.intake`). Messages travel
as they came, many in one packet. The ways are `openalgo_ws.scale.pipes` and `openalgo_ws.scale.rings`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from openalgo_ws.bus.intake import Intake, Message
from openalgo_ws.bus.records import pack_messages
from openalgo_ws.bus.timer import Timer

__all__ = ["Ways", "WorkerBus", "WorkerLink"]


class WorkerLink(ABC):
    """The feed process' end of the way to one worker. End it with `close`.

    ``retry``: seconds after which a way that was full is tried again; None where it always tells of room.
    """

    def __init__(self, reactor: Any, retry: float | None) -> None:
        self._retry = retry
        self._unsent: deque[bytes] = deque()
        self._room: Deferred[None] | None = None
        self._turning = Timer(reactor, self._turn)
        self._closed = False
        self.intake = Intake(self._pass_on, self._soon)
        #: Messages that found no room at all: a worker that takes nothing is replaced before long.
        self.dropped = 0

    def send(self, messages: list[Message]) -> None:
        """Send messages, or keep them until there is room."""
        if self._closed:
            return
        if not self.intake.size:
            self.dropped += len(messages)
            return
        if self.intake.take(messages, False):
            self._soon()

    def close(self) -> None:
        """Give up what waits. Harmless when closed."""
        self._closed = True
        self._turning.stop()
        self._unsent.clear()

    @abstractmethod
    def _sent(self, packet: bytes) -> bool:
        """Send a packet; False if there is no room, of which the way then tells by `_tell_of_room`."""

    def _packets(self, messages: list[Message]) -> Iterable[bytes]:
        """The messages as they travel."""
        return [pack_messages(messages)]

    def _tell_of_room(self) -> None:
        """There may be room again."""
        if self._unsent and not self._closed:
            self._turn()

    def _pass_on(self, messages: list[Message]) -> Deferred[None] | None:
        self._unsent.extend(self._packets(messages))
        if self._emptied():
            return None
        self._room = Deferred()
        return self._room

    def _soon(self) -> None:
        if not self._closed:
            self._turning.start()

    def _turn(self) -> None:
        """Send what found no room, or else what waits behind it. The one thing that the timer calls."""
        if self._room is None:
            if self.intake.take([], False):
                self._soon()
        elif self._emptied():
            room, self._room = self._room, None
            room.callback(None)

    def _emptied(self) -> bool:
        """Whether everything that was to be sent could be."""
        while self._unsent:
            if not self._sent(self._unsent[0]):
                if self._retry is not None:
                    self._turning.start(self._retry)
                return False
            self._unsent.popleft()
        return True


class WorkerBus(Protocol):
    """The worker's end of a `WorkerLink`: hands on what the feed process passes on."""

    @property
    def intake(self) -> Intake: ...

    def close(self) -> None: ...


class Ways(Protocol):
    """How workers are reached: makes a way for each."""

    def address(self, name: str) -> str:
        """Where the worker of this name is to look for its end."""

    def link(self, address: str) -> WorkerLink:
        """Our end."""

    def close(self) -> None:
        """There are no more links. Harmless when closed."""
