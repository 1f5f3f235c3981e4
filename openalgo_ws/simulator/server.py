"""A simulated broker on real sockets: hosts an adapter's `SimulatorSide` and runs the market.

WebSockets, a bare stream (where the broker has one) and plain HTTP calls share one port. One loop
on the reactor passed in does everything that happens by the clock: ticks, heartbeats, pings,
faults. After `SimulatedBroker.stop` nothing is left: no port, no connection, no delayed call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IOpenSSLContextFactory,
    IProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from openalgo_ws.adapter import (
    Accepted,
    HttpRequest,
    HttpResponse,
    Order,
    Refused,
    SimulatorSide,
    Transport,
    Upgrade,
)
from openalgo_ws.simulator.connection import ServedConnection, Setting
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.faults import Faults
from openalgo_ws.simulator.front import Front
from openalgo_ws.simulator.http import Head, call_site
from openalgo_ws.simulator.journal import Attempt, Journal, Outcome
from openalgo_ws.simulator.links import StreamLink, WebSocketLink, websocket_factory
from openalgo_ws.simulator.view import MarketView
from openalgo_ws.tick import Tick

__all__ = ["SimulatedBroker"]


class SimulatedBroker:
    """One broker's server.

    ``credentials`` is what clients must present (default: the side's demo credentials); the
    mapping in `credentials` may be changed at any time, which is how a token expires. ``rate`` is
    in ticks per second over the whole exchange. ``buffer_limit`` is how many bytes may wait for a
    client that doesn't read before it is dropped. Time comes from ``clock``, if it isn't the
    reactor's.
    """

    _log = Logger()

    def __init__(
        self,
        side: type[SimulatorSide],
        exchange: Exchange,
        reactor: Any,
        environment: SimulatedEnvironment,
        *,
        clock: IReactorTime | None = None,
        credentials: Mapping[str, str] | None = None,
        rate: float = 1_000.0,
        interval: float = 0.01,
        buffer_limit: int = 16 * 1024 * 1024,
    ) -> None:
        self._reactor = reactor
        self._clock: IReactorTime = reactor if clock is None else clock
        self.exchange = exchange
        self.environment = environment
        self.faults = Faults()
        self.journal = Journal()
        #: Ticks per second; may be changed while it runs. 0 stops the market.
        self.rate = rate
        self.view = MarketView(exchange, self.faults)
        accepted = side.demo_credentials if credentials is None else credentials
        self.side = side(self.view, dict(accepted), environment)
        self.takes_streams = side.transport is Transport.STREAM
        #: Called with the ticks of each cycle just before they are sent.
        self.observers: list[Callable[[Sequence[Tick]], None]] = []
        self._setting = Setting(
            view=self.view,
            faults=self.faults,
            journal=self.journal,
            environment=environment,
            buffer_limit=buffer_limit,
            seconds=self.seconds,
            deliver_pushed=self._deliver_pushed,
            forget=self._forget,
        )
        self._websockets = websocket_factory(reactor)
        self._site = call_site(self._answer, reactor)
        self._fronts: dict[Front, None] = {}
        self._served: dict[int, ServedConnection] = {}
        self._port: IListeningPort | None = None
        self._is_secure = False
        self._emptied: Deferred[None] | None = None
        self._interval = interval
        self._loop = LoopingCall(self._cycle)
        self._loop.clock = self._clock
        self._cycled_at = 0.0
        self._owed = 0.0

    @property
    def credentials(self) -> dict[str, str]:
        """What clients must present, now."""
        return self.side.credentials

    def listen(
        self, port: int = 0, interface: str = "127.0.0.1", tls: IOpenSSLContextFactory | None = None
    ) -> None:
        """Open the port (0: any free one) and let the market run. Raises `CannotListenError`."""
        if self._port is not None:
            raise RuntimeError("the simulated broker listens already")
        factory = _FrontFactory(self)
        if tls is None:
            self._port = self._reactor.listenTCP(port, factory, interface=interface)
        else:
            self._port = self._reactor.listenSSL(port, factory, tls, interface=interface)
        self._is_secure = tls is not None
        self._cycled_at = self.seconds()
        self._owed = 0.0
        self._loop.start(self._interval, now=False).addErrback(self._broken)

    async def stop(self) -> None:
        """Close the port, reset every connection, and wait until all are gone. May listen again."""
        if self._loop.running:
            self._loop.stop()
        port, self._port = self._port, None
        if port is not None:
            await _settled(port.stopListening())
        if self._fronts:
            emptied: Deferred[None] = Deferred()
            self._emptied = emptied
            self.reset()
            await emptied

    @property
    def port(self) -> int:
        """The port it listens on. RuntimeError before `listen`."""
        return int(self._address().port)

    @property
    def host(self) -> str:
        """The address it listens on."""
        return str(self._address().host)

    def _address(self) -> Any:
        if self._port is None:
            raise RuntimeError("the simulated broker does not listen")
        return self._port.getHost()

    @property
    def url(self) -> str:
        """What ``<BROKER>_FEED_URL`` should say: ``ws://host:port``, or ``wss``, ``tcp``, ``tls``."""
        if self.takes_streams:
            scheme = "tls" if self._is_secure else "tcp"
        else:
            scheme = "wss" if self._is_secure else "ws"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def connections(self) -> list[ServedConnection]:
        """The market-data connections that are open."""
        return list(self._served.values())

    @property
    def sockets(self) -> int:
        """TCP connections that are open, whatever they are."""
        return len(self._fronts)

    def order(self, order: Order, token: str) -> None:
        """Tell every connection of an order update."""
        for served in self.connections:
            served.send(served.connection.order(order, token))

    def reset(self) -> None:
        """Reset every TCP connection, now."""
        for front in list(self._fronts):
            front.abort()

    def tear(self) -> None:
        """Reset every market-data connection in the middle of a packet."""
        for served in self.connections:
            served.tear()

    # What a `Front` asks.

    def seconds(self) -> float:
        """The server's clock (not the time of day, which `environment` may set)."""
        return float(self._clock.seconds())

    def arrived(self, front: Front) -> Attempt:
        """A client has connected."""
        self._fronts[front] = None
        return self.journal.begin(self.seconds())

    def left(self, front: Front) -> None:
        """A client is gone."""
        self._fronts.pop(front, None)
        if not self._fronts and self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    def decide(self, attempt: Attempt, outcome: Outcome, path: str = "", status: int | None = None) -> None:
        """It is known what a connection is."""
        self.journal.decide(attempt, outcome, path=path, status=status)

    def upgrade(self, head: Head, address: IAddress | None) -> IProtocol | Refused:
        """Ask the broker's side."""
        accepted = self._accept(head.upgrade())
        if isinstance(accepted, Refused):
            return accepted
        served = self._serve(accepted, head.upgrade().path)
        link = WebSocketLink(served, accepted.subprotocol)
        link.factory = self._websockets
        return link

    def stream(self) -> IProtocol | Refused:
        """Ask the broker's side."""
        accepted = self._accept(Upgrade(host="", path="", query={}, headers={}))
        return accepted if isinstance(accepted, Refused) else StreamLink(self._serve(accepted, ""))

    def calls(self, address: IAddress | None) -> IProtocol:
        """A twisted.web channel."""
        channel: IProtocol = self._site.buildProtocol(address)
        return channel

    def _accept(self, upgrade: Upgrade) -> Accepted | Refused:
        refused = self.faults.refuse
        answer = self.side.accept(upgrade) if refused is None else refused
        self._deliver_pushed()
        return answer

    def _serve(self, accepted: Accepted, path: str) -> ServedConnection:
        served = ServedConnection(self._setting, accepted.connection, path)
        self._served[id(accepted.connection)] = served
        return served

    def _forget(self, served: ServedConnection) -> None:
        self._served.pop(id(served.connection), None)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        self.journal.calls[request.url.partition("?")[0].partition("://")[2].partition("/")[2]] += 1
        answer = self.faults.answer
        response = self.side.http(request) if answer is None else answer
        self._deliver_pushed()
        return response

    def _deliver_pushed(self) -> None:
        for connection, frames in self.side.push():
            served = self._served.get(id(connection))
            if served is not None:
                served.send(frames)

    # The loop.

    def _cycle(self) -> None:
        now = self.seconds()
        elapsed, self._cycled_at = now - self._cycled_at, now
        # After a pause (a suspended machine, a busy reactor) the market doesn't catch up for long.
        self._owed = min(self._owed + max(0.0, elapsed) * self.rate, max(1.0, self.rate))
        due, self._owed = int(self._owed), self._owed % 1.0
        if due:
            self.advance(due)
        for front in list(self._fronts):
            front.tend(now)
        for served in self.connections:
            served.tend(now)

    def advance(self, count: int) -> None:
        """Let ``count`` things happen at the exchange, now, and tell the connections."""
        touched = self.exchange.step(count)
        listeners = [served for served in self.connections if served.connection.held()]
        if not (listeners or self.observers):
            return
        hidden = self.faults.withdrawn
        ticks = [
            self.exchange.last(one)
            for one in touched
            if not hidden or (one.exchange, one.symbol) not in hidden
        ]
        self.journal.ticks += len(ticks)
        for observe in self.observers:
            observe(ticks)
        for served in listeners:
            served.give(ticks)

    def _broken(self, failure: Any) -> None:
        # An adapter's side has raised: its author wants to know, and a mute server would mislead.
        self._log.failure("the simulated broker has failed, and closes", failure)
        if self._port is not None:
            self._port.stopListening()
        self.reset()


class _FrontFactory(Factory):
    noisy = False

    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker

    def buildProtocol(self, addr: IAddress | None) -> Front:
        return Front(self._broker, addr)


async def _settled(maybe: Deferred[Any] | None) -> None:
    if maybe is not None:
        await maybe
