"""A demand that counts, and links between the two ends of the protocol."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from openalgo_ws.bus.demand import DemandListener, Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.server import Bounds, DemandServer
from openalgo_ws.tick import Mode, Wish

LTP, QUOTE = Wish(Mode.LTP), Wish(Mode.QUOTE)


def want(symbol: str, wish: Wish = LTP) -> Want:
    return Want(symbol, "NSE", wish)


def hold(symbol: str, user: str = "alice", wish: Wish = LTP) -> Hold:
    return Hold(f"feed of {user}", symbol, "NSE", wish)


def hold_of(wanted: Want, granted: Granted) -> Hold:
    return Hold(granted.feed, wanted.symbol, wanted.exchange, granted.wish)


class CountingDemand:
    """Grants everything but symbols that begin with X; with ``slow``, when `answer` is called."""

    def __init__(self) -> None:
        self.held: Counter[Hold] = Counter()
        self.orders: list[tuple[str, bool]] = []
        self.asked: list[tuple[str, list[Want]]] = []
        self.listeners: list[DemandListener] = []
        self.slow = False
        self._waiting: deque[Callable[[], None]] = deque()

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        self.asked.append((user, list(wants)))
        result: Deferred[list[Granted | Denied]] = Deferred()
        self._waiting.append(lambda: result.callback([self._one(user, each) for each in wants]))
        if not self.slow:
            self.answer()
        return result

    def _one(self, user: str, wanted: Want) -> Granted | Denied:
        if wanted.symbol.startswith("X"):
            return Denied("SYMBOL_NOT_FOUND", "no such symbol", "zerodha")
        granted = Granted(f"feed of {user}", "zerodha", wanted.wish, price_scale=4)
        self.held[hold_of(wanted, granted)] += 1
        return granted

    def answer(self) -> bool:
        """Answer the request that has waited longest; whether there was one."""
        if not self._waiting:
            return False
        self._waiting.popleft()()
        return True

    def release(self, holds: Sequence[Hold]) -> None:
        for each in holds:
            assert self.held[each] > 0, f"{each} is not held"
            self.held[each] -= 1
            if not self.held[each]:
                del self.held[each]

    def status(self, user: str) -> Deferred[Status]:
        return succeed(Status("zerodha", FeedState.CONNECTED, f"of {user}"))

    def watch_orders(self, user: str, wanted: bool) -> None:
        self.orders.append((user, wanted))

    def watched(self) -> set[str]:
        """Whose orders are watched now."""
        return {user for user, wanted in dict(self.orders).items() if wanted}

    def feed_of(self, user: str) -> str | None:
        return None

    def supported_brokers(self) -> list[str]:
        return ["zerodha"]

    def listen(self, listener: DemandListener) -> None:
        self.listeners.append(listener)


class Heard:
    """A `DemandListener` that notes what it hears."""

    def __init__(self) -> None:
        self.states: list[tuple[tuple[str, ...], FeedState]] = []
        self.refusals: list[tuple[str, str, str]] = []

    def status_changed(self, users: Collection[str], status: Status) -> None:
        self.states.append((tuple(users), status.state))

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        self.refusals.append((feed, symbol, denied.code))


class Link:
    """A channel in memory. Messages travel when `run` is called; `cut` ends it with what is on its way."""

    def __init__(self, server: DemandServer, gateway: RemoteDemand) -> None:
        self._gateway = gateway
        self._to_server: deque[bytes] = deque()
        self._to_gateway: deque[bytes] = deque()
        self.open = True
        channel = server.connected(self._to_gateway.append, self.cut)
        assert channel is not None
        self.channel = channel
        gateway.connected(self._to_server.append, self.cut)

    def step(self) -> bool:
        """Let one message each way arrive; whether there was any."""
        moved = False
        if self.open and self._to_server:
            moved = True
            self.channel.received(self._to_server.popleft())
        if self.open and self._to_gateway:
            moved = True
            self._gateway.received(self._to_gateway.popleft())
        return moved

    def run(self) -> None:
        """Let everything arrive."""
        while self.step():
            pass

    def cut(self) -> None:
        if self.open:
            self.open = False
            self.channel.lost()
            self._gateway.lost()


class Pair:
    """A feed process and a gateway, and the link between them."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.clock = Clock()
        self.demand = CountingDemand()
        self.bounds = bounds or Bounds(linger=10.0, silence=1000.0)
        self.server = self.new_server()
        self.gateway = RemoteDemand(self.clock, gateway="one", generation="1", beat=300.0)
        self.heard = Heard()
        self.gateway.listen(self.heard)
        self.link = Link(self.server, self.gateway)
        self.link.run()

    def new_server(self) -> DemandServer:
        return DemandServer(self.clock, self.demand, generation="a", bounds=self.bounds)

    def connect(self) -> None:
        self.link = Link(self.server, self.gateway)
        self.link.run()

    def restart_feed(self) -> None:
        """Another feed process, which knows nothing."""
        self.link.cut()
        self.demand = CountingDemand()
        self.server = self.new_server()

    def subscribe(self, *wants: Want, user: str = "alice") -> list[Granted | Denied]:
        answers: list[list[Granted | Denied]] = []
        self.gateway.subscribe(user, wants).addCallback(answers.append)
        self.link.run()
        return answers[0]
