"""Ways to workers by ZeroMQ: a pipe on a Unix socket for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from txzmq import ZmqFactory

from openalgo_ws.bus.intake import Intake, Message, Receive
from openalgo_ws.bus.records import unpack_messages
from openalgo_ws.bus.zmq_socket import BusEndpoint, ZmqSocket
from openalgo_ws.scale.links import WorkerLink

__all__ = ["PipeBus", "PipeLink", "Pipes"]

#: Packets (each some hundred messages) that may be on their way to a worker.
_PACKETS = 64
#: Seconds after which a pipe that was full is tried again; its descriptor usually tells first.
_RETRY = 0.01


class Pipes:
    """Pipes whose sockets are in ``folder``; implements `openalgo_ws.scale.links.Ways`."""

    def __init__(self, reactor: Any, folder: Path) -> None:
        self._reactor = reactor
        self._folder = folder
        self._factory = _factory(reactor)

    def address(self, name: str) -> str:
        """Part of `Ways`."""
        return f"ipc://{self._folder}/{name}"

    def link(self, address: str) -> PipeLink:
        """Part of `Ways`; zmq.ZMQError if the address can't be bound."""
        return PipeLink(self._reactor, self._factory, address)

    def close(self) -> None:
        """Part of `Ways`."""
        self._factory.shutdown()


class PipeLink(WorkerLink):
    """The way to one worker."""

    def __init__(self, reactor: Any, factory: ZmqFactory, address: str) -> None:
        super().__init__(reactor, _RETRY)
        self._socket = _PushSocket(factory, self._tell_of_room)
        self._socket.attach([BusEndpoint(address, bind=True)])

    def close(self) -> None:
        """Close the pipe."""
        super().close()
        self._socket.close()

    def _sent(self, packet: bytes) -> bool:
        try:
            self._socket.socket.send(packet, zmq.NOBLOCK)
        except zmq.Again:
            return False
        # Sending may consume the descriptor's edge: see libzmq's notes on ZMQ_FD.
        self._socket.socket.getsockopt(zmq.EVENTS)
        return True


class _PushSocket(ZmqSocket):
    socketType = zmq.PUSH

    def __init__(self, factory: ZmqFactory, room: Callable[[], None]) -> None:
        self._room = room
        super().__init__(factory, _PACKETS)

    def doRead(self) -> None:
        """There is nothing to read, but the descriptor tells of room."""
        if self.factory is None or not self._ready:
            return
        self.socket.getsockopt(zmq.EVENTS)
        self._room()


class PipeBus(ZmqSocket):
    """The worker's end; implements `openalgo_ws.scale.links.WorkerBus`."""

    socketType = zmq.PULL

    def __init__(self, reactor: Any, address: str, receive: Receive) -> None:
        self.intake = Intake(receive, self._go_on)
        self._context = _factory(reactor)
        super().__init__(self._context, _PACKETS)
        self.attach([BusEndpoint(address, bind=False)])

    def close(self) -> None:
        """Close the pipe. Harmless when closed."""
        self._context.shutdown()

    def doRead(self) -> None:
        """Take what has arrived, at most a batch; the rest has its turn in the next iteration."""
        if self.factory is None or not self._ready:
            return
        messages: list[Message] = []
        more = True
        try:
            while len(messages) < self.intake.size:
                messages += unpack_messages(self.socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            # The edge-triggered descriptor will tell of the next packet.
            more = False
        if self.intake.take(messages, more):
            self._next.start()

    def _due(self) -> None:
        self.doRead()

    def _go_on(self) -> None:
        if self.factory is not None:
            self._next.start()


def _factory(reactor: Any) -> ZmqFactory:
    factory = ZmqFactory()
    factory.reactor = reactor
    factory.lingerPeriod = 0
    return factory
