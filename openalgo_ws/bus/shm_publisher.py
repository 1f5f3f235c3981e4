"""The publishing end of the bus in shared memory: see `openalgo_ws.bus.shm`."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from openalgo_ws.bus.conflate import ConflatingPublisher, Conflator
from openalgo_ws.bus.records import TICKS_PREFIX, TickRecord, tag_of, unpack
from openalgo_ws.bus.ring import RingBuffer
from openalgo_ws.bus.shm_message import join, part
from openalgo_ws.bus.timer import Timer

__all__ = ["ShmPublisher"]

#: How often (seconds) a publisher that has no room looks at its readers.
_WATCH = 0.1


@implementer(IReadDescriptor)
class ShmPublisher(ConflatingPublisher):
    """Publishes ticks and orders; implements `openalgo_ws.bus.interface.BusPublisher`."""

    log = Logger()

    def __init__(self, reactor: Any, ring: RingBuffer, *, updates: int, patience: float) -> None:
        self._reactor = reactor
        self._ring = ring
        self._patience = patience
        self._updates = updates
        # Topics are short beside the messages that are too long.
        most = ring.most_bytes - 1024
        self._queue = Conflator(self._sent, batch=500, updates=updates, most_bytes=most)
        self._flushing = Timer(reactor, self._flush)
        self._watching = Timer(reactor, self._watch)
        #: How far each reader was, and since when, while there is no room.
        self._seen: dict[int, tuple[int, float]] = {}
        #: Those that were there when one last rang.
        self._readers: set[int] = set()
        #: What readers that were dropped would need to be up to date again.
        self._missed: Conflator | None = None
        #: Readers that were dropped though their processes ran.
        self.dropped = 0
        reactor.addReader(self)

    @property
    def name(self) -> str:
        """The name of the ring, by which a `RingReader` finds it."""
        return self._ring.name

    def publish(self, feed: str, record: TickRecord) -> None:
        """Publish one tick with the others of this turn."""
        if self._ring.closed:
            return
        if self._missed is not None:
            self._missed.keep(feed, (record,))
        if self._queue.add(feed, record):
            self._flushing.start()

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Publish an order update under the platform's own topic ``<BROKER>_<user>_orders``."""
        if self._ring.closed:
            return
        if self._missed is not None:
            self._missed.add_order(broker, user, update)
        if not self._queue.add_order(broker, user, update):
            self._watching.start(_WATCH)

    def close(self) -> None:
        """Close the ring; what waits for room is given up."""
        if self._ring.closed:
            return
        self._flushing.stop()
        self._watching.stop()
        self._queue.clear()
        self._reactor.removeReader(self)
        self._ring.close()

    # From the reactor.

    def fileno(self) -> int:
        """The pipe by which readers ring."""
        return self._ring.fileno()

    def doRead(self) -> None:
        """A reader has come, or made room."""
        self._ring.silence()
        readers = set(self._ring.cursors())
        come, self._readers = readers - self._readers, readers
        if self._missed is not None and come:
            self._queue.take_over(self._missed)
            if not self._ring.stalled():
                self._missed = None
        if self._queue.stuck:
            self._flush()

    def logPrefix(self) -> str:
        """Part of `IReadDescriptor`."""
        return "bus"

    def connectionLost(self, reason: Failure) -> None:
        """The pipe is broken, which it can't be while it is open for writing, too."""
        self.close()

    def _flush(self) -> None:
        self._queue.flush()
        if self._queue.stuck:
            self._watching.start(_WATCH)

    def _sent(self, topic: bytes, payload: bytes) -> bool:
        ring = self._ring
        if not ring.room(ring.needs(2 + len(topic) + len(payload))):
            return False
        ring.publish(join(topic, payload))
        return True

    def _watch(self) -> None:
        """There was no room a moment ago: who is to blame, and are they still there?"""
        self._ring.drop_dead()
        now = self._reactor.seconds()
        seen, self._seen = self._seen, {}
        for reader, cursor in self._ring.cursors().items():
            if self._ring.position - cursor <= self._ring.slots // 2:
                continue
            was, since = seen.get(reader, (cursor, now))
            if was != cursor:
                since = now
            if now - since >= self._patience:
                self._drop(reader)
            else:
                self._seen[reader] = (cursor, since)
        self._flush()

    def _drop(self, reader: int) -> None:
        self.dropped += 1
        self.log.warn(
            "a reader of the bus has taken nothing for {patience} s and is not waited for any longer",
            patience=self._patience,
        )
        if self._missed is None:
            self._missed = Conflator(_nowhere, batch=500, updates=self._updates)
        for data in self._ring.unread(reader):
            topic, payload = part(data)
            if topic.startswith(TICKS_PREFIX):
                self._missed.keep(tag_of(topic), unpack(payload))
            else:
                self._missed.keep_order(topic, payload)
        self._ring.drop(reader)


def _nowhere(topic: bytes, payload: bytes) -> bool:
    """There is never room for one who is not there."""
    return False
