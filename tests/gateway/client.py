"""A WebSocket client for tests: what comes is waited for, never slept for."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponseAccept
from jsonschema import Draft202012Validator
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS

from openalgo_ws.encoding.binary import BinaryMarketDataBatch

TIMEOUT = 10
SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "protocol.schema.json").read_text())
)


class Closed(Exception):
    """The server closed the connection."""


class Client(WebSocketClientProtocol):
    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[Client] = Deferred()
        self.closed: Deferred[int] = Deferred()
        self.code: int | None = None
        self.reason: str | None = None
        self.pongs = 0
        self._checked = 0
        self._arrived: deque[Any] = deque()
        self._waiting: deque[Deferred[Any]] = deque()
        self._gone: Deferred[None] = Deferred()

    def onOpen(self) -> None:
        self.opened.callback(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = BinaryMarketDataBatch(payload) if isBinary else json.loads(payload)
        if not isBinary and "type" in message and self._checked < 100:
            # Everything but the flat format's own shapes; a flood is a flood of the same.
            self._checked += 1
            SCHEMA.validate(message)
        if self._waiting:
            self._waiting.popleft().callback(message)
        else:
            self._arrived.append(message)

    def onPong(self, payload: bytes) -> None:
        self.pongs += 1

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.code, self.reason = code, reason
        if not self.opened.called:
            self.opened.errback(Closed(code, reason))
        self.closed.callback(code)
        for waiting in self._waiting:
            waiting.errback(Closed(code, reason))
        self._gone.callback(None)

    def request(self, **request: Any) -> None:
        self.sendMessage(json.dumps(request).encode())

    def next(self) -> Deferred[Any]:
        """The next message."""
        arrived: Deferred[Any] = Deferred()
        if self._arrived:
            arrived.callback(self._arrived.popleft())
        elif self.code is not None:
            arrived.errback(Closed(self.code, self.reason))
        else:
            self._waiting.append(arrived)
            arrived.addTimeout(TIMEOUT, reactor)
        return arrived

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request; its answer is the next message."""
        self.request(**request)
        return await self.next()

    def silent(self) -> bool:
        """Whether nothing has come that was not asked for."""
        return not self._arrived

    async def all_said(self) -> list[dict[str, Any]]:
        """What the server has said until now: everything before the answer to a ping."""
        self.request(action="ping", _pingId="all said")
        said = []
        while (message := await self.next()).get("_pingId") != "all said":
            said.append(message)
        return said

    def end_code(self) -> Deferred[int]:
        """The close code, when the server has closed."""
        return self.closed.addTimeout(TIMEOUT, reactor)

    def end(self) -> Deferred[None]:
        if self.code is None:
            self.transport.abortConnection()
        return self._gone


async def connect(
    port: int,
    *,
    tls: Any = None,
    subprotocols: tuple[str, ...] = (),
    headers: dict[str, str] | None = None,
    compression: bool = False,
) -> Client:
    """A connected client."""
    scheme = "ws" if tls is None else "wss"
    factory = WebSocketClientFactory(
        f"{scheme}://localhost:{port}/any/path",
        protocols=list(subprotocols),
        headers=headers or {},
        reactor=reactor,
    )
    factory.protocol = Client
    factory.noisy = False
    if compression:
        factory.setProtocolOptions(
            perMessageCompressionOffers=[PerMessageDeflateOffer()],
            perMessageCompressionAccept=PerMessageDeflateResponseAccept,
        )
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    if tls is not None:
        endpoint = wrapClientTLS(tls, endpoint)
    client: Client = await endpoint.connect(factory)
    await client.opened.addTimeout(TIMEOUT, reactor)
    return client


def until(condition: Callable[[], Any]) -> Deferred[None]:
    """Fires when the condition holds; checked after every turn of the reactor."""
    done: Deferred[None] = Deferred()

    def check() -> None:
        if condition():
            done.callback(None)
        elif not done.called:
            reactor.callLater(0.001, check)

    check()
    return done


def passing(seconds: float) -> Deferred[None]:
    """Fires when so much time has gone by."""
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done
