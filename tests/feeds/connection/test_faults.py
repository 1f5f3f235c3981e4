"""A whole connection on real sockets against servers that misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.adapter import Feed, Keepalive, Transport
from openalgo_ws.feeds.authoriser import Authoriser
from openalgo_ws.feeds.connection import Connection, ConnectionOptions
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.feeds.options import Network
from tests.feeds.connection.conftest import FEED, Heard, Open24Hours, Store, ToyCodec, adapter_with, wish
from tests.feeds.connection.servers import Gate, RawServer, WebSocketServer
from tests.support.certificates import Authority, untrusted

#: Quick, so that the suite is; the times of the product are tested under a clock.
QUICK = Keepalive(ping_interval=0.1, pong_timeout=0.05, stall_after=60.0)


class Waiting(Heard):
    """A listener that tests can wait for."""

    gate: Gate

    def state_changed(self, *args: Any) -> None:
        super().state_changed(*args)
        self.gate.stir()

    def ticked(self, *args: Any) -> None:
        super().ticked(*args)
        self.gate.stir()


class Scene:
    """One connection and the servers it meets."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.gate = Gate(reactor)
        self.heard = Waiting()
        self.heard.gate = self.gate
        self.store = Store()
        self.servers: list[Any] = []
        self.connection: Connection | None = None

    def serve(self, kind: type, context: Any = None) -> Any:
        self.servers.append(kind(self.reactor, self.gate, context))
        return self.servers[-1]

    def broker(self, context: Any = None) -> WebSocketServer:
        """A server that answers every subscription with a tick."""
        server: WebSocketServer = self.serve(WebSocketServer, context)
        server.on_message = answer_with_ticks
        return server

    def connect(self, base: str, feed: Feed = FEED, **options: Any) -> Connection:
        environment = SystemEnvironment()
        settings = ConnectionOptions(base_url=base, backoff_first=0.05, **options)
        network = Network.of(self.reactor, environment, settings)
        self.connection = Connection(
            reactor=self.reactor,
            adapter=adapter_with(feed),
            feed=feed,
            user="trader",
            credentials=self.store.read,
            authoriser=Authoriser(clock=self.reactor, http=network.http, environment=environment),
            environment=environment,
            listener=self.heard,
            sessions=Open24Hours(),
            options=settings,
            network=network,
        )
        self.connection.want([wish("SBIN"), wish("INFY")])
        self.connection.start()
        return self.connection

    @property
    def heard_states(self) -> list[S]:
        return [state for state, _ in self.heard.states]

    async def ticks(self, rounds: int = 1) -> None:
        """Wait until both symbols have ticked so many times."""
        await self.gate.until(
            lambda: all(self.count(symbol) >= rounds for symbol in ("SBIN", "INFY")),
        )

    def count(self, symbol: str) -> int:
        return sum(tick[0] == symbol for ticks in self.heard.ticks for tick in ticks)


def answer_with_ticks(peer: Any, payload: bytes) -> None:
    symbols = [word.split(b":")[0].decode() for word in payload.split() if word.endswith(b">LTP")]
    if symbols:
        peer.say("\n".join(f"tick {symbol} 1" for symbol in symbols))


@pytest.fixture
def scene(secret: Callable[[str], str]) -> Iterator[Scene]:
    from twisted.internet import reactor

    scene = Scene(reactor)
    scene.store.credentials = {"token": secret("a-token-nobody-sees")}
    yield scene
    if scene.connection is not None:
        pytest_twisted.blockon(scene.connection.stop())
    for server in scene.servers:
        pytest_twisted.blockon(server.close())


@pytest_twisted.ensureDeferred
async def test_ticks_flow_and_a_stop_says_goodbye(scene: Scene) -> None:
    server = scene.broker()
    connection = scene.connect(server.base)
    await scene.ticks()
    assert connection.counters.ticks == 2
    assert server.requests[0].headers["host"] == "feed.toy.example"
    await connection.stop()
    await scene.gate.until(lambda: server.closes)
    assert server.messages == ["SBIN:->LTP INFY:->LTP", "SBIN:LTP>- INFY:LTP>-"]
    assert server.closes == [(True, 1000)]


@pytest.mark.parametrize("fault", ["reset", "garbage", "close", "close 1011", "hang up"])
@pytest_twisted.ensureDeferred
async def test_a_broken_socket_is_replaced_and_everything_ticks_again(scene: Scene, fault: str) -> None:
    server = scene.broker()
    connection = scene.connect(server.base)
    await scene.ticks()
    peer = server.peers[0]
    if fault == "reset":
        peer.transport.write(b"\x82\x7e\x00\xff half a message")
        peer.transport.abortConnection()
    elif fault == "garbage":
        peer.transport.write(bytes(range(255, 0, -1)))
    elif fault == "hang up":
        peer.transport.loseConnection()
    else:
        peer.sendCloseFrame(code=1011 if "1011" in fault else 1000)
    await scene.ticks(2)
    assert len(server.requests) == 2
    assert connection.counters.dials == 2
    assert connection.counters.ended == {"transient": 1}
    assert server.messages == ["SBIN:->LTP INFY:->LTP"] * 2


@pytest.mark.parametrize("fault", ["half open", "slow loris"])
@pytest_twisted.ensureDeferred
async def test_a_handshake_without_end_is_given_up(scene: Scene, fault: str) -> None:
    from twisted.internet.task import LoopingCall

    server = scene.serve(RawServer)
    if fault == "slow loris":

        def trickle(raw: Any) -> None:
            letters = iter(b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000)
            loop = LoopingCall(lambda: raw.transport.write(bytes([next(letters)])))
            loop.clock = scene.reactor
            loop.start(0.01)
            raw.connectionLost = lambda reason: (loop.stop(), setattr(raw, "gone", True))

        server.on_connect = trickle
    connection = scene.connect(f"ws://127.0.0.1:{server.number}", replace(FEED, login_timeout=0.1))
    await scene.gate.until(lambda: len(server.connections) == 2)
    assert connection.counters.ended["transient"] >= 1
    assert any("no end of dialling" in message for _, message in scene.heard.states)


@pytest_twisted.ensureDeferred
async def test_pings_are_answered_on_both_sides_and_a_missing_pong_is_noticed(scene: Scene) -> None:
    server = scene.broker()
    scene.connect(server.base, replace(FEED, keepalive=QUICK))
    await scene.gate.until(lambda: server.pings >= 3)
    assert len(server.requests) == 1
    server.answers_pings = False
    await scene.gate.until(lambda: S.BACKING_OFF in scene.heard_states)
    server.answers_pings = True
    await scene.ticks(2)
    assert any("no answer to a ping" in message for _, message in scene.heard.states)


@pytest_twisted.ensureDeferred
async def test_silence_behind_answered_pings_is_a_stall(scene: Scene) -> None:
    server = scene.broker()
    scene.connect(server.base, replace(FEED, keepalive=replace(QUICK, stall_after=0.3)))
    await scene.ticks()
    await scene.gate.until(lambda: S.STALE in scene.heard_states)
    await scene.ticks(2)
    assert server.pings >= 2


@pytest_twisted.ensureDeferred
async def test_401_until_the_token_changes(scene: Scene, secret: Callable[[str], str]) -> None:
    server = scene.broker()
    fresh = secret("tomorrows-token")
    server.deny = lambda request: 0 if request.params["token"] == [fresh] else 401
    connection = scene.connect(server.base)
    await scene.gate.until(lambda: connection.state is S.AUTH_FAILED)
    assert len(server.requests) == 1
    scene.store.credentials = {"token": fresh}
    connection.credentials_changed()
    await scene.ticks()
    assert len(server.requests) == 2


@pytest_twisted.ensureDeferred
async def test_429_is_a_long_pause(scene: Scene) -> None:
    server = scene.broker()
    server.deny = lambda request: 429
    connection = scene.connect(server.base)
    await scene.gate.until(lambda: connection.state is S.BACKING_OFF)
    assert float(connection.message.split()[-2]) >= 60
    assert connection.counters.ended == {"too_many": 1}


@pytest.mark.parametrize("fault", ["expired", "wrong name", "unknown authority"])
@pytest_twisted.ensureDeferred
async def test_a_bad_certificate_is_refused_until_it_is_replaced(scene: Scene, fault: str) -> None:
    authority = Authority()
    bad = {
        "expired": lambda: authority.expired(),
        "wrong name": lambda: authority.wrong_name(),
        "unknown authority": lambda: untrusted(),
    }[fault]()
    server = scene.broker(bad.options())
    connection = scene.connect(server.base, trust_roots=(authority.trust(),))
    await scene.gate.until(lambda: connection.counters.dials == 2)
    assert server.requests == []
    assert any("certificate" in message for _, message in scene.heard.states)


@pytest_twisted.ensureDeferred
async def test_switching_verification_off_is_said_loudly_at_every_dial(scene: Scene) -> None:
    from twisted.logger import LogLevel, globalLogPublisher

    loud: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_level") is LogLevel.critical:
            loud.append(event["log_format"])

    globalLogPublisher.addObserver(observe)
    try:
        server = scene.broker(untrusted("evil.example").options())
        scene.connect(server.base, verify_tls=False)
        await scene.ticks()
        server.peers[0].transport.abortConnection()
        await scene.ticks(2)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert len(loud) == 2
    assert "NOT VERIFIED" in loud[0]


@pytest_twisted.ensureDeferred
async def test_a_stream_feed_over_tls(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyCodec, "transport", Transport.STREAM)
    monkeypatch.setattr(ToyCodec, "url", "tls://mqtt.toy.example:8883/")
    authority = Authority()
    server = scene.serve(RawServer, authority.valid().options())

    def reply(raw: Any) -> None:
        if raw.data.endswith(b"INFY:->LTP"):
            raw.transport.write(b"tick SBIN 1\ntick IN")
            raw.transport.write(b"FY 2\n")

    server.on_data = reply
    connection = scene.connect(f"tls://127.0.0.1:{server.number}", trust_roots=(authority.trust(),))
    await scene.ticks()
    assert scene.heard.ticks[-1][-1] == ("INFY", 2.0)
    server.connections[0].transport.abortConnection()
    await scene.ticks(2)
    assert connection.counters.dials == 2


@pytest_twisted.ensureDeferred
async def test_stopping_while_the_server_accepts_and_says_nothing(scene: Scene) -> None:
    server = scene.serve(RawServer)
    connection = scene.connect(f"ws://127.0.0.1:{server.number}")
    await scene.gate.until(lambda: server.connections)
    await connection.stop()
    await scene.gate.until(lambda: server.lost == 1)
    assert connection.state is S.STOPPED
