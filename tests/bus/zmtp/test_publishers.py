"""Publishers over real sockets: what of theirs is read, how much in a turn, and what waits."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted
import zmq
from twisted.internet import reactor
from twisted.protocols.portforward import ProxyFactory

from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.bus.zmtp import GREETING
from tests.bus.contract.receiver import ALICE, Receiver, turn, until
from tests.bus.zmtp.support import (
    ANY_PORT,
    Foreign,
    Passing,
    asked,
    bound,
    connected,
    greeted,
    has_room,
    joined,
    link_with,
    others,
    reading,
)
from tests.bus.zmtp.wire import HELLO, message

# What they send.


@pytest_twisted.ensureDeferred
async def test_a_pub_socket(bus: ZmqBus, receiver: Receiver, foreign: Foreign) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    publisher = foreign.socket(zmq.PUB)
    publisher.connect(subscriber.addresses()[0])
    await greeted(publisher, receiver)
    messages = [(b"NSE_SBIN_LTP", b'{"ltp":%d}' % number) for number in range(100)]
    for one in messages:
        publisher.send_multipart(one)
    await until(lambda: len(others(receiver)) == 100)
    assert others(receiver) == messages
    assert subscriber.malformed == 0


@pytest_twisted.ensureDeferred
async def test_an_xpub_socket_with_frames_short_and_long(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    publisher = await foreign.publisher(subscriber.addresses()[0])
    lengths = [0, 1, 255, 256, 40_000, 1_000_000]
    messages = [(b"t" * topic, b"{" * payload) for topic in lengths[:-1] for payload in lengths]
    for one in messages:
        publisher.send_multipart(one)
    await until(lambda: len(receiver.messages) == len(messages))
    assert receiver.messages == messages


@pytest_twisted.ensureDeferred
async def test_messages_without_two_frames_are_counted_when_their_publisher_is_gone_too(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    for number in range(1, 3):
        publisher = await foreign.publisher(subscriber.addresses()[0])
        publisher.send_multipart([b"alone"])
        publisher.send_multipart([b"a", b"b", b"c"])
        await until(lambda number=number: subscriber.malformed == 2 * number)
        publisher.close(0)
        await until(lambda: not reading())
    await until(lambda: len(receiver.messages) == 4)
    assert receiver.messages == [(b"alone", b""), (b"a", b"")] * 2
    assert subscriber.malformed == 4


@pytest_twisted.ensureDeferred
async def test_a_publisher_whose_heartbeats_are_answered_goes_on(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    said: list[bytes] = []

    # What the subscriber says passes through here.
    factory = ProxyFactory("127.0.0.1", int(subscriber.addresses()[0].rpartition(":")[2]))
    factory.protocol = lambda: Passing(said)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    publisher = foreign.socket(HEARTBEAT_IVL=10, HEARTBEAT_TIMEOUT=60_000)
    try:
        publisher.connect(f"tcp://127.0.0.1:{port.getHost().port}")
        await asked(publisher)
        await until(lambda: b"".join(said).count(b"\x04\x05\x04PONG") >= 3)
        publisher.send_multipart([b"after", b"{}"])
        await until(lambda: receiver.messages)
        assert receiver.messages == [(b"after", b"{}")]
        assert b"".join(said).startswith(GREETING), "it was the same connection"
        assert b"".join(said).count(GREETING) == 1
    finally:
        publisher.close(0)
        await port.stopListening()


# How much is read, and how much of it is looked at.

LONG_ONE = message(b"a", bytes(10_000))


def test_nothing_is_lost_between_one_turn_s_reads_and_the_next_one_s() -> None:
    messages = [(b"%d" % number, b"x" * 255) for number in range(40_000)]
    publishers, transport = link_with(HELLO + b"".join(message(*one) for one in messages))
    turns = 1
    while transport.turn():
        turns += 1
    assert 1 < turns < 10, "many reads in a turn, but not any number"
    found: list[Message] = []
    more = True
    while more:
        some, more = publishers.take(100_000)
        found += some
    assert found == messages


def test_a_turn_takes_no_more_than_there_is_room_for() -> None:
    publishers, transport = link_with(HELLO + LONG_ONE * 1000)
    assert transport.turn()
    messages, more = publishers.take(12)
    assert more
    assert 8 < len(messages) <= 12
    assert publishers.take(0) == ([], True)


def test_little_is_looked_at_in_a_turn_unless_the_gateway_is_behind() -> None:
    publishers, transport = link_with(HELLO + LONG_ONE * 200)
    transport.turn()
    usual, _ = publishers.take(512)
    behind, _ = publishers.take(2048)
    assert 10 < len(usual) < 30
    assert len(usual) + len(behind) == 200


def test_only_so_much_of_a_publisher_waits() -> None:
    publishers, transport = link_with(HELLO + LONG_ONE * 4000)
    turns = 0
    while transport.producerState == "producing":
        assert transport.turn()
        turns += 1
        assert turns < 20
    assert 15 << 20 < transport.read < 17 << 20
    assert len(publishers.take(10_000)[0]) < 2000
    assert transport.producerState == "paused"
    more = True
    while more:
        more = publishers.take(10_000)[1]
    assert transport.producerState == "producing"


def test_what_waits_is_told_also_of_a_publisher_that_is_gone() -> None:
    publishers, transport = link_with(HELLO + LONG_ONE * 10)
    assert publishers.unread() == 0
    transport.turn()
    assert transport.read <= publishers.unread() < transport.read + 10_000
    transport.protocol.connectionLost()
    assert publishers.unread() >= transport.read
    assert len(publishers.take(100)[0]) == 10
    assert publishers.unread() == 0


# Several at once, and a receiver that is behind.


@pytest_twisted.ensureDeferred
async def test_of_all_publishers_together_a_turn_hands_on_one_batch(
    bus: ZmqBus, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 0
    run = reactor.runUntilCurrent

    def counted() -> None:
        nonlocal turns
        turns += 1
        run()

    monkeypatch.setattr(reactor, "runUntilCurrent", counted)
    batches: list[tuple[int, list[Message]]] = []
    subscriber = bus.subscriber(
        [ANY_PORT], lambda messages: batches.append((turns, messages)), batch=7, mark=100_000
    )
    publishers = [await foreign.publisher(subscriber.addresses()[0]) for _ in range(3)]
    for number in range(500):
        for name, publisher in zip(b"abc", publishers, strict=True):
            publisher.send_multipart([bytes((name,)), b"%d" % number])
    await until(lambda: sum(len(messages) for _, messages in batches) == 1500)
    assert len({at for at, _ in batches}) == len(batches), "two in one turn"
    assert max(len(messages) for _, messages in batches) <= 7
    for name in b"abc":
        numbers = [int(p) for _, messages in batches for topic, p in messages if topic == bytes((name,))]
        assert numbers == list(range(500))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
async def test_what_there_is_no_room_for_stays_with_the_publisher_and_nothing_is_lost(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, tmp_path: Path, scheme: str
) -> None:
    endpoint = ANY_PORT if scheme == "tcp" else bound(f"ipc://{tmp_path}/bus")
    subscriber = bus.subscriber([endpoint], receiver, batch=4, mark=8)
    publisher = await foreign.publisher(subscriber.addresses()[0], XPUB_NODROP=1, SNDHWM=4)
    receiver.hold()
    padding = b"x" * 50_000
    number = 0

    def stays_there() -> bool:
        """Offer order updates, which no newer one replaces; whether neither end has room for more."""
        nonlocal number
        while has_room(publisher, ALICE, b'{"n":%d}%s' % (number, padding)):
            number += 1
            assert number < 5000, "no bound"
        return not reading() and not subscriber.intake.size

    await until(stays_there)
    read = subscriber.received
    assert read < number
    late = foreign.socket()
    late.connect(subscriber.addresses()[0])
    # It has said something, and there was a turn for it.
    await until(lambda: len(subscriber._publishers._waiting) == 2)
    await turn()
    assert subscriber.received == read
    receiver.release()
    await until(lambda: len(receiver.messages) == number)
    assert [int(payload[5 : payload.index(b"}")]) for _, payload in receiver.messages] == list(range(number))
    await until(lambda: has_room(publisher, b"more", b"{}"))
    await asked(late)
    late.send_multipart([b"late", b"{}"])
    await until(lambda: len(receiver.messages) == number + 2)
    assert (subscriber.conflated, subscriber.malformed) == (0, 0)


@pytest_twisted.ensureDeferred
async def test_a_flood_from_outside_does_not_keep_what_comes_from_inside_waiting(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign
) -> None:
    inside = "inproc://inside"
    subscriber = bus.subscriber([bound(inside), ANY_PORT], receiver, batch=8, mark=8)
    publisher = await foreign.publisher(subscriber.addresses()[0])
    ours = bus.publisher([connected(inside)])
    await joined(ours, receiver)
    receiver.hold()
    for number in range(900):
        publisher.send_multipart([ALICE, b'{"n":%d%s}' % (number, b" " * 1000)])
    await until(lambda: not subscriber.intake.size)
    for number in range(20):
        ours.publish_order("zerodha", "bob", {"n": number})
    receiver.release()
    await until(lambda: len(receiver.messages) == 920)
    places = [at for at, (topic, _) in enumerate(receiver.messages) if b"_bob_" in topic]
    assert len(places) == 20
    assert places[-1] < 450


@pytest_twisted.ensureDeferred
async def test_what_comes_from_inside_has_the_whole_turn_where_nothing_waits_outside(bus: ZmqBus) -> None:
    inside = "inproc://inside"
    receiver = Receiver()
    sizes: list[int] = []

    def receive(messages: list[Message]) -> None:
        sizes.append(len(messages))
        receiver(messages)

    subscriber = bus.subscriber([bound(inside), ANY_PORT], receive, batch=8, mark=1000)
    ours = bus.publisher([connected(inside)])
    await joined(ours, receiver)
    del sizes[:]
    for number in range(80):
        ours.publish_order("zerodha", "bob", {"n": number})
    await until(lambda: sum(sizes) == 80)
    assert max(sizes) == 8
    assert subscriber.unread() == 0
