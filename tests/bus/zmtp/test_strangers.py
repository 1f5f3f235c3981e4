"""Peers that are no publishers, and how long one has to say that it is."""

from __future__ import annotations

import pytest
import pytest_twisted
import zmq

from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.bus.zmtp import GREETING
from tests.bus.contract.receiver import Receiver, turn, until
from tests.bus.zmtp.support import ANY_PORT, READY, Connect, Foreign, Owner, reading
from tests.bus.zmtp.wire import SUBSCRIBE, command, message


@pytest_twisted.ensureDeferred
async def test_a_peer_that_speaks_something_else_is_hung_up_on_and_nobody_else_is(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, raw: Connect, warnings: list[str]
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    address = subscriber.addresses()[0]
    publisher = await foreign.publisher(address)
    peer = await raw(address)
    peer.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await peer.hung_up_on()
    assert len(warnings) == 1
    assert "not ZMTP 2 or later" in warnings[0]
    publisher.send_multipart([b"a", b"{}"])
    await until(lambda: receiver.messages)
    assert receiver.messages == [(b"a", b"{}")]


@pytest_twisted.ensureDeferred
async def test_what_came_before_a_fault_is_handed_on(bus: ZmqBus, receiver: Receiver, raw: Connect) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    peer = await raw(subscriber.addresses()[0])
    peer.say(GREETING + READY + message(b"a", b"{}") + b"\x80 and so on")
    await peer.hung_up_on()
    await until(lambda: receiver.messages)
    assert receiver.messages == [(b"a", b"{}")]


@pytest_twisted.ensureDeferred
async def test_who_takes_no_answers_is_not_read_until_it_does(
    bus: ZmqBus, receiver: Receiver, raw: Connect
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    peer = await raw(subscriber.addresses()[0])
    peer.say(GREETING + READY)
    await peer.hears(SUBSCRIBE)
    before = bytes(peer.heard)
    peer.turn_away()
    context = b"sixteen letters."
    heartbeats = (command(b"PING", b"\0\0" + context) + message(b"a", b"{}")) * 1000
    number = 0
    while reading():
        peer.say(heartbeats)
        number += 1000
        assert number < 2_000_000, "it is still read"
        await turn()
    peer.say(heartbeats)
    number += 1000
    await turn()
    assert len(receiver.messages) < number
    peer.listen()
    answers = command(b"PONG", context) * number
    await peer.when(lambda: len(peer.heard) >= len(before + answers))
    assert peer.heard == before + answers
    await until(lambda: len(receiver.messages) >= number)
    assert receiver.messages == [(b"a", b"{}")] * number


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("kind", "name"), [(zmq.PUSH, "PUSH"), (zmq.REQ, "REQ"), (zmq.SUB, "SUB")])
async def test_another_socket_of_libzmq_is_refused(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, warnings: list[str], kind: int, name: str
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    other = foreign.socket(kind)
    other.connect(subscriber.addresses()[0])
    await until(lambda: warnings)
    assert f"a socket of type '{name}'; only publishers may come here" in warnings[0]
    other.close(0)
    assert receiver.messages == []


@pytest_twisted.ensureDeferred
async def test_the_log_hears_of_them_at_most_once_a_second(
    owner: Owner, raw: Connect, warnings: list[str]
) -> None:
    async def garbage() -> None:
        peer = await raw(owner.address)
        peer.say(b"SSH-2.0\r\n")
        await peer.hung_up_on()

    for _ in range(3):
        await garbage()
    owner.clock.advance(0.9)
    await garbage()
    assert len(warnings) == 1
    owner.clock.advance(0.2)
    await garbage()
    assert [warning[-10:] for warning in warnings] == ["(1 in all)", "(5 in all)"]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("said", [b"", GREETING[:30], GREETING, GREETING + READY[:-1]])
async def test_a_peer_that_does_not_say_what_it_is_is_hung_up_on_after_a_while(
    owner: Owner, raw: Connect, warnings: list[str], said: bytes
) -> None:
    peer = await raw(owner.address)
    peer.say(said)
    await peer.hears(GREETING)
    if said:
        await until(lambda: owner.told)
    owner.clock.advance(29.9)
    assert (owner.waits(), warnings) == (1, [])
    owner.clock.advance(0.2)
    await peer.hung_up_on()
    assert owner.waits() == 0
    assert len(warnings) == 1
    assert "no greeting within 30 s" in warnings[0]


@pytest_twisted.ensureDeferred
async def test_a_publisher_may_be_silent_for_as_long_as_it_likes(
    owner: Owner, raw: Connect, warnings: list[str]
) -> None:
    peer = await raw(owner.address)
    peer.say(GREETING + READY)
    await peer.hears(SUBSCRIBE)
    assert owner.waits() == 0
    owner.clock.advance(3600)
    peer.say(message(b"a", b"{}"))
    await until(lambda: owner.messages)
    assert (owner.messages, warnings) == ([(b"a", b"{}")], [])


@pytest_twisted.ensureDeferred
async def test_a_publisher_that_nobody_reads_is_not_to_blame_for_it(
    owner: Owner, raw: Connect, warnings: list[str]
) -> None:
    owner.room = 0
    peer = await raw(owner.address)
    peer.say(GREETING + READY + message(b"a", b"{}"))
    await until(lambda: owner.told)
    owner.clock.advance(100)
    assert (owner.messages, warnings, owner.waits()) == ([], [], 1)
    assert not peer.ended
    owner.room = 1000
    owner.look()
    await peer.hears(SUBSCRIBE)
    assert (owner.messages, owner.waits()) == ([(b"a", b"{}")], 0)
