"""Publishers outside, peers that are none, and addresses for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from tests.bus.contract.receiver import Receiver
from tests.bus.zmtp.support import Connect, Foreign, Owner, Raw
from tests.support.process import free_port


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    """What makes sockets of libzmq."""
    foreign = Foreign()
    yield foreign
    foreign.close()


@pytest.fixture
def raw() -> Iterator[Connect]:
    """What connects peers that say what they are told to say."""
    made: list[Raw] = []

    async def connect(address: str) -> Raw:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        made.append(await connectProtocol(TCP4ClientEndpoint(reactor, host, int(port)), Raw()))
        return made[-1]

    yield connect
    for one in made:
        one.transport.abortConnection()


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged of peers that are hung up on."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace") == "openalgo_ws.bus.zmtp_link.Publishers":
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def receiver() -> Receiver:
    """The receiving end of a subscriber."""
    return Receiver()


@pytest.fixture
def owner() -> Iterator[Owner]:
    """Publishers without a bus, and with a clock that the test turns."""
    owner = Owner()
    yield owner
    pytest_twisted.blockon(owner.publishers.close())


@pytest.fixture
def vacant() -> str:
    """An address of TCP at which nobody listens, and where a publisher may be bound."""
    return f"tcp://127.0.0.1:{free_port()}"
