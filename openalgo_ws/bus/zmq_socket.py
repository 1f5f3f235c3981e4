"""What all sockets of libzmq share here: endpoints, high-water marks set before them, an idle descriptor."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from txzmq import ZmqConnection, ZmqEndpoint, ZmqEndpointType, ZmqFactory

from openalgo_ws.bus.timer import Timer

__all__ = ["BusEndpoint", "ZmqSocket"]


class BusEndpoint(msgspec.Struct, frozen=True):
    """A ZeroMQ address, bound or connected to."""

    address: str
    bind: bool

    @property
    def inside(self) -> bool:
        """Whether it is reached from this process only."""
        return self.address.startswith("inproc://")

    def to_txzmq(self) -> ZmqEndpoint:
        """As txZMQ wants it."""
        kind = ZmqEndpointType.bind if self.bind else ZmqEndpointType.connect
        return ZmqEndpoint(kind, self.address)


class ZmqSocket(ZmqConnection):  # type: ignore[misc]
    """What both directions share: endpoints, high-water marks set before them, an idle FD."""

    def __init__(self, factory: ZmqFactory, high_water_mark: int) -> None:
        self.highWaterMark = high_water_mark
        self._next = Timer(factory.reactor, self._due)
        self._ready = False
        super().__init__(factory)

    def attach(self, endpoints: Sequence[BusEndpoint]) -> None:
        """Bind and connect; zmq.ZMQError if an address can't be had."""
        self._ready = True
        self.addEndpoints([endpoint.to_txzmq() for endpoint in endpoints])

    def _due(self) -> None:
        """What the timer is for."""

    def shutdown(self) -> None:
        """Close the socket; harmless when it is closed already."""
        if self.factory is None:
            return
        self._next.stop()
        super().shutdown()

    def close(self) -> None:
        """The same, as `openalgo_ws.bus.interface` calls it."""
        self.shutdown()
