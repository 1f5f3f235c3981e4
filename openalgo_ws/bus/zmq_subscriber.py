"""The receiving end of the bus on ZeroMQ: libzmq's inside the process, connections of our own for others.

Whatever its source, a batch is handed on at most once in a turn of the reactor, so that a flood does not
starve it. What it does when the gateway falls behind is `openalgo_ws.bus.intake`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import zmq
from twisted.internet.defer import Deferred
from txzmq import ZmqFactory

from openalgo_ws.bus.intake import BRACE, Intake, Message, Receive, ReceivingEnd
from openalgo_ws.bus.timer import Timer
from openalgo_ws.bus.zmq_socket import BusEndpoint, ZmqSocket
from openalgo_ws.bus.zmtp_link import Publishers

__all__ = ["Subscriber"]

#: As a plain number: an enum's costs more than the read itself.
_NOBLOCK = int(zmq.NOBLOCK)

#: Bytes of our own batches that are read in one turn (a batch holds hundreds of ticks).
_BYTES = 1 << 18


class Subscriber(ReceivingEnd):
    """Receives all topics and hands them on in batches of at most ``batch`` messages a turn.

    It reads while the receiver is busy, too: what can't be handed on waits in `intake`.
    """

    def __init__(
        self,
        factory: ZmqFactory,
        receive: Receive,
        endpoints: Sequence[BusEndpoint],
        *,
        batch: int,
        mark: int,
        high_water_mark: int,
    ) -> None:
        self.intake = Intake(receive, self._soon, batch=batch, mark=mark)
        #: Nobody tells what a publisher had no room for; ours have room, or conflate.
        self.lost = 0
        self._next = Timer(factory.reactor, self._turn)
        self._closed = False
        self._publishers = Publishers(factory.reactor, self._soon)
        self._inside: _Inside | None = None
        inside = [endpoint for endpoint in endpoints if endpoint.inside]
        try:
            if inside:
                self._inside = _Inside(factory, high_water_mark, self._soon)
                self._inside.attach(inside)
            for endpoint in endpoints:
                if not endpoint.inside:
                    self._publishers.attach(endpoint)
        except BaseException:
            self.close()
            raise

    def addresses(self) -> list[str]:
        """Those bound for other processes, with their real ports."""
        return self._publishers.addresses()

    @property
    def malformed(self) -> int:
        """Messages that did not have two frames."""
        return self._publishers.malformed + (0 if self._inside is None else self._inside.malformed)

    def unread(self) -> int:
        """Bytes of publishers outside that have come and wait before the intake."""
        return self._publishers.unread()

    def close(self) -> None:
        """As `shutdown`."""
        self.shutdown()

    def shutdown(self) -> Deferred[Any]:
        """Receive no more; fires when the addresses are free. Harmless when closed."""
        self._closed = True
        self._next.stop()
        if self._inside is not None:
            self._inside.close()
        return self._publishers.close()

    def _soon(self) -> None:
        """Something has come, or the receiver has time again."""
        if not self._closed:
            self._next.start()

    def _turn(self) -> None:
        size = self.intake.size
        ours: list[Message] = []
        # Half of a turn is for either side, where something waits outside.
        most = (size + 1) // 2 if self._publishers.waits else size
        more_of_ours = self._inside is not None and self._inside.read(ours, most)
        messages, more = self._publishers.take(size - len(ours))
        if self.intake.take(ours + messages if ours else messages, more or more_of_ours):
            self._soon()


class _Inside(ZmqSocket):
    """From a publisher in this process."""

    socketType = zmq.SUB

    def __init__(self, factory: ZmqFactory, high_water_mark: int, ready: Callable[[], None]) -> None:
        #: Messages that did not have two frames.
        self.malformed = 0
        self._tell = ready
        super().__init__(factory, high_water_mark)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")

    def doRead(self) -> None:
        """The descriptor tells once of what comes to an empty socket: read until there is no more."""
        if self.factory is not None and self._ready:
            self._tell()

    def read(self, messages: list[Message], most: int) -> bool:
        """Append up to so many messages; whether there may be more."""
        recv = self.socket.recv
        append = messages.append
        topic = None
        weight = 0
        try:
            for _ in range(most):
                topic = None
                topic = recv(_NOBLOCK)
                payload = recv(_NOBLOCK)
                # Asking after every frame whether another belongs to it would cost seven times the
                # two reads. A payload begins with a brace (or is one of our own batches); what does
                # not may be the topic of the next message, after one that had a single frame.
                if not payload or payload[0] != BRACE:
                    while (not payload or payload[0] != BRACE) and self.socket.getsockopt(zmq.RCVMORE):
                        append((topic, b""))
                        self.malformed += 1
                        topic, payload = payload, recv(_NOBLOCK)
                    weight += len(payload)
                    if weight > _BYTES:
                        append((topic, payload))
                        break
                append((topic, payload))
        except zmq.Again:
            # Empty, and the edge-triggered descriptor will tell of the next message.
            if topic is not None:
                append((topic, b""))
                self.malformed += 1
            return False
        return True
