"""Sockets: what goes over the wire, and how each of its ends is reported."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.adapter import Dial, Transport
from openalgo_ws.feeds.address import BadAddress
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.feeds.link import Closed, Refused, Unreachable
from openalgo_ws.feeds.sockets import SocketDialler
from openalgo_ws.feeds.trust import Trust
from tests.feeds.connection.servers import Gate, RawServer, WebSocketServer
from tests.support.certificates import Authority, untrusted

URL = "wss://ws.broker.example/feed/v1?api_key=K&token=SECRET-TOKEN|x"
ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


class Ear:
    """A listener that writes everything down."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.said: list[Any] = []
        self.bytes = 0
        self.on_open: Callable[[], None] | None = None

    def opened(self) -> None:
        self.said.append("opened")
        if self.on_open is not None:
            self.on_open()
        self.gate.stir()

    def received(self, data: str | bytes) -> None:
        self.said.append(data)
        self.gate.stir()

    def heard(self, size: int) -> None:
        self.bytes += size

    def ponged(self, payload: bytes) -> None:
        self.said.append(("pong", payload))
        self.gate.stir()

    def ended(self, ending: Any) -> None:
        self.said.append(ending)
        self.gate.stir()

    @property
    def ending(self) -> Any:
        last = self.said[-1] if self.said else None
        return last if isinstance(last, Closed | Refused | Unreachable) else None


class Bench:
    """A reactor, servers that are closed afterwards, and a dialler to them."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.gate = Gate(reactor)
        self.ear = Ear(self.gate)
        self.servers: list[Any] = []
        self.links: list[Any] = []

    def websocket(self, context: Any = None) -> WebSocketServer:
        self.servers.append(WebSocketServer(self.reactor, self.gate, context))
        return self.servers[-1]

    def raw(self, context: Any = None) -> RawServer:
        self.servers.append(RawServer(self.reactor, self.gate, context))
        return self.servers[-1]

    def dial(self, base: str | None, dial: Dial | None = None, **options: Any) -> Any:
        trust = Trust(options.pop("roots", ()), options.pop("verify", True))
        options.setdefault("close_timeout", 0.05)
        dialler = SocketDialler(self.reactor, SystemEnvironment(), trust=trust, base_url=base, **options)
        link = dialler.dial(dial or Dial(url=URL), self.ear)
        self.links.append(link)
        return link

    async def ended(self) -> Any:
        await self.gate.until(lambda: self.ear.ending)
        return self.ear.ending


@pytest.fixture
def bench() -> Iterator[Bench]:
    from twisted.internet import reactor

    bench = Bench(reactor)
    yield bench
    for link in bench.links:
        link.abort()
    for server in bench.servers:
        pytest_twisted.blockon(server.close())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def frame(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    return head + b"\x7e" + struct.pack("!H", len(payload)) + payload


def accept(connection: Any) -> None:
    """Grant the upgrade whose request has come in."""
    import base64
    import hashlib

    for line in connection.data.split(b"\r\n"):
        if line.lower().startswith(b"sec-websocket-key:"):
            key = line.split(b":")[1].strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            connection.transport.write(ACCEPT % base64.b64encode(hashlib.sha1(key).digest()))


@pytest_twisted.ensureDeferred
async def test_messages_of_both_kinds_go_both_ways_and_the_broker_is_named(bench: Bench) -> None:
    server = bench.websocket()
    dial = Dial(url=URL, headers={"X-Kite-Version": "3"}, subprotocols=("a", "b"))
    link = bench.dial(server.base, dial)
    assert bench.ear.said == []
    await bench.gate.until(lambda: "opened" in bench.ear.said and server.peers)
    request = server.requests[0]
    assert request.headers["host"] == "ws.broker.example"
    assert request.path == "/feed/v1"
    assert request.params == {"api_key": ["K"], "token": ["SECRET-TOKEN|x"]}
    assert request.headers["x-kite-version"] == "3"
    assert request.headers["user-agent"].startswith("openalgo-ws/")
    assert "sec-websocket-extensions" not in request.headers
    assert request.protocols == ["a", "b"]
    assert link._protocol.transport.getTcpNoDelay()
    assert link._protocol.transport.getTcpKeepAlive()
    link.send("text ₹")
    link.send(b"\x00\x01")
    await bench.gate.until(lambda: len(server.messages) == 2)
    assert server.messages == ["text ₹", b"\x00\x01"]
    server.peers[0].say("hello ₹")
    server.peers[0].sendMessage(b"\x02", True)
    await bench.gate.until(lambda: len(bench.ear.said) == 3)
    assert bench.ear.said == ["opened", "hello ₹", b"\x02"]
    link.ping(b"1234")
    await bench.gate.until(lambda: ("pong", b"1234") in bench.ear.said)
    link.close(3000, "bye")
    assert await bench.ended() == Closed(1000, "closed") or isinstance(bench.ear.ending, Closed)
    await bench.gate.until(lambda: server.closes)
    assert server.closes == [(True, 3000)]
    link.send("late")
    link.ping(b"late")
    link.close()
    link.abort()
    assert bench.ear.said.count(bench.ear.ending) == 1


@pytest_twisted.ensureDeferred
async def test_the_path_and_query_go_out_byte_for_byte(bench: Bench) -> None:
    server = bench.raw()
    dial = Dial(url="wss://h.example:8443/a%2Fb//c?x=1|2&y=%7C&z=a+b", headers={"Origin": "https://o"})
    bench.dial(f"ws://127.0.0.1:{server.number}", dial)
    await bench.gate.until(lambda: server.connections and b"\r\n\r\n" in server.connections[0].data)
    lines = server.connections[0].data.decode().split("\r\n")
    assert lines[0] == "GET /a%2Fb//c?x=1|2&y=%7C&z=a+b HTTP/1.1"
    assert "Host: h.example:8443" in lines
    assert "Origin: https://o" in lines
    assert sum(line.lower().startswith("host:") for line in lines) == 1


@pytest.mark.parametrize(
    "dial",
    [
        Dial(url="ftp://x/"),
        Dial(url="wss://"),
        Dial(url="wss://bröker.example/"),
        Dial(url="wss://h/a b"),
        Dial(url="wss://h/\r\nX: y"),
        Dial(url="wss://h:99999/"),
        Dial(url="tcp://h/"),
        Dial(url="wss://h/", headers={"Authorization": "Bearer x\r\nEvil: 1"}),
        Dial(url="wss://h/", headers={"Bad Name": "x"}),
        Dial(url="wss://h/", headers={"Sec-WebSocket-Key": "x"}),
    ],
)
def test_what_cannot_be_dialled_is_said_without_its_secrets(bench: Bench, dial: Dial) -> None:
    with pytest.raises(BadAddress) as raised:
        bench.dial(None, dial)
    assert "Bearer" not in str(raised.value)


@pytest.mark.parametrize("base", ["ws://127.0.0.1:1/path", "nonsense", "ws://127.0.0.1:1/?q=1"])
def test_an_override_has_only_scheme_host_and_port(bench: Bench, base: str) -> None:
    with pytest.raises(BadAddress):
        bench.dial(base)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nX-Why: token\r\nContent-Length: 4\r\n\r\nbody+more", b"body"),
        (
            b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\nX-Why: token\r\n\r\n"
            b"2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n",
            b"body",
        ),
        (b"HTTP/1.1 403 Forbidden\r\nX-Why: token\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.0 403 Forbidden\r\nX-Why: token\r\n\r\nbody", b"body"),
        (b"HTTP/1.1 403 F\r\nX-Why: token\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 70000, b"x" * 65536),
        (b"HTTP/1.1 403 F\r\nX-Why: token\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody", b""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_refused_upgrade_comes_with_status_headers_and_body(
    bench: Bench, answer: bytes, body: bytes
) -> None:
    server = bench.raw()

    def reply(connection: Any) -> None:
        for start in range(0, len(answer), 30_000):
            connection.transport.write(answer[start : start + 30_000])
        if answer.startswith(b"HTTP/1.0"):
            connection.transport.loseConnection()

    server.on_data = reply
    bench.dial(f"ws://127.0.0.1:{server.number}")
    ending = await bench.ended()
    assert isinstance(ending, Refused)
    assert (ending.status, ending.headers["x-why"], ending.body) == (403, "token", body)
    assert "opened" not in bench.ear.said


@pytest_twisted.ensureDeferred
async def test_a_refusal_in_pieces_that_never_ends_is_taken_as_far_as_it_came(bench: Bench) -> None:
    server = bench.raw()
    server.on_data = lambda connection: connection.transport.write(
        b"HTTP/1.1 429 Too Many\r\nContent-Length: 100\r\n\r\nslow"
    )
    bench.dial(f"ws://127.0.0.1:{server.number}")
    ending = await bench.ended()
    assert ending == Refused(429, {"content-length": "100"}, b"slow")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x00\xff\x00\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 101 \xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 70_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAA\r\n\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_broken_handshake_is_no_connection(
    bench: Bench, answer: bytes, secret: Callable[[str], str]
) -> None:
    secret("SECRET-TOKEN")
    server = bench.raw()
    server.on_data = lambda connection: connection.transport.write(answer)
    bench.dial(f"ws://127.0.0.1:{server.number}")
    ending = await bench.ended()
    assert isinstance(ending, Unreachable) or ending.status == 200


@pytest_twisted.ensureDeferred
async def test_nobody_there(bench: Bench) -> None:
    server = bench.raw()
    number = server.number
    await server.close()
    bench.servers.clear()
    bench.dial(f"ws://127.0.0.1:{number}")
    ending = await bench.ended()
    assert isinstance(ending, Unreachable)
    assert "refused" in ending.message.lower()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff garbage \x00\x01",
        frame(1, b"\xff\xfe not UTF-8"),
        b"\x82\x84\x00\x00\x00\x00mask",
        frame(3, b"reserved"),
        b"\xc1\x03abc",
        frame(2, b"x" * 2000),
        frame(2, b"x" * 900, fin=False) + frame(0, b"x" * 900),
        b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_breaks_the_protocol_or_the_bound_ends_the_socket(bench: Bench, data: bytes) -> None:
    server = bench.raw()

    def reply(connection: Any) -> None:
        accept(connection)
        connection.transport.write(frame(1, b"good") + data)

    server.on_data = reply
    bench.dial(f"ws://127.0.0.1:{server.number}", max_message=1000)
    ending = await bench.ended()
    assert isinstance(ending, Closed)
    assert ending.code is None
    assert bench.ear.said[:2] == ["opened", "good"]
    await bench.gate.until(lambda: server.lost == 1)


@pytest_twisted.ensureDeferred
async def test_a_reset_in_the_middle_of_a_message(bench: Bench) -> None:
    server = bench.raw()

    def reply(connection: Any) -> None:
        accept(connection)
        connection.transport.write(frame(2, b"x" * 100)[:50])
        bench.ear.on_open = connection.transport.abortConnection

    server.on_data = reply
    bench.dial(f"ws://127.0.0.1:{server.number}")
    assert (await bench.ended()).code is None
    assert bench.ear.said[0] == "opened"
    assert len(bench.ear.said) == 2


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4001, 805, None])
@pytest_twisted.ensureDeferred
async def test_the_peers_close_code_is_reported_even_if_it_does_not_hang_up(
    bench: Bench, code: int | None
) -> None:
    server = bench.raw()

    def reply(connection: Any) -> None:
        if b"\r\n\r\n" in connection.data[:2000]:
            accept(connection)
            connection.data = b""
            payload = b"" if code is None else struct.pack("!H", code) + b"why"
            connection.transport.write(frame(8, payload))

    server.on_data = reply
    bench.dial(f"ws://127.0.0.1:{server.number}")
    ending = await bench.ended()
    assert ending.code == code
    if code not in (None, 805):
        assert ending.reason == "why"
    await bench.gate.until(lambda: server.lost == 1)


@pytest_twisted.ensureDeferred
async def test_a_close_that_is_not_answered_ends_by_force(bench: Bench) -> None:
    server = bench.raw()

    def grant_once(connection: Any) -> None:
        accept(connection)
        server.on_data = None

    server.on_data = grant_once
    link = bench.dial(f"ws://127.0.0.1:{server.number}")
    await bench.gate.until(lambda: "opened" in bench.ear.said)
    link.close()
    assert isinstance(await bench.ended(), Closed)


@pytest.mark.parametrize("moment", ["at once", "connected"])
@pytest_twisted.ensureDeferred
async def test_giving_up_while_dialling(bench: Bench, moment: str) -> None:
    server = bench.raw()
    link = bench.dial(f"ws://127.0.0.1:{server.number}")
    if moment == "connected":
        await bench.gate.until(lambda: server.connections and server.connections[0].data)
    link.close()
    assert isinstance(await bench.ended(), Unreachable)
    if server.connections:
        await bench.gate.until(lambda: server.lost == 1)


# TLS.


@pytest_twisted.ensureDeferred
async def test_tls_with_a_certificate_of_a_trusted_authority(bench: Bench, authority: Authority) -> None:
    server = bench.websocket(authority.valid().options())
    link = bench.dial(server.base, roots=(authority.trust(),))
    await bench.gate.until(lambda: "opened" in bench.ear.said and server.peers)
    link.close()
    await bench.ended()


@pytest.mark.parametrize("fault", ["expired", "wrong name", "unknown authority"])
@pytest.mark.parametrize("transport", list(Transport))
@pytest_twisted.ensureDeferred
async def test_a_bad_certificate_is_refused_and_hears_nothing(
    bench: Bench, authority: Authority, fault: str, transport: Transport
) -> None:
    identity = {
        "expired": lambda: authority.expired(),
        "wrong name": lambda: authority.wrong_name(),
        "unknown authority": lambda: untrusted(),
    }[fault]()
    server = bench.raw(identity.options())
    bench.dial(
        f"wss://127.0.0.1:{server.number}",
        Dial(url=URL, transport=transport),
        roots=(authority.trust(),),
    )
    ending = await bench.ended()
    assert isinstance(ending, Unreachable)
    assert "certificate" in ending.message
    assert bench.ear.said == [ending]
    await bench.gate.until(lambda: server.lost == len(server.connections))
    assert all(connection.data == b"" for connection in server.connections)


@pytest_twisted.ensureDeferred
async def test_verification_can_be_switched_off(bench: Bench, authority: Authority) -> None:
    server = bench.websocket(authority.expired("other.example").options())
    link = bench.dial(server.base, verify=False)
    await bench.gate.until(lambda: "opened" in bench.ear.said and server.peers)
    link.close()
    await bench.ended()


@pytest_twisted.ensureDeferred
async def test_a_tls_server_that_speaks_no_tls(bench: Bench) -> None:
    server = bench.raw()
    server.on_data = lambda connection: connection.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    bench.dial(f"wss://127.0.0.1:{server.number}")
    ending = await bench.ended()
    assert isinstance(ending, Unreachable)
    assert ending.message.startswith("TLS")


# Streams.


@pytest.mark.parametrize("tls", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_stream_carries_bytes_as_they_are(bench: Bench, authority: Authority, tls: bool) -> None:
    server = bench.raw(authority.valid().options() if tls else None)
    server.on_data = lambda connection: connection.transport.write(connection.data[-1:])
    link = bench.dial(
        f"{'tls' if tls else 'tcp'}://127.0.0.1:{server.number}",
        Dial(url="tls://mqtt.broker.example:8883", transport=Transport.STREAM),
        roots=(authority.trust(),),
    )
    bench.ear.on_open = lambda: link.send(b"\x10\x00")
    await bench.gate.until(lambda: b"".join(p for p in bench.ear.said if isinstance(p, bytes)) == b"\x00")
    assert server.connections[0].data == b"\x10\x00"
    assert bench.ear.bytes == 1
    link.ping(b"none")
    link.close()
    assert isinstance(await bench.ended(), Closed)
    link.send(b"late")


@pytest_twisted.ensureDeferred
async def test_a_stream_that_is_reset(bench: Bench) -> None:
    server = bench.raw()
    server.on_connect = lambda connection: connection.transport.write(b"x")
    bench.dial(f"tcp://127.0.0.1:{server.number}", Dial(url=URL, transport=Transport.STREAM))
    await bench.gate.until(lambda: b"x" in bench.ear.said)
    server.connections[0].transport.abortConnection()
    ending = await bench.ended()
    assert ending.code is None
