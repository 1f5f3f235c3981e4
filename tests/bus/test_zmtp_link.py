"""Connections with publishers: libzmq's, and peers that are none, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from random import randrange
from secrets import token_hex
from typing import Any

import pytest
import pytest_twisted
import zmq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.protocols.portforward import ProxyFactory, ProxyServer

from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.bus.zmtp import GREETING
from openalgo_ws.bus.zmtp_link import BusAddressError, Publishers
from tests.bus.contract.receiver import Receiver, turn, until

ANY_PORT = BusEndpoint("tcp://127.0.0.1:*", True)

#: What a publisher says after the greeting: READY with its type.
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"

#: So many turns in which nothing changes, where something would.
STILL = 30


def bound(address: str) -> BusEndpoint:
    return BusEndpoint(address, True)


def connected(address: str) -> BusEndpoint:
    return BusEndpoint(address, False)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def a_port() -> int:
    """One that is free, and that no connection is given by chance."""
    while True:
        port = randrange(20_000, 30_000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Foreign:
    """Makes sockets of libzmq, as programs outside have them."""

    def __init__(self) -> None:
        self._context = zmq.Context()

    def socket(self, kind: int = zmq.XPUB, **options: int) -> zmq.Socket[bytes]:
        made = self._context.socket(kind)
        made.linger = 0
        for name, value in options.items():
            made.setsockopt(getattr(zmq, name), value)
        return made

    async def publisher(self, address: str, **options: int) -> zmq.Socket[bytes]:
        """Connected, and asked for everything."""
        made = self.socket(**options)
        made.connect(address)
        await asked(made)
        return made

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    foreign = Foreign()
    yield foreign
    foreign.close()


async def asked(publisher: zmq.Socket[bytes]) -> None:
    """Wait until an XPUB socket has a subscriber."""
    await until(lambda: publisher.poll(0))
    assert publisher.recv() == b"\x01"


async def greeted(publisher: zmq.Socket[bytes], receiver: Receiver) -> None:
    """Publish until something of it arrives: a PUB socket does not tell that it has a subscriber."""
    before = len(receiver.messages)

    def arrived() -> bool:
        publisher.send_multipart([b"hello", b"{}"])
        return len(receiver.messages) > before

    await until(arrived)


def others(receiver: Receiver) -> list[Message]:
    """What came, without what only says that the way is open."""
    return [message for message in receiver.messages if message[0] != b"hello"]


async def sent(publisher: zmq.Socket[bytes], *frames: bytes) -> None:
    """Wait for room where there is none."""

    def done() -> bool:
        try:
            publisher.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    if not done():
        await until(done)


async def rebound(publisher: zmq.Socket[bytes], address: str) -> None:
    """Bind where another has just been closed: libzmq does that in a thread of its own."""

    def done() -> bool:
        try:
            publisher.bind(address)
        except zmq.ZMQError:
            return False
        return True

    await until(done)


class Raw:
    """A peer that says what it is told to say."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setblocking(False)
        self.heard = b""
        self._ended = False

    def say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def put(self, data: bytes) -> int:
        """Say as much of it as there is room for; how many bytes that are."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def ended(self) -> bool:
        """Whether it was hung up on."""
        try:
            while not self._ended:
                data = self._socket.recv(1 << 16)
                self.heard += data
                self._ended = not data
        except BlockingIOError:
            pass
        except ConnectionError:
            self._ended = True
        return self._ended

    def has_heard(self, data: bytes) -> bool:
        return not self.ended() and data in self.heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def raw() -> Iterator[Callable[[str], Raw]]:
    made: list[Raw] = []

    def make(address: str) -> Raw:
        made.append(Raw(address))
        return made[-1]

    yield make
    for one in made:
        one.close()


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
    return Receiver()


class Timed(Clock):
    """Sockets are the real reactor's, time is not."""

    listenTCP = staticmethod(reactor.listenTCP)


class Owner:
    """Of publishers, where time stands still."""

    def __init__(self, room: int = 1000) -> None:
        self.clock = Timed()
        self.told = 0
        self.messages: list[Message] = []
        self.room = room
        self.publishers = Publishers(self.clock, self.look)
        self.publishers.attach(ANY_PORT)
        self.address = self.publishers.addresses()[0]

    def look(self) -> None:
        self.told += 1
        self.messages += self.publishers.take(self.room)[0]

    def waits(self) -> int:
        """Publishers that have yet to say what they are."""
        return len(self.clock.getDelayedCalls())


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    yield owner
    pytest_twisted.blockon(owner.publishers.close())


# Publishers that connect.


@pytest_twisted.ensureDeferred
async def test_a_pub_socket(bus: ZmqBus, receiver: Receiver, foreign: Foreign) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    publisher = foreign.socket(zmq.PUB)
    publisher.connect(subscriber.addresses()[0])
    await greeted(publisher, receiver)
    messages = [(b"NSE_SBIN_LTP", b'{"ltp":%d}' % number) for number in range(100)]
    for message in messages:
        publisher.send_multipart(message)
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
    for message in messages:
        publisher.send_multipart(message)
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
    try:
        publisher = await foreign.publisher(
            f"tcp://127.0.0.1:{port.getHost().port}", HEARTBEAT_IVL=10, HEARTBEAT_TIMEOUT=60_000
        )
        await until(lambda: b"".join(said).count(b"\x04\x05\x04PONG") >= 3)
        publisher.send_multipart([b"after", b"{}"])
        await until(lambda: receiver.messages)
        assert receiver.messages == [(b"after", b"{}")]
        assert b"".join(said).startswith(GREETING), "it was the same connection"
        assert b"".join(said).count(GREETING) == 1
    finally:
        publisher.close(0)
        await port.stopListening()


class Passing(ProxyServer):
    """Notes what passes from the subscriber to the publisher."""

    def __init__(self, said: list[bytes]) -> None:
        self._said = said

    def connectionMade(self) -> None:
        super().connectionMade()
        transport, write = self.transport, self.transport.write

        def noted(data: bytes) -> None:
            self._said.append(data)
            write(data)

        transport.write = noted


@pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6")
@pytest_twisted.ensureDeferred
async def test_publishers_may_come_by_ipv6(bus: ZmqBus, receiver: Receiver, foreign: Foreign) -> None:
    subscriber = bus.subscriber([bound("tcp://[::1]:*")], receiver)
    address = subscriber.addresses()[0]
    assert address.startswith("tcp://[::1]:")
    publisher = await foreign.publisher(address, IPV6=1)
    publisher.send_multipart([b"a", b"{}"])
    await until(lambda: receiver.messages)


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


class Full(StringTransport):
    """A connection on which much has come already."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def getHandle(self) -> Full:
        return self

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass

    def recv(self, most: int) -> bytes:
        if not self._data:
            raise BlockingIOError
        data, self._data = self._data[:most], self._data[most:]
        return data

    def turn(self) -> bool:
        """What the reactor does in a turn; whether there is more."""
        self.protocol.dataReceived(self.recv(self.bufferSize))
        return bool(self._data)


def link_with(data: bytes) -> tuple[Publishers, Full]:
    memory = MemoryReactorClock()
    publishers = Publishers(memory, lambda: None)
    publishers.attach(bound("tcp://127.0.0.1:5555"))
    transport = Full(data)
    transport.protocol = memory.tcpServers[0][1].buildProtocol(None)
    transport.protocol.makeConnection(transport)
    return publishers, transport


def test_nothing_is_lost_between_one_turn_s_reads_and_the_next_one_s() -> None:
    messages = [(b"%d" % number, b"x" * 255) for number in range(40_000)]
    data = b"".join(bytes((1, len(t))) + t + bytes((0, len(p))) + p for t, p in messages)
    publishers, transport = link_with(GREETING + READY + data)
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
    message = b"\x01\x01a\x02" + (10_000).to_bytes(8, "big") + bytes(10_000)
    publishers, transport = link_with(GREETING + READY + message * 1000)
    assert transport.turn()
    messages, more = publishers.take(12)
    assert more
    assert 8 < len(messages) <= 12
    assert publishers.take(0) == ([], True)


def test_little_is_looked_at_in_a_turn_unless_the_gateway_is_behind() -> None:
    message = b"\x01\x01a\x02" + (10_000).to_bytes(8, "big") + bytes(10_000)
    publishers, transport = link_with(GREETING + READY + message * 200)
    transport.turn()
    usual, _ = publishers.take(512)
    behind, _ = publishers.take(2048)
    assert 10 < len(usual) < 30
    assert len(usual) + len(behind) == 200


def test_only_so_much_of_a_publisher_waits() -> None:
    message = b"\x01\x01a\x02" + (10_000).to_bytes(8, "big") + bytes(10_000)
    publishers, transport = link_with(GREETING + READY + message * 4000)
    turns = 0
    while transport.producerState == "producing":
        assert transport.turn()
        turns += 1
        assert turns < 20
    assert len(publishers.take(10_000)[0]) < 2000
    assert transport.producerState == "paused"
    more = True
    while more:
        more = publishers.take(10_000)[1]
    assert transport.producerState == "producing"


# Publishers that are bound.


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("kind", ["tcp", "path", "name"])
async def test_a_publisher_that_starts_later_is_reached_and_one_that_starts_again_as_well(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, tmp_path: Path, kind: str
) -> None:
    address = {
        "tcp": f"tcp://127.0.0.1:{a_port()}",
        "path": f"ipc://{tmp_path}/bus",
        "name": f"ipc://@openalgo-ws-{token_hex(8)}",
    }[kind]
    subscriber = bus.subscriber([connected(address)], receiver)
    assert subscriber.addresses() == []
    # It has tried once in vain.
    await until(lambda: subscriber._publishers._diallers[0][0].retries)
    for number in range(2):
        publisher = foreign.socket()
        await rebound(publisher, address)
        await asked(publisher)
        publisher.send_multipart([b"a", b"%d" % number])
        await until(lambda number=number: len(receiver.messages) == number + 1)
        publisher.close(0)
    assert receiver.messages == [(b"a", b"0"), (b"a", b"1")]


# Several at once.


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
    number = still = 0
    end = reactor.seconds() + 20.0
    # libzmq takes what is sent in a thread of its own, which may be late.
    while still < STILL or subscriber.received == number:
        assert reactor.seconds() < end, "it reads all there is"
        # Order updates, which no newer one replaces.
        try:
            publisher.send_multipart(
                [b"ZERODHA_alice_orders", b'{"n":%d}%s' % (number, padding)], zmq.NOBLOCK
            )
        except zmq.Again:
            still = 0 if subscriber.intake.size else still + 1
        else:
            number, still = number + 1, 0
            assert number < 5000, "no bound"
        await turn()
    read = subscriber.received
    late = foreign.socket()
    late.connect(subscriber.addresses()[0])
    for _ in range(STILL):
        await turn()
    assert subscriber.received == read
    receiver.release()
    await until(lambda: len(receiver.messages) == number)
    assert [int(payload[5 : payload.index(b"}")]) for _, payload in receiver.messages] == list(range(number))
    await sent(publisher, b"more", b"{}")
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
    receiver.hold()
    for number in range(900):
        publisher.send_multipart([b"ZERODHA_alice_orders", b'{"n":%d%s}' % (number, b" " * 1000)])
    await until(lambda: not subscriber.intake.size)
    for number in range(20):
        ours.publish_order("zerodha", "bob", {"n": number})
    receiver.release()
    await until(lambda: len(receiver.messages) == 920)
    places = [at for at, (topic, _) in enumerate(receiver.messages) if b"_bob_" in topic]
    assert len(places) == 20
    assert places[-1] < 450


# Peers that are no publishers.


@pytest_twisted.ensureDeferred
async def test_a_peer_that_speaks_something_else_is_hung_up_on_and_nobody_else_is(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, raw: Callable[[str], Raw], warnings: list[str]
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    address = subscriber.addresses()[0]
    publisher = await foreign.publisher(address)
    peer = raw(address)
    peer.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(peer.ended)
    assert len(warnings) == 1
    assert "not ZMTP 2 or later" in warnings[0]
    publisher.send_multipart([b"a", b"{}"])
    await until(lambda: receiver.messages)
    assert receiver.messages == [(b"a", b"{}")]


@pytest_twisted.ensureDeferred
async def test_what_came_before_a_fault_is_handed_on(
    bus: ZmqBus, receiver: Receiver, raw: Callable[[str], Raw]
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    peer = raw(subscriber.addresses()[0])
    peer.say(GREETING + READY + b"\x01\x01a\x00\x02{}" + b"\x80 and so on")
    await until(peer.ended)
    await until(lambda: receiver.messages)
    assert receiver.messages == [(b"a", b"{}")]


@pytest_twisted.ensureDeferred
async def test_who_takes_no_answers_is_not_read_until_it_does(
    bus: ZmqBus, receiver: Receiver, raw: Callable[[str], Raw]
) -> None:
    subscriber = bus.subscriber([ANY_PORT], receiver)
    peer = raw(subscriber.addresses()[0])
    peer.say(GREETING + READY)
    heartbeats = (b"\x04\x17\x04PING\x00\x00" + b"sixteen letters." + b"\x01\x01a\x00\x02{}") * 1000
    at = said = still = 0
    while still < STILL:
        went = peer.put(heartbeats[at:])
        at, said = (at + went) % len(heartbeats), said + went
        still = 0 if went else still + 1
        assert said < 1 << 28, "it is still read"
        await turn()
    while at:
        assert not peer.ended()
        went = peer.put(heartbeats[at:])
        at, said = (at + went) % len(heartbeats), said + went
        await turn()
    number = said // (len(heartbeats) // 1000)

    def all_came() -> bool:
        return not peer.ended() and peer.heard.count(b"PONG") == len(receiver.messages) == number

    await until(all_came)


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
    owner: Owner, raw: Callable[[str], Raw], warnings: list[str]
) -> None:
    async def garbage() -> None:
        peer = raw(owner.address)
        peer.say(b"SSH-2.0\r\n")
        await until(peer.ended)

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
    owner: Owner, raw: Callable[[str], Raw], warnings: list[str], said: bytes
) -> None:
    peer = raw(owner.address)
    peer.say(said)
    await until(lambda: peer.has_heard(GREETING))
    if said:
        await until(lambda: owner.told)
    owner.clock.advance(29.9)
    assert (owner.waits(), warnings) == (1, [])
    owner.clock.advance(0.2)
    await until(peer.ended)
    assert owner.waits() == 0
    assert len(warnings) == 1
    assert "no greeting within 30 s" in warnings[0]


@pytest_twisted.ensureDeferred
async def test_a_publisher_may_be_silent_for_as_long_as_it_likes(
    owner: Owner, raw: Callable[[str], Raw], warnings: list[str]
) -> None:
    peer = raw(owner.address)
    peer.say(GREETING + READY)
    await until(lambda: peer.has_heard(b"\x00\x01\x01"))
    assert owner.waits() == 0
    owner.clock.advance(3600)
    peer.say(b"\x01\x01a\x00\x02{}")
    await until(lambda: owner.messages)
    assert (owner.messages, warnings) == ([(b"a", b"{}")], [])


@pytest_twisted.ensureDeferred
async def test_a_publisher_that_nobody_reads_is_not_to_blame_for_it(
    owner: Owner, raw: Callable[[str], Raw], warnings: list[str]
) -> None:
    owner.room = 0
    peer = raw(owner.address)
    peer.say(GREETING + READY + b"\x01\x01a\x00\x02{}")
    await until(lambda: owner.told)
    owner.clock.advance(100)
    assert (owner.messages, warnings, owner.waits()) == ([], [], 1)
    assert not peer.ended()
    owner.room = 1000
    owner.look()
    await until(lambda: peer.has_heard(b"\x00\x01\x01"))
    assert (owner.messages, owner.waits()) == ([(b"a", b"{}")], 0)


# Addresses, and the end.


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
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:http",
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


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:*", "tcp://*:5555"])
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


@pytest_twisted.ensureDeferred
async def test_nothing_is_left_when_it_is_closed(
    bus: ZmqBus, receiver: Receiver, foreign: Foreign, raw: Callable[[str], Raw], tmp_path: Path
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
    silent = raw(addresses[0])
    await until(lambda: silent.has_heard(GREETING))
    publisher.send_multipart([b"a", b"{}"])
    await until(lambda: receiver.messages)
    assert len(held() - before) > 5
    await subscriber.shutdown()
    await until(silent.ended)
    await until(lambda: not held() - before)
    assert not (tmp_path / "bus").exists()
    again = bus.subscriber([bound(address) for address in addresses], receiver)
    assert again.addresses() == addresses
    # Harmless when closed.
    await subscriber.shutdown()
    subscriber.close()


@pytest_twisted.ensureDeferred
async def test_it_can_be_closed_while_it_connects(bus: ZmqBus, receiver: Receiver, tmp_path: Path) -> None:
    before = set(reactor.getDelayedCalls())
    endpoints = [connected(f"tcp://127.0.0.1:{a_port()}"), connected(f"ipc://{tmp_path}/nobody")]
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
