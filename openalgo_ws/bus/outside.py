"""Publishing on the bus as the platform does: ticks under EXCHANGE_SYMBOL_MODE, of no feed of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import zmq
from txzmq import ZmqConnection, ZmqFactory

from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.tick import Mode

__all__ = ["OutsidePublisher"]

#: Milliseconds that closing waits for what was published last to leave.
_LINGER = 2000


class OutsidePublisher(ZmqConnection):  # type: ignore[misc]
    """A publisher outside the gateway. zmq.ZMQError if the address can't be had.

    ``changed`` is called when a subscriber has come, and when there may be room again after `publish`
    had none: nothing is ever published into the void or dropped in silence.
    """

    socketType = zmq.XPUB
    highWaterMark = 10_000

    def __init__(self, reactor: Any, endpoint: BusEndpoint, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._ready = False
        #: Whether somebody takes what is published.
        self.heard = False
        factory = ZmqFactory()
        factory.reactor = reactor
        factory.lingerPeriod = _LINGER
        super().__init__(factory)
        self.socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._ready = True
        self.addEndpoints([endpoint.to_txzmq()])

    def publish(self, exchange: str, symbol: str, mode: Mode, data: Mapping[str, Any]) -> bool:
        """Publish a tick; False if there is no room for it now."""
        topic = f"{exchange}_{symbol}_{mode.name}".encode()
        try:
            self.socket.send_multipart((topic, msgspec.json.encode(data)), zmq.NOBLOCK)
        except zmq.Again:
            return False
        finally:
            # Sending may consume the descriptor's edge: see libzmq's notes on ZMQ_FD.
            self.socket.getsockopt(zmq.EVENTS)
        return True

    def doRead(self) -> None:
        """Subscriptions have come, or there is room again; the descriptor tells of both."""
        if self.factory is None or not self._ready:
            return
        try:
            while True:
                # A byte that says whether it begins or ends, then the topic. Gateways take all topics.
                self.heard = self.socket.recv(zmq.NOBLOCK)[:1] == b"\x01"
        except zmq.Again:
            self._changed()

    def close(self) -> None:
        """Send what is still on its way, within two seconds, and close. Blocks."""
        factory = self.factory
        if factory is not None:
            factory.shutdown()
