"""Ways to workers through shared memory: a ring (`openalgo_ws.bus.ring`) for each.

A ring of its own keeps a slow worker from anybody else: the link writes only as far as that worker's
cursor allows, and waits where there is no room. The worker sleeps until it is woken and costs nothing
while nothing comes.

The feed process makes the rings and removes them, so that a worker that is killed leaves nothing. What a
feed process leaves that is killed itself, the next one sweeps away.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from openalgo_ws.bus.intake import BATCH, Message, Receive
from openalgo_ws.bus.records import TICKS_PREFIX, pack, pack_messages, unpack, unpack_messages
from openalgo_ws.bus.ring import RingBuffer, RingBufferPool, RingReader, Wait
from openalgo_ws.bus.ring_reader import ORDERED, SECOND_LOOK
from openalgo_ws.bus.shm_subscriber import ShmSubscriber
from openalgo_ws.scale.links import WorkerLink

__all__ = ["SCHEME", "RingBus", "RingLink", "Rings"]

#: What the address of a ring begins with.
SCHEME = "shm://"


class Rings:
    """Rings of so many ``slots`` (a power of two) each; implements `openalgo_ws.scale.links.Ways`.

    Removes what killed processes of the same ``family`` left.
    """

    def __init__(self, reactor: Any, *, slots: int, family: str = "openalgo-ws") -> None:
        self._reactor = reactor
        self._slots = slots
        self._family = family
        RingBufferPool(family).sweep()

    def address(self, name: str) -> str:
        """Part of `Ways`."""
        return f"{SCHEME}{self._family}.{os.getpid()}.{name}"

    def link(self, address: str) -> RingLink:
        """Part of `Ways`; RingError if there is no memory for it."""
        return RingLink(self._reactor, RingBuffer(address.removeprefix(SCHEME), slots=self._slots))

    def close(self) -> None:
        """Part of `Ways`: each ring is its link's."""


@implementer(IReadDescriptor)
class RingLink(WorkerLink):
    """The way to one worker; owns the ring."""

    def __init__(self, reactor: Any, ring: RingBuffer) -> None:
        # Where stores become visible out of order a reader may not see that we wait for it.
        super().__init__(reactor, None if ORDERED else SECOND_LOOK)
        self._reactor = reactor
        self._ring = ring
        reactor.addReader(self)

    def close(self) -> None:
        """Remove the ring."""
        super().close()
        if not self._ring.closed:
            self._reactor.removeReader(self)
            self._ring.close()

    # From the reactor.

    def fileno(self) -> int:
        """The pipe by which the worker rings."""
        return self._ring.fileno()

    def doRead(self) -> None:
        """The worker has come, or made room."""
        self._ring.silence()
        self._tell_of_room()

    def logPrefix(self) -> str:
        """Part of `IReadDescriptor`."""
        return "worker"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor lets the pipe go."""
        self.close()

    def _sent(self, packet: bytes) -> bool:
        ring = self._ring
        slots = ring.needs(len(packet))
        # Without a reader a ring overwrites. A worker that is still to come reads from the beginning on.
        if not ring.readers and ring.position + slots > ring.slots:
            return False
        if not ring.room(slots):
            return False
        ring.publish(packet)
        return True

    def _packets(self, messages: list[Message]) -> list[bytes]:
        packet = pack_messages(messages)
        if len(packet) <= self._ring.most_bytes:
            return [packet]
        halves = _halves(messages) if len(messages) > 1 else _divided(messages[0])
        if not halves:
            self.dropped += 1
        return [packet for half in halves for packet in self._packets(half)]


def _halves(messages: list[Message]) -> list[list[Message]]:
    middle = len(messages) // 2
    return [messages[:middle], messages[middle:]]


def _divided(message: Message) -> list[list[Message]]:
    """A message that is too long, as two; nothing if it can't be divided."""
    topic, payload = message
    if not topic.startswith(TICKS_PREFIX):
        return []
    try:
        records = unpack(payload)
    except msgspec.MsgspecError:
        return []
    middle = len(records) // 2
    return [[(topic, pack(some))] for some in (records[:middle], records[middle:])] if middle else []


class RingBus(ShmSubscriber):
    """The worker's end; implements `openalgo_ws.scale.links.WorkerBus`."""

    def __init__(self, reactor: Any, address: str, receive: Receive) -> None:
        def attach() -> RingReader:
            return RingReader(address.removeprefix(SCHEME), wait=Wait.BLOCKING, oldest=True)

        super().__init__(reactor, attach, receive, wait=Wait.BLOCKING, batch=BATCH, mark=4096)

    def _read(self, reader: RingReader, most: int) -> list[Message]:
        messages: list[Message] = []
        while len(messages) < most and (packets := reader.read(1)):
            try:
                messages += unpack_messages(packets[0])
            except msgspec.MsgspecError:
                self.malformed += 1
        return messages
