"""The client against a server on a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
import pytest_twisted
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred, maybeDeferred

from openalgo_ws.client import (
    Authenticated,
    AuthenticationFailed,
    Client,
    Connected,
    Disconnected,
    MarketData,
)
from openalgo_ws.config import Secret
from openalgo_ws.tick import Mode

T = TypeVar("T")


class Server:
    """Answers as the gateway does, and notes what it was asked."""

    def __init__(self, reactor: Any, key: str) -> None:
        self.key = key
        self.asked: list[dict[str, Any]] = []
        self.protocol: Any = None
        self.closed: list[tuple[bool, int]] = []
        server = self

        class Protocol(WebSocketServerProtocol):
            def onOpen(self) -> None:
                server.protocol = self

            def onMessage(self, payload: bytes, isBinary: bool) -> None:
                server.answer(self, json.loads(payload))

            def onClose(self, wasClean: bool, code: int, reason: str) -> None:
                server.closed.append((wasClean, code))

        factory = WebSocketServerFactory()
        factory.protocol = Protocol
        factory.setProtocolOptions(failByDrop=False)
        self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.url = f"ws://127.0.0.1:{self.port.getHost().port}"

    def answer(self, protocol: Any, request: dict[str, Any]) -> None:
        self.asked.append(request)
        if request["action"] == "authenticate":
            if request["api_key"] != self.key:
                reply: dict[str, Any] = {"type": "auth", "status": "error", "code": "AUTHENTICATION_ERROR"}
            else:
                reply = {"type": "auth", "status": "success", "user_id": "u", "broker": None}
        else:
            head = {"symbol": "A", "exchange": "NSE", "mode": 3, "broker": "b"}
            reply = {"type": "market_data", **head, "data": {"ltp": 7.25, "timestamp": 1}}
        protocol.sendMessage(json.dumps(reply).encode())


class Events:
    """Events as they come, and a wait for the next one of a kind."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._waiting: list[tuple[type, Deferred[Any]]] = []

    def __call__(self, event: Any) -> None:
        self.all.append(event)
        for waiting in list(self._waiting):
            if isinstance(event, waiting[0]):
                self._waiting.remove(waiting)
                waiting[1].callback(event)

    def next(self, kind: type[T]) -> Deferred[T]:
        waiting: Deferred[T] = Deferred()
        self._waiting.append((kind, waiting))
        return waiting


@pytest_twisted.async_yield_fixture
async def server(secret: Callable[[str], str]) -> AsyncIterator[Server]:
    from twisted.internet import reactor

    made = Server(reactor, secret("the-right-key-1"))
    yield made
    await maybeDeferred(made.port.stopListening)


def client_of(server: Server, key: str, events: Events) -> Client:
    from twisted.internet import reactor

    return Client(reactor, server.url, Secret(key), events, retry=lambda attempt: 0.001)


@pytest_twisted.ensureDeferred
async def test_it_subscribes_again_when_the_connection_was_lost(server: Server) -> None:
    events = Events()
    client = client_of(server, server.key, events)
    client.core.subscribe(["NSE:A"], Mode.DEPTH)
    client.startService()

    first = await events.next(MarketData)
    again = events.next(MarketData)
    server.protocol.dropConnection(abort=True)
    second = await again
    stopped = client.stopService()
    await stopped

    assert first == second == MarketData("A", "NSE", Mode.DEPTH, "b", {"ltp": 7.25, "timestamp": 1}, False)
    assert [type(event) for event in events.all] == [
        Connected,
        Authenticated,
        MarketData,
        Disconnected,
        Connected,
        Authenticated,
        MarketData,
        Disconnected,
    ]
    assert [request["action"] for request in server.asked] == ["authenticate", "subscribe"] * 2


@pytest_twisted.ensureDeferred
async def test_what_is_subscribed_later_is_sent_by_flush(server: Server) -> None:
    events = Events()
    client = client_of(server, server.key, events)
    client.startService()
    await events.next(Authenticated)

    client.core.subscribe(["NSE:A"])
    client.flush()
    await events.next(MarketData)

    await client.stopService()


@pytest_twisted.ensureDeferred
async def test_the_end_is_a_close_handshake(server: Server) -> None:
    events = Events()
    client = client_of(server, server.key, events)
    client.startService()
    await events.next(Authenticated)

    first, second = client.stopService(), client.stopService()
    await first
    await second

    assert server.closed == [(True, 1000)]
    assert [type(event) for event in events.all] == [Connected, Authenticated, Disconnected]


@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_say_goodbye_does_not_hold_the_end_up(server: Server) -> None:
    events = Events()
    client = client_of(server, server.key, events)
    client.startService()
    await events.next(Authenticated)

    server.protocol.transport.pauseProducing()
    await client.stopService()
    server.protocol.transport.resumeProducing()

    assert isinstance(events.all[-1], Disconnected)
    assert len(server.asked) == 1


@pytest_twisted.ensureDeferred
async def test_a_refused_key_is_not_tried_again(server: Server) -> None:
    events = Events()
    client = client_of(server, "the-wrong-key-1", events)
    client.startService()

    await events.next(Disconnected)
    await client.stopService()

    assert AuthenticationFailed("AUTHENTICATION_ERROR", "") in events.all
    assert len(server.asked) == 1


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_not_there_is_reported_and_tried_again(server: Server) -> None:
    events = Events()
    client = client_of(server, server.key, events)
    await server.port.stopListening()
    client.startService()

    gone = await events.next(Disconnected)
    again = await events.next(Disconnected)
    await client.stopService()

    assert "refused" in gone.reason
    assert "refused" in again.reason


@pytest.mark.parametrize("url", ["http://127.0.0.1", "ws://", "127.0.0.1:8765", ""])
def test_another_kind_of_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Client(None, url, Secret("a key of a test"), print)


def test_a_file_without_a_certificate_is_refused() -> None:
    from twisted.internet import reactor

    with pytest.raises(ValueError, match="no certificate"):
        Client(reactor, "wss://localhost:1", Secret("a key of a test"), print, trust_roots="x")
