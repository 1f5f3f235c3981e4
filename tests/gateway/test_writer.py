"""One client's way out on a transport that takes so many bytes and no more, as a socket does."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock

from openalgo_ws.gateway.writer import ClientWriter
from openalgo_ws.tick import Mode
from tests.gateway.support import Rig, messages

HIGH_WATER, PATIENCE = 256 * 1024, 30.0


class Wire:
    """A Twisted transport and its socket: ``room`` is what the socket still takes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.sent = bytearray()
        self.bufferSize = 64 * 1024
        self._unsent = bytearray()
        self._producer: IPushProducer | None = None
        self._paused = False

    def getHandle(self) -> Any:
        return self

    def send(self, data: bytes) -> int:
        if not self.room:
            raise BlockingIOError
        some = data[: self.room]
        self.room -= len(some)
        self.sent += some
        return len(some)

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        assert streaming
        self._producer = producer

    def write(self, data: bytes) -> None:
        self._unsent += data
        if len(self._unsent) > self.bufferSize and not self._paused:
            assert self._producer is not None
            self._paused = True
            self._producer.pauseProducing()

    def take(self, size: int) -> None:
        """The peer has read so much: what is unsent goes, and the socket has room for the rest."""
        self.room += size
        some = bytes(self._unsent[: self.room])
        del self._unsent[: len(some)]
        self.room -= len(some)
        self.sent += some
        if not self._unsent and self._paused:
            assert self._producer is not None
            self._paused = False
            self._producer.resumeProducing()

    @property
    def unsent(self) -> int:
        return len(self._unsent)


class Owner:
    """Hands everything on to a router."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.stalls = 0

    def overflowed(self, writer: ClientWriter) -> None:
        self._rig.router.delivery.overflowed(writer)

    def drained(self, writer: ClientWriter) -> None:
        self._rig.router.delivery.drained(writer)

    def stalled(self, writer: ClientWriter) -> None:
        self.stalls += 1


SYMBOLS = [f"S{number}" for number in range(400)]


@pytest.mark.parametrize("portion", [10_000, 64 * 1024, 100_000, 10_000_000])
def test_what_was_kept_goes_out_however_little_the_socket_takes_at_a_time(portion: int) -> None:
    rig = Rig(Clock())
    wire, owner = Wire(100_000), Owner(rig)
    writer = ClientWriter(wire, rig.clock, owner, high_water=HIGH_WATER, patience=PATIENCE)
    rig.router.delivery.attach(writer)
    for symbol in SYMBOLS:
        rig.hold(writer, symbol, Mode.DEPTH)
    price = 0
    while not rig.router.delivery.kept():
        price += 1
        for symbol in SYMBOLS:
            rig.publish(float(price), symbol, Mode.DEPTH)
    price += 1
    for symbol in SYMBOLS:
        rig.publish(float(price), symbol, Mode.DEPTH)
    assert rig.router.delivery.kept() == len(SYMBOLS)

    # More is kept than one portion holds.
    for _ in range(10_000_000 // portion):
        wire.take(portion)
    assert (rig.router.delivery.kept(), rig.router.delivery.behind(writer), wire.unsent) == (0, False, 0)
    last = {message["symbol"]: message["data"]["ltp"] for message in messages(bytes(wire.sent))}
    assert last == dict.fromkeys(SYMBOLS, price)

    # And then every tick as it comes.
    before = len(wire.sent)
    rig.publish(1.0, SYMBOLS[0], Mode.DEPTH)
    rig.publish(2.0, SYMBOLS[0], Mode.DEPTH)
    assert [message["data"]["ltp"] for message in messages(bytes(wire.sent[before:]))] == [1.0, 2.0]
    writer.close()
    assert owner.stalls == 0
    rig.router.stop()
    assert rig.clock.getDelayedCalls() == []
