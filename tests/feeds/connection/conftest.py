"""A toy broker, a network and a store that a test plays by hand, and a world made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from openalgo_ws.adapter import (
    Adapter,
    Alive,
    Cause,
    Change,
    Close,
    Dial,
    Disconnect,
    Event,
    Feed,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    Keepalive,
    Limits,
    LoggedIn,
    Login,
    LoginFailed,
    Malformed,
    OrderUpdate,
    Pace,
    Rejected,
    Reply,
    Send,
    Transport,
    Verdict,
)
from openalgo_ws.feeds.authoriser import Authoriser
from openalgo_ws.feeds.connection import Connection, ConnectionOptions, ConnectionState
from openalgo_ws.feeds.link import Closed, Ending, LinkListener, Refused, Unreachable
from openalgo_ws.feeds.options import Network
from openalgo_ws.tick import Instrument, Mode, Tick, Wish
from tests.support.orders import ORDER


class ToyCodec(FeedCodec):
    """A protocol in words: what comes in and goes out can be read in the test."""

    url = "wss://feed.toy.example/stream"
    transport = Transport.WEBSOCKET
    over_http = False
    first: Sequence[Send] = ()

    def __init__(self, credentials: Mapping[str, str], environment: Any) -> None:
        self.credentials = credentials
        self.held: dict[str, Instrument] = {}
        self.pending = b""

    def dial(self) -> Dial:
        return Dial(
            url=f"{self.url}?token={self.credentials['token']}",
            transport=self.transport,
            headers={"X-Toy": "1"},
        )

    def opened(self) -> list[Send]:
        return list(self.first)

    def change(self, changes: Sequence[Change]) -> list[Send]:
        words = []
        for instrument, old, new in changes:
            self.held[instrument.token] = instrument
            words.append(f"{instrument.symbol}:{_name(old)}>{_name(new)}")
        text = " ".join(words)
        if self.over_http:
            return [HttpRequest(method="POST", url="https://api.toy.example/subscribe", text=text)]
        return [text]

    def received(self, data: str | bytes) -> list[Event]:
        if isinstance(data, bytes):
            lines = (self.pending + data).split(b"\n")
            self.pending = lines.pop()
            return [event for line in lines for event in self.word(line.decode("ascii", "replace"))]
        return [event for line in data.split("\n") for event in self.word(line)]

    def answered(self, request: HttpRequest, response: HttpResponse | None) -> list[Event]:
        if response is None:
            return [Rejected("no answer")]
        return self.word(response.body.decode())

    def word(self, line: str) -> list[Event]:
        kind, _, rest = line.partition(" ")
        match kind:
            case "tick":
                symbol, price = rest.split()
                instrument = Instrument(symbol, "NSE", symbol)
                return [Tick(instrument, Mode.LTP, ltp=float(price))]
            case "ok":
                return [LoggedIn()]
            case "no":
                return [LoginFailed(Verdict(Cause(rest), f"login refused: {rest}"))]
            case "bye":
                return [Disconnect(Verdict(Cause(rest), f"said bye: {rest}"))]
            case "reject":
                return [Rejected(rest)]
            case "say":
                return [Reply(rest)]
            case "closeme":
                return [Reply(Close())]
            case "order":
                return [OrderUpdate(ORDER)]
            case "alive":
                return [Alive()]
            case "pace":
                interval, dead_after = rest.split()
                return [Pace(float(interval), float(dead_after))]
            case "":
                return []
        return [Malformed("not a word of ours")]

    def closed(self, code: int | None, reason: str) -> Verdict:
        causes = {4001: Cause.TOKEN, 4002: Cause.PLAN, 4029: Cause.TOO_MANY, 4009: Cause.EVICTED}
        return Verdict(causes.get(code or 0, Cause.TRANSIENT), f"closed: {code}")

    def heartbeat(self) -> Send | None:
        return "beat"


def _name(wish: Wish | None) -> str:
    return "-" if wish is None else wish.mode.title


FEED = Feed(
    name="market",
    codec=ToyCodec,
    keepalive=Keepalive(ping_interval=20.0, pong_timeout=10.0, stall_after=90.0),
    limits=Limits(per_change=3),
)


def adapter_with(feed: Feed) -> Adapter:
    return Adapter(
        name="toy",
        title="Toy Broker",
        credential_fields=("token",),
        feeds=(feed,),
        exchanges={"NSE": "N"},
        from_row=lambda row, environment: {},
        master_files=lambda credentials: {},
        parse_master=lambda name, data: (),
    )


class FakeEnvironment:
    """A wall clock of its own, and a draw that the test chooses (0 ≤ draw < 1)."""

    def __init__(self, clock: Clock, start: float) -> None:
        self.clock = clock
        self.offset = start
        self.draw = 0.999999

    def now(self) -> float:
        return self.clock.seconds() + self.offset

    def random(self, n: int) -> bytes:
        return int(self.draw * (1 << (8 * n))).to_bytes(n, "big")


class FakeLink:
    """A socket that the test opens, feeds and breaks."""

    def __init__(self, clock: Clock, dial: Dial, listener: LinkListener) -> None:
        self.clock = clock
        self.dial = dial
        self.listener = listener
        self.sent: list[str | bytes] = []
        self.pings: list[bytes] = []
        self.closed = ""
        self.over = False
        self.answers_pings = True
        #: Whether a polite close is answered.
        self.answers_close = True

    def send(self, data: str | bytes) -> None:
        assert not self.over
        self.sent.append(data)

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)
        if self.answers_pings:
            self.clock.callLater(0, self.pong, payload)

    def pong(self, payload: bytes) -> None:
        if not self.over:
            self.listener.heard(6)
            self.listener.ponged(payload)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = self.closed or "politely"
        self.clock.callLater(0 if self.answers_close else 1.0, self.end, Closed(1000, ""))

    def abort(self) -> None:
        self.closed = self.closed or "by force"
        self.end(Closed(None, "aborted"))

    def end(self, ending: Ending) -> None:
        if not self.over:
            self.over = True
            self.listener.ended(ending)

    def open(self) -> None:
        self.listener.heard(100)
        self.listener.opened()

    def say(self, data: str | bytes) -> None:
        self.listener.heard(len(data))
        self.listener.received(data)

    def refuse(self, status: int, body: bytes = b"") -> None:
        self.end(Refused(status, {}, body))

    def fail(self, message: str = "connection refused") -> None:
        self.end(Unreachable(message))


class FakeDialler:
    """Counts dials; ``script`` acts on each new socket a moment later."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.links: list[FakeLink] = []
        self.times: list[float] = []
        self.script: Callable[[FakeLink], None] | None = None

    def dial(self, dial: Dial, listener: LinkListener) -> FakeLink:
        link = FakeLink(self.clock, dial, listener)
        self.links.append(link)
        self.times.append(self.clock.seconds())
        if self.script is not None:
            self.clock.callLater(0.01, self.script, link)
        return link


class FakeHttp:
    """Answers calls by a function, or leaves them open for the test to answer."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.open: list[Deferred[HttpResponse | None]] = []
        self.answer: Callable[[HttpRequest], HttpResponse | None] | None = None

    def call(self, request: HttpRequest) -> Deferred[HttpResponse | None]:
        self.requests.append(request)
        if self.answer is not None:
            return succeed(self.answer(request))
        waiting: Deferred[HttpResponse | None] = Deferred()
        self.open.append(waiting)
        return waiting


class Open24Hours:
    """A calendar: the exchanges in ``open`` trade since the given epoch second."""

    def __init__(self) -> None:
        self.open: dict[str, float] = {"NSE": 0.0}

    def open_since(self, exchange: str, now: float) -> float | None:
        since = self.open.get(exchange)
        return since if since is not None and since <= now else None


class Store:
    """Where credentials are read; counts the reads."""

    def __init__(self) -> None:
        self.credentials: dict[str, str] | None = {"token": "one"}
        self.broken: Exception | None = None
        self.reads = 0

    async def read(self) -> dict[str, str] | None:
        self.reads += 1
        if self.broken is not None:
            raise self.broken
        return self.credentials


@dataclass
class Heard:
    """A listener that writes everything down."""

    states: list[tuple[ConnectionState, str]] = field(default_factory=list)
    ticks: list[list[tuple[str, float | None]]] = field(default_factory=list)
    orders: list[OrderUpdate] = field(default_factory=list)
    refusals: list[Rejected] = field(default_factory=list)
    on_state: Callable[[Connection, ConnectionState], None] | None = None

    def state_changed(self, connection: Connection, state: ConnectionState, message: str) -> None:
        self.states.append((state, message))
        if self.on_state is not None:
            self.on_state(connection, state)

    def ticked(self, connection: Connection, ticks: Sequence[Tick]) -> None:
        self.ticks.append([(tick.instrument.symbol, tick.ltp) for tick in ticks])

    def ordered(self, connection: Connection, update: OrderUpdate) -> None:
        self.orders.append(update)

    def rejected(self, connection: Connection, rejected: Rejected) -> None:
        self.refusals.append(rejected)


class World:
    """A connection and everything round it, in the test's hands."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.environment = FakeEnvironment(self.clock, 1_795_000_000.0)
        self.dialler = FakeDialler(self.clock)
        self.http = FakeHttp()
        self.calendar = Open24Hours()
        self.store = Store()
        self.heard = Heard()
        self.options = ConnectionOptions()
        self.authoriser = Authoriser(clock=self.clock, http=self.http, environment=self.environment)

    def connect(self, feed: Feed = FEED, **changes: Any) -> Connection:
        """A started connection on this feed, with some of the feed's declarations changed."""
        connection = self.make(replace(feed, **changes))
        connection.start()
        self.clock.advance(0)
        return connection

    def make(self, feed: Feed = FEED) -> Connection:
        """A connection on this feed."""
        return Connection(
            reactor=self.clock,
            adapter=adapter_with(feed),
            feed=feed,
            user="trader",
            credentials=lambda: self.store.read(),
            authoriser=self.authoriser,
            environment=self.environment,
            listener=self.heard,
            sessions=self.calendar,
            options=self.options,
            network=Network(self.dialler, self.http),
        )

    def live(self, feed: Feed = FEED, **changes: Any) -> tuple[Connection, FakeLink]:
        """A connection that has logged in, and its socket."""
        connection = self.connect(feed, **changes)
        self.link.open()
        if connection.state is not ConnectionState.LIVE:
            self.link.say("ok")
        self.clock.advance(0)
        assert connection.state is ConnectionState.LIVE
        return connection, self.link

    def pass_time(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass in small steps, so that what timers set goes on in between."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    @property
    def link(self) -> FakeLink:
        """The newest socket."""
        return self.dialler.links[-1]

    @property
    def states(self) -> list[ConnectionState]:
        """The states gone through, in order."""
        return [state for state, _ in self.heard.states]


def instrument(symbol: str, exchange: str = "NSE") -> Instrument:
    return Instrument(symbol, exchange, symbol)


def wish(symbol: str, mode: Mode | None = Mode.LTP, exchange: str = "NSE") -> Change:
    """A change that asks for ``symbol`` (mode None: gives it up)."""
    return Change(instrument(symbol, exchange), None, None if mode is None else Wish(mode))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ask() -> Callable[..., Change]:
    return wish


@pytest.fixture
def toy() -> type[ToyCodec]:
    return ToyCodec


@pytest.fixture
def feed() -> Feed:
    return FEED


@pytest.fixture
def acknowledged() -> Feed:
    """A feed whose login is answered."""
    return replace(FEED, login=Login.ACKNOWLEDGED)


@pytest.fixture
def adapter() -> Adapter:
    return adapter_with(FEED)
