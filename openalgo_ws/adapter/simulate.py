"""The same protocol seen from the broker: how a simulator speaks it. Sans-I/O, like the codec.

A simulator encodes from the broker's sheet, independently of the codec's
decoder, so that both can't share one misreading.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol

import msgspec

from openalgo_ws.adapter.codec import Environment
from openalgo_ws.adapter.events import Order
from openalgo_ws.adapter.master import MasterRow
from openalgo_ws.adapter.wire import Close, HttpRequest, HttpResponse, Transport
from openalgo_ws.tick import Instrument, Tick

__all__ = [
    "Accepted",
    "Market",
    "Refused",
    "SimulatorConnection",
    "SimulatorSide",
    "Upgrade",
]


class Market(Protocol):
    """The simulated exchange, as a broker's simulator sees it."""

    def instruments(self) -> Iterable[Instrument]:
        """Everything that is traded, in a fixed order, under this broker's tokens."""

    def find(self, token: str, exchange: str | None = None) -> Instrument | None:
        """The instrument with that token (and, where tokens are not unique, that OpenAlgo exchange)."""

    def last(self, instrument: Instrument) -> Tick:
        """The present state: a full DEPTH tick (indices: a QUOTE tick), every field that applies set."""

    def rows(self) -> Iterable[MasterRow]:
        """The instrument master behind `instruments`, in the same order: for a side that serves it."""


class Upgrade(msgspec.Struct, frozen=True):
    """A client wants to connect. ``host`` is the Host header (the broker's own host name when our
    gateway dials; 127.0.0.1 for an SDK that was pointed here), without port. The simulator's server
    hands in headers whose names are looked up in any case."""

    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    subprotocols: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Upgrade {self.host}{self.path}>"


class Accepted(msgspec.Struct, frozen=True):
    """The upgrade is granted; the connection speaks from here on."""

    connection: SimulatorConnection
    subprotocol: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """The upgrade is refused with an HTTP status."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class SimulatorConnection(ABC):
    """One client's connection, as the broker's server sees it."""

    #: Seconds between calls of `heartbeat`; None = the server sends none.
    heartbeat_interval: float | None = None
    #: Seconds between WebSocket pings that the server sends; None = it sends none.
    ping_interval: float | None = None
    #: The connection is dropped when no pong came for so long; None = never.
    pong_timeout: float | None = None

    def opened(self) -> list[str | bytes | Close]:
        """What the server says first."""
        return []

    @abstractmethod
    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        """The answer to a client's frame: acknowledgements, errors, first packets."""

    @abstractmethod
    def ticks(self, ticks: Sequence[Tick]) -> list[str | bytes | Close]:
        """The frames that tell this connection of these ticks, according to what it subscribed.

        Each tick is one that `Market.last` could have given: complete. An instrument that this
        connection does not hold is passed over.
        """

    @abstractmethod
    def held(self) -> int:
        """How many instruments this connection has subscribed (any mode)."""

    def order(self, order: Order, token: str) -> list[str | bytes | Close]:
        """The frames that tell this connection of an order update (none, if it carries no orders)."""
        return []

    def heartbeat(self) -> str | bytes | None:
        """What the server says when it has nothing to say."""
        return None

    def closed(self) -> None:
        """The client is gone: give back what was counted for it."""


class SimulatorSide(ABC):
    """A broker's server: accounts, connection limits, HTTP calls; makes connections.

    ``credentials`` is what a client must present, in the adapter's credential fields; a test may
    change the mapping at any time to let a token expire.
    """

    transport: ClassVar[Transport] = Transport.WEBSOCKET
    #: Credentials that the simulator accepts when it is started by hand, and the demo logs in with.
    demo_credentials: ClassVar[Mapping[str, str]]

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        self.market = market
        self.credentials = credentials
        self.environment = environment

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        """The same instrument under this broker's names and token, as its instrument master has it.

        ``row`` comes with the broker's own segment name in ``brexchange`` and, as token, a number
        that is unique in the universe and whose low byte is the exchange's segment in Kite's
        scheme; ``brsymbol`` is the exchange's own name of an index, else the OpenAlgo symbol. What
        `Adapter.instrument` makes of the result is what the stream carries. The broker whose
        tokens are free-form numbers and whose names never travel can leave this alone.
        """
        return row

    @abstractmethod
    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        """Decide on a client that wants to connect (for a stream: with an empty path)."""

    def http(self, request: HttpRequest) -> HttpResponse:
        """Answer an HTTP call to one of the broker's hosts (bodies arrive as ``text``)."""
        return HttpResponse(404)

    def push(self) -> list[tuple[SimulatorConnection, list[str | bytes | Close]]]:
        """Frames that the last call (HTTP, upgrade or frame) has caused on *other* open connections.

        Taken once, after each call: an HTTP subscribe, a newcomer who pushes an older connection out.
        """
        return []
