"""Where publishers come to, where they are sought, and what is left when it is closed."""

from __future__ import annotations

import socket
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.bus.zmtp import GREETING
from openalgo_ws.bus.zmtp_address import BusAddressError
from openalgo_ws.bus.zmtp_link import Publishers
from tests.bus.contract.receiver import Receiver, turn, until
from tests.bus.zmtp.support import (
    ANY_PORT,
    Connect,
    Foreign,
    Full,
    asked,
    bound,
    connected,
    has_ipv6,
    reading,
    withdrawn,
)
from tests.bus.zmtp.wire import HELLO

# Publishers that connect.


@pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6")
@pytest_twisted.ensureDeferred
async def test_publishers_may_come_by_ipv6(bus: ZmqBus, receiver: Receiver, foreign: Foreign) -> None:
    subscriber = bus.subscriber([bound("tcp://[::1]:*")], receiver)
    address = subscriber.addresses()[0]
    assert address.startswith("tcp://[::1]:")
    publisher = await foreign.publisher(address, IPV6=1)
    publisher.send_multipart([b"a", b"{}"])
    await until(lambda: receiver.messages)
    assert receiver.messages == [(b"a", b"{}")]


@pytest_twisted.ensureDeferred
async def test_publishers_may_come_by_a_path_or_by_a_name(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, tmp_path: Path
) -> None:
    addresses = [f"ipc://{tmp_path}/bus", f"ipc://@openalgo-ws-{token_hex(8)}"]
    subscriber = bus.subscriber([bound(address) for address in addresses], receiver)
    assert subscriber.addresses() == addresses
    for number, address in enumerate(addresses):
        publisher = await foreign.publisher(address)
        publisher.send_multipart([b"a", b"%d" % number])
        await until(lambda number=number: receiver.messages[-1:] == [(b"a", b"%d" % number)])
    assert (tmp_path / "bus").stat().st_mode & 0o077 == 0, "nobody else may publish"


@pytest_twisted.ensureDeferred
async def test_a_path_at_which_nobody_listens_any_more_is_taken_over(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, tmp_path: Path
) -> None:
    # What a process leaves that was killed.
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(f"{tmp_path}/bus")
        killed.listen()
    assert (tmp_path / "bus").is_socket()
    address = f"ipc://{tmp_path}/bus"
    subscriber = bus.subscriber([bound(address)], receiver)
    assert subscriber.addresses() == [address]
    publisher = await foreign.publisher(address)
    publisher.send_multipart([b"a", b"{}"])
    await until(lambda: receiver.messages)


def test_a_path_that_is_something_else_is_left_alone(bus: ZmqBus, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "bus").write_text("a user's file")
    with pytest.raises(BusAddressError, match=r"Address already in use$"):
        bus.subscriber([bound(f"ipc://{tmp_path}/bus")], receiver)
    assert (tmp_path / "bus").read_text() == "a user's file"


# Publishers that are bound.


def test_who_is_no_publisher_is_sought_ever_more_slowly_and_a_publisher_soon_again() -> None:
    memory = MemoryReactorClock()
    publishers = Publishers(memory, lambda: None)
    publishers.attach(connected("tcp://127.0.0.1:5555"))

    def pause_after(said: bytes) -> float:
        """It says this and is gone; when it is dialled again (seconds)."""
        connector, factory = memory.connectors[-1], memory.tcpClients[-1][2]
        link = factory.buildProtocol(None)
        transport = Full(said)
        transport.protocol = link
        link.makeConnection(transport)
        transport.turn()
        publishers.take(100)
        link.connectionLost()
        factory.clientConnectionLost(connector, Failure(ConnectionLost()))
        (call,) = memory.getDelayedCalls()
        pause = call.getTime() - memory.seconds()
        memory.advance(pause)
        return pause

    assert pause_after(HELLO) < 0.3
    for _ in range(10):
        pause = pause_after(b"HTTP/1.1 400 Bad Request\r\n" + bytes(64))
    assert pause > 0.5
    assert pause_after(HELLO) < 0.3
    publishers.close()
    assert memory.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("kind", ["tcp", "path", "name"])
async def test_a_publisher_that_starts_later_is_reached_and_one_that_starts_again_as_well(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, tmp_path: Path, vacant: str, kind: str
) -> None:
    address = {
        "tcp": vacant,
        "path": f"ipc://{tmp_path}/bus",
        "name": f"ipc://@openalgo-ws-{token_hex(8)}",
    }[kind]
    subscriber = bus.subscriber([connected(address)], receiver)
    assert subscriber.addresses() == []
    # It has tried once in vain.
    await until(lambda: subscriber._publishers._diallers[0][0].retries)
    for number in range(2):
        publisher = foreign.socket()
        publisher.bind(address)
        await asked(publisher)
        publisher.send_multipart([b"a", b"%d" % number])
        await until(lambda number=number: len(receiver.messages) == number + 1)
        await withdrawn(publisher, address)
    assert receiver.messages == [(b"a", b"0"), (b"a", b"1")]


# Addresses that can't be had.


@pytest.mark.parametrize(
    "address",
    [
        "udp://127.0.0.1:5555",
        "127.0.0.1:5555",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://:5555",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:" + 5000 * "1",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:http",
        "tcp://127.0.0.1:\u0665\u0665\u0665\u0665",
        "ipc://",
        "ipc:///" + 107 * "x",
    ],
)
@pytest.mark.parametrize("bind", [True, False])
def test_an_address_that_is_none_is_refused(
    bus: ZmqBus, receiver: Receiver, address: str, bind: bool
) -> None:
    with pytest.raises(BusAddressError, match=r"^the bus can't have ") as refusal:
        bus.subscriber([BusEndpoint(address, bind)], receiver)
    assert address in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "tcp://*:5555"])
def test_any_port_and_any_host_are_for_those_who_bind(bus: ZmqBus, receiver: Receiver, address: str) -> None:
    with pytest.raises(BusAddressError, match=r"not tcp://HOST:PORT"):
        bus.subscriber([connected(address)], receiver)


@pytest_twisted.ensureDeferred
async def test_an_address_that_another_has_is_named_and_so_is_the_reason(
    bus: ZmqBus, receiver: Receiver, tmp_path: Path
) -> None:
    there = [ANY_PORT, bound(f"ipc://{tmp_path}/bus"), bound(f"ipc://@openalgo-ws-{token_hex(8)}")]
    for address in bus.subscriber(there, receiver).addresses():
        with pytest.raises(BusAddressError) as refusal:
            bus.subscriber([ANY_PORT, bound(address)], receiver)
        assert str(refusal.value) == f"the bus can't have {address}: Address already in use"


def test_a_path_that_cannot_be_is_named_and_so_is_the_reason(
    bus: ZmqBus, receiver: Receiver, tmp_path: Path
) -> None:
    with pytest.raises(BusAddressError, match=r"ipc://.*/nowhere/bus: No such file or directory$"):
        bus.subscriber([bound(f"ipc://{tmp_path}/nowhere/bus")], receiver)
    with pytest.raises(BusAddressError, match=r"ipc://.*/x+: .*too long$"):
        bus.subscriber([bound(f"ipc://{tmp_path}/{'x' * 120}")], receiver)


# The end.


@pytest_twisted.ensureDeferred
async def test_nothing_is_left_when_it_is_closed(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, raw: Connect, tmp_path: Path
) -> None:
    def held() -> set[Any]:
        return {*reactor.getDelayedCalls(), *reactor.getReaders(), *reactor.getWriters()}

    before = held()
    remote = foreign.socket()
    remote.bind(f"ipc://{tmp_path}/remote")
    subscriber = bus.subscriber(
        [
            ANY_PORT,
            bound(f"ipc://{tmp_path}/bus"),
            connected(f"ipc://{tmp_path}/remote"),
            connected(f"ipc://{tmp_path}/nobody"),
        ],
        receiver,
    )
    addresses = subscriber.addresses()
    await asked(remote)
    publisher = await foreign.publisher(addresses[0])
    silent = await raw(addresses[0])
    await silent.hears(GREETING)
    publisher.send_multipart([b"a", b"{}"])
    await until(lambda: receiver.messages)
    assert len(reading()) == 2, "the publisher and the silent one"
    assert len(held() - before) > 5
    await subscriber.shutdown()
    await silent.hung_up_on()
    await until(lambda: not held() - before)
    assert not (tmp_path / "bus").exists()
    again = bus.subscriber([bound(address) for address in addresses], receiver)
    assert again.addresses() == addresses
    # Harmless when closed.
    await subscriber.shutdown()
    subscriber.close()


@pytest_twisted.ensureDeferred
async def test_it_can_be_closed_while_it_connects(
    bus: ZmqBus, receiver: Receiver, tmp_path: Path, vacant: str
) -> None:
    before = set(reactor.getDelayedCalls())
    endpoints = [connected(vacant), connected(f"ipc://{tmp_path}/nobody")]
    for tried in range(3):
        subscriber = bus.subscriber(endpoints, receiver)
        for _ in range(tried):
            await turn()
        await subscriber.shutdown()
        await until(lambda: not set(reactor.getDelayedCalls()) - before)


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_is_done_after_the_end_is_told_nothing(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver, batch=1)
    publisher = await foreign.publisher(subscriber.addresses()[0])
    receiver.hold()
    for _ in range(5):
        publisher.send_multipart([b"a", b"{}"])
    await until(lambda: subscriber.backlog() == 4)
    closing: Deferred[Any] = subscriber.shutdown()
    receiver.release()
    await closing
    await turn()
    assert len(receiver.messages) == 1
