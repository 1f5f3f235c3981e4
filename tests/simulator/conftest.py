"""A broker with the smallest protocol there is, a server that speaks it, and a client made of bytes."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock

from openalgo_ws.adapter import (
    Accepted,
    Close,
    HttpRequest,
    HttpResponse,
    Order,
    Refused,
    SimulatorConnection,
    SimulatorSide,
    Transport,
    Upgrade,
)
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import universe
from openalgo_ws.tick import Tick

#: 2025-12-22 10:00 in India, a Monday.
MONDAY = 1_766_377_800.0


class JsonSide(SimulatorSide):
    """``?key=`` at the upgrade; ``POST /buy/TOKEN`` subscribes the oldest connection."""

    demo_credentials = {"key": "demo-key"}

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.upgrades: list[Upgrade] = []
        self.requests: list[HttpRequest] = []
        self.open: list[JsonConnection] = []
        self.pushed: list[tuple[SimulatorConnection, list[str | bytes | Close]]] = []

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        self.upgrades.append(upgrade)
        if self.transport is Transport.WEBSOCKET and upgrade.query.get("key") != self.credentials["key"]:
            return Refused(401, {"X-Error": "bad key"}, b'{"error":"key"}')
        connection = JsonConnection(self)
        self.open.append(connection)
        return Accepted(connection, "json")

    def http(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        _, _, token = request.url.rpartition("/")
        if self.open and token.isdecimal():
            self.pushed.append((self.open[0], self.open[0].received(json.dumps({"hold": [token]}))))
        return HttpResponse(202, b'{"ok":true}', {"X-Broker": "json"})

    def push(self) -> list[tuple[SimulatorConnection, list[str | bytes | Close]]]:
        pushed, self.pushed = self.pushed, []
        return pushed


class JsonStreamSide(JsonSide):
    transport = Transport.STREAM


class JsonConnection(SimulatorConnection):
    heartbeat_interval = 1.0

    def __init__(self, side: JsonSide) -> None:
        self.side = side
        self.tokens: set[str] = set()
        self.is_closed = False

    def opened(self) -> list[str | bytes | Close]:
        return ["welcome"]

    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        message = json.loads(data)
        if "close" in message:
            return ["bye", Close(message["close"], "as you wish"), "never sent"]
        if "ping" in message:
            return ["pong"]
        if "binary" in message:
            return [bytes.fromhex(message["binary"])]
        self.tokens -= set(message.get("drop", ()))
        found = [one for token in message.get("hold", ()) if (one := self.side.market.find(token))]
        self.tokens |= {one.token for one in found}
        return [self._data([self.side.market.last(one)]) for one in found]

    def ticks(self, ticks: Sequence[Tick]) -> list[str | bytes | Close]:
        held = [tick for tick in ticks if tick.instrument.token in self.tokens]
        return [self._data(held)] if held else []

    def held(self) -> int:
        return len(self.tokens)

    def order(self, order: Order, token: str) -> list[str | bytes | Close]:
        return [json.dumps({"order": order.orderid})]

    def heartbeat(self) -> str:
        return "heartbeat"

    def closed(self) -> None:
        self.is_closed = True
        self.side.open.remove(self)

    @staticmethod
    def _data(ticks: Sequence[Tick]) -> str:
        return json.dumps({"ticks": [[tick.instrument.symbol, tick.ltp, tick.volume] for tick in ticks]})


class RawClient(Protocol):
    """Knows TCP, can say an upgrade, and reads WebSocket frames. Waits for what has happened."""

    def __init__(self) -> None:
        self.data = b""
        self.ended: Any = None
        self._waiting: list[tuple[Callable[[RawClient], Any], Deferred[Any]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self.look()

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.ended = reason.value
        self.look()

    def look(self) -> None:
        for entry in list(self._waiting):
            found = entry[0](self)
            if found:
                self._waiting.remove(entry)
                entry[1].callback(found)

    async def until(self, condition: Callable[[RawClient], Any]) -> Any:
        """What the condition gives, as soon as it is true."""
        from twisted.internet import reactor

        found = condition(self)
        if found:
            return found
        waiting: Deferred[Any] = Deferred()
        self._waiting.append((condition, waiting))
        return await waiting.addTimeout(10, reactor)  # type: ignore[arg-type]

    def upgrade(self, target: str = "/?key=demo-key", *extra: str) -> None:
        key = base64.b64encode(b"0123456789abcdef").decode()
        lines = [
            f"GET {target} HTTP/1.1",
            "Host: ws.broker.example",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *extra,
        ]
        self.write("\r\n".join([*lines, "", ""]).encode())

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def send(self, payload: bytes | str, opcode: int = 1) -> None:
        body = payload.encode() if isinstance(payload, str) else payload
        size = bytes([0x80 | len(body)]) if len(body) < 126 else struct.pack(">BH", 0x80 | 126, len(body))
        self.write(bytes([0x80 | opcode]) + size + b"\0\0\0\0" + body)

    def ask(self, **message: Any) -> None:
        self.send(json.dumps(message))

    @property
    def head(self) -> bytes:
        head, end, _ = self.data.partition(b"\r\n\r\n")
        return head if end else b""

    @property
    def status(self) -> int:
        return int(self.head.split(b" ")[1]) if self.head else 0

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """(opcode, payload) of every whole frame."""
        rest, frames = self.body, []
        while len(rest) >= 2:
            size, offset = rest[1] & 0x7F, 2
            if size == 126:
                size, offset = struct.unpack_from(">H", rest, 2)[0], 4
            elif size == 127:
                size, offset = struct.unpack_from(">Q", rest, 2)[0], 10
            if len(rest) < offset + size:
                break
            frames.append((rest[0] & 0x0F, rest[offset : offset + size]))
            rest = rest[offset + size :]
        return frames

    @property
    def texts(self) -> list[str]:
        return [payload.decode() for opcode, payload in self.frames if opcode == 1]

    @property
    def ticks(self) -> list[list[Any]]:
        """[symbol, ltp, volume] of every tick so far."""
        messages = [json.loads(text) for text in self.texts if text.startswith("{")]
        return [tick for message in messages for tick in message.get("ticks", ())]


class Rig:
    """A simulated broker on real sockets with a clock of its own, and clients of it."""

    def __init__(self, side: type[SimulatorSide] = JsonSide, **options: Any) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.clock = Clock()
        self.environment = SimulatedEnvironment(self.clock, start=MONDAY, seed=5)
        size = options.pop("size", 60)
        listings = universe(size, self.environment.today())
        self.exchange = Exchange(listings, self.environment.now, seed=options.pop("seed", 5))
        self.broker = SimulatedBroker(
            side, self.exchange, reactor, self.environment, clock=self.clock, **options
        )
        self.side: Any = self.broker.side
        self.tokens = [one.token for one in self.exchange.instruments()]
        self.clients: list[RawClient] = []
        # Clients may wait for something at the server, too.
        for name in ("arrived", "left", "decide"):
            setattr(self.broker, name, self._telling(getattr(self.broker, name)))

    def _telling(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def told(*arguments: Any) -> Any:
            result = method(*arguments)
            for client in self.clients:
                # In the next turn: the server may be in the middle of something.
                self.reactor.callLater(0, client.look)
            return result

        return told

    async def client(self) -> RawClient:
        """A TCP connection, nothing said yet."""
        from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

        endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.broker.port)
        client = await connectProtocol(endpoint, RawClient())
        self.clients.append(client)
        return client

    async def subscriber(self, count: int = 3) -> RawClient:
        """A connection that holds the first instruments and has their first ticks."""
        client = await self.client()
        client.upgrade()
        client.ask(hold=self.tokens[:count])
        await client.until(lambda c: len(c.ticks) >= count)
        return client

    def pass_time(self, seconds: float) -> None:
        """Let the server's clock run, in its own steps."""
        self.clock.pump([0.01] * round(seconds * 100))

    async def stop(self) -> None:
        await self.broker.stop()
        for client in self.clients:
            await client.until(lambda c: c.ended is not None)


@pytest.fixture
def make_rig():
    """Make rigs; all are stopped at the end, and nothing may be left of them."""
    rigs: list[Rig] = []

    def make(side: type[SimulatorSide] = JsonSide, **options: Any) -> Rig:
        rig = Rig(side, **options)
        rig.broker.listen()
        rigs.append(rig)
        return rig

    make.json_stream = JsonStreamSide  # type: ignore[attr-defined]
    yield make

    async def stop_all() -> None:
        for rig in rigs:
            await rig.stop()
            assert rig.clock.getDelayedCalls() == []
            assert rig.broker.sockets == 0
            assert rig.broker.connections == []

    pytest_twisted.blockon(Deferred.fromCoroutine(stop_all()))


@pytest.fixture
def rig(make_rig):
    return make_rig()
