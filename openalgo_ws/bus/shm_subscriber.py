"""The subscribing end of the bus in shared memory: see `openalgo_ws.bus.shm`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from openalgo_ws.bus.intake import Intake, Message, Receive, ReceivingEnd
from openalgo_ws.bus.ring import RingError, RingMissing, RingReader, Wait
from openalgo_ws.bus.ring_reader import ORDERED, SECOND_LOOK
from openalgo_ws.bus.shm_message import part
from openalgo_ws.bus.timer import Timer

__all__ = ["ShmSubscriber"]

#: For so long (seconds) after the last message one that yields looks every turn, before it sleeps.
_YIELDS = 0.001
#: First and longest time (seconds) until a subscriber looks for a publisher again.
_SOON, _LATER = 0.05, 1.0


@implementer(IReadDescriptor)
class ShmSubscriber(ReceivingEnd):
    """Receives everything; implements `openalgo_ws.bus.interface.BusSubscriber`.

    With `Wait.BLOCKING` it sleeps on the reader's pipe whenever the ring is empty; with `Wait.YIELDING`
    it looks once in every turn of the reactor for a millisecond before it does; with `Wait.BUSY_SPIN` it
    looks once in every turn and never sleeps, which takes a core.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        attach: Callable[[], RingReader],
        receive: Receive,
        *,
        wait: Wait,
        batch: int,
        mark: int,
    ) -> None:
        self._reactor = reactor
        self._attach = attach
        self._wait = wait
        self.intake = Intake(receive, self._again, batch=batch, mark=mark)
        self._looking = Timer(reactor, self._look)
        self._joining = Timer(reactor, self._join)
        self._delay = _SOON
        self._reader: RingReader | None = None
        self._over = False
        self._dropped = False
        self._closed = False
        self._lost_before = 0
        self._idle_since: float | None = None
        #: Messages that are no topic and payload.
        self.malformed = 0
        self._join()

    @property
    def lost(self) -> int:
        """Messages that were overwritten before they were read: by a publisher that waited no longer."""
        return self._lost_before + (0 if self._reader is None else self._reader.lost)

    def backlog(self) -> int:
        """What was read and waits for the receiver, and the slots that were not read."""
        return self.intake.backlog() + (0 if self._reader is None else self._reader.lag())

    def close(self) -> None:
        """Leave the ring."""
        self._closed = True
        self._looking.stop()
        self._joining.stop()
        self._leave()

    # From the reactor.

    def fileno(self) -> int:
        """The pipe by which the publisher wakes this subscriber."""
        return -1 if self._reader is None else self._reader.fileno()

    def doRead(self) -> None:
        """Something is there, or the other end of the pipe is gone."""
        if self._reader is None:
            return
        if not self._reader.silence():
            self._ended()
        self._look()

    def logPrefix(self) -> str:
        """Part of `IReadDescriptor`."""
        return "bus"

    def connectionLost(self, reason: Failure) -> None:
        """The other end of the pipe is gone."""
        self._ended()
        self._looking.start()

    def _join(self) -> None:
        try:
            self._reader = self._attach()
        except RingError as error:
            if not isinstance(error, RingMissing) and self._delay == _SOON:
                self.log.warn("the bus in shared memory can't be joined: {error}", error=error)
            self._joining.start(self._delay)
            self._delay = min(2 * self._delay, _LATER)
            return
        self._delay = _SOON
        self._over = False
        self._reactor.addReader(self)
        self._looking.start()

    def _leave(self) -> None:
        if self._reader is not None:
            if not (self._over or self._dropped):
                self._reactor.removeReader(self)
            self._dropped = False
            self._lost_before += self._reader.lost
            self._reader.close()
            self._reader = None

    def _ended(self) -> None:
        """The publisher has closed the pipe: it has ended, or waits for us no longer."""
        reader = self._reader
        if reader is None or self._over or self._dropped:
            return
        if reader.dropped:
            # It joins again when it has time to read: before, it would only be waited for once more.
            self._reactor.removeReader(self)
            self._dropped = True
        elif reader.gone:
            # What it left is read first.
            self._reactor.removeReader(self)
            self._over = True

    def _again(self) -> None:
        if not self._closed:
            self._looking.start()

    def _look(self) -> None:
        reader = self._reader
        if reader is None:
            # What the last publisher left may still wait for the receiver.
            if not self._closed and self.intake.take([], False):
                self._looking.start()
            return
        size = self.intake.size
        if self._dropped and size:
            self.log.warn("the publisher did not wait for this process any longer; joining again")
            reader.rejoin()
            self._dropped = False
            self._reactor.addReader(self)
        messages = self._read(reader, size) if size else []
        more = reader.lag() > 0
        if self.intake.take(messages, more):
            self._looking.start()
        elif not more and not self._closed:
            self._rest(reader, idle=not messages)

    def _rest(self, reader: RingReader, *, idle: bool) -> None:
        """The ring is empty."""
        if self._over:
            self._leave()
            self._join()
        elif not self._rested(idle) or not reader.doze():
            self._looking.start()
        elif not ORDERED:
            self._looking.start(SECOND_LOOK)

    def _rested(self, idle: bool) -> bool:
        """Whether the strategy says to sleep now."""
        if self._wait is not Wait.YIELDING:
            return self._wait is Wait.BLOCKING
        now = self._reactor.seconds()
        if not idle or self._idle_since is None:
            self._idle_since = now
        return bool(now - self._idle_since >= _YIELDS)

    def _read(self, reader: RingReader, most: int) -> list[Message]:
        """What has come, at most so many."""
        messages = []
        for data in reader.read(most):
            try:
                messages.append(part(data))
            except ValueError:
                self.malformed += 1
        return messages
