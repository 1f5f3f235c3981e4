"""The gateway without sockets: accounts and feeds made by hand, a bus that is read a turn at a time."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import txaio
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from openalgo_ws.bus.demand import UNTAGGED, Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.bus.intake import Intake
from openalgo_ws.gateway.context import Authenticated, GatewaySettings
from openalgo_ws.gateway.limits import Limits
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.tick import Mode, Wish
from tests.gateway.stateful.wires import PlainWire, Reactor, Wire

__all__ = ["HIGH_WATER", "KEYS", "LINGER", "PATIENCE", "THROTTLE_MS", "WALL_MS", "Bus", "Feeds", "World"]

KEYS = {"alice-key": "alice", "bob-key": "bob"}
HIGH_WATER, PATIENCE, LINGER, THROTTLE_MS = 2000, 30.0, 300.0, 50.0
WALL_MS = 1_700_000_000_000

Messages = list[tuple[bytes, bytes]]


class Accounts:
    """Knows who has which key; thinks for as long as it is ``slow``."""

    def __init__(self) -> None:
        self.slow = False
        self.thinking: deque[Deferred[None]] = deque()

    async def authenticate(self, api_key: str) -> Authenticated | None:
        if self.slow:
            thought: Deferred[None] = Deferred()
            self.thinking.append(thought)
            await thought
        user = KEYS.get(api_key)
        return None if user is None else Authenticated(user, "none")


class Feeds:
    """The demand. Each user has a feed, one is shared, and some instruments come from untagged publishers.

    Answers come at once or, while it is ``slow``, when `answer` is called. What is held is counted, and what
    concerns ticks told to ``heard``: that something is asked for, is granted and is given back.
    """

    def __init__(self, heard: Callable[..., None]) -> None:
        self.slow = False
        self.remote = True
        self.held: Counter[Hold] = Counter()
        self.orders: set[str] = set()
        #: What the platform's publishers serve, by user.
        self.outside = {user: {"U", "X_1"} for user in KEYS.values()}
        #: User, what is wanted, what of it is expected under the tag that is known, and the answer.
        self._waiting: deque[tuple[str, Sequence[Want], list[bool], Deferred[Any]]] = deque()
        self._heard = heard

    def feed(self, user: str, symbol: str) -> str:
        """Under which tag an instrument is granted."""
        if symbol in self.outside[user]:
            return UNTAGGED
        return "toy.shared" if symbol == "S" else f"toy.{user}"

    @staticmethod
    def levels(asked: int) -> int:
        """How many levels are granted."""
        return 20 if asked >= 20 else min(asked, 5)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        answer: Deferred[list[Granted | Denied]] = Deferred()
        expected = [self.feed_of(user) == self.feed(user, want.symbol) for want in wants]
        self._waiting.append((user, list(wants), expected, answer))
        for want, known in zip(wants, expected, strict=True):
            if known:
                self._heard("asked", self.feed(user, want.symbol), want.symbol)
        if not self.slow:
            self.answer(last=True)
        return answer

    def answer(self, *, refuse: bool = False, last: bool = False) -> None:
        """Answer who has waited longest, or who has just come."""
        user, wants, expected, answer = self._waiting.pop() if last else self._waiting.popleft()
        answers = [self._answer(user, want, refuse) for want in wants]
        for want, found, known in zip(wants, answers, expected, strict=True):
            if known:
                what = "refused" if isinstance(found, Denied) else "answered"
                self._heard(what, self.feed(user, want.symbol), want.symbol)
        answer.callback(answers)

    def _answer(self, user: str, want: Want, refuse: bool) -> Granted | Denied:
        if refuse or want.symbol == "NOSUCH":
            return Denied("SYMBOL_NOT_FOUND", "No such symbol", "none")
        wish = want.wish
        if wish.mode is Mode.DEPTH:
            wish = Wish(Mode.DEPTH, self.levels(wish.depth))
        feed = self.feed(user, want.symbol)
        self.held[Hold(feed, want.symbol, want.exchange, wish)] += 1
        self._heard("granted", feed, want.symbol)
        return Granted(feed, feed or "outside", wish, pending=want.symbol == "S")

    def release(self, holds: Sequence[Hold]) -> None:
        for hold in holds:
            assert self.held[hold] > 0, hold
            self.held[hold] -= 1
            self._heard("released", hold.feed, hold.symbol)

    def status(self, user: str) -> Deferred[Status]:
        return succeed(Status("toy", FeedState.CONNECTED))

    def watch_orders(self, user: str, wanted: bool) -> None:
        (self.orders.add if wanted else self.orders.remove)(user)

    def feed_of(self, user: str) -> str | None:
        return f"toy.{user}" if self.remote else None

    def supported_brokers(self) -> list[str]:
        return ["toy"]

    def listen(self, listener: Any) -> None:
        """Nothing changes by itself."""


class Interests:
    """Of which instruments the gateway keeps anything, as it says itself."""

    def __init__(self) -> None:
        self.wanted: set[tuple[str, str, str]] = set()

    def want(self, feed: str, symbol: str, exchange: str) -> None:
        assert (feed, symbol, exchange) not in self.wanted
        self.wanted.add((feed, symbol, exchange))

    def unwant(self, feed: str, symbol: str, exchange: str) -> None:
        self.wanted.remove((feed, symbol, exchange))


class Bus:
    """What publishers have sent and the gateway has still to read. While it is ``held`` the gateway is busy
    with the last batch."""

    def __init__(self, clock: Reactor, receive: Callable[[Messages], Deferred[None] | None]) -> None:
        self.held = False
        self._receive = receive
        self._clock = clock
        self._unread: deque[tuple[bytes, bytes]] = deque()
        self._turn: IDelayedCall | None = None
        self._busy: list[Deferred[None]] = []
        self.intake = Intake(self._take, self._soon, batch=8, most=16, mark=16, limit=12)

    def publish(self, messages: Messages) -> None:
        self._unread += messages
        self._soon()

    def let_go(self) -> None:
        """The gateway is done with the last batch."""
        self.held = False
        busy, self._busy = self._busy, []
        for done in busy:
            done.callback(None)

    def waiting(self) -> int:
        return len(self._unread) + self.intake.backlog()

    def _take(self, messages: Messages) -> Deferred[None] | None:
        done = self._receive(messages)
        if not self.held:
            return done
        busy: Deferred[None] = Deferred()
        self._busy.append(busy)
        return busy if done is None else done.addCallback(lambda _: busy)

    def _soon(self) -> None:
        if self._turn is None:
            self._turn = self._clock.callLater(0, self.read)

    def read(self) -> None:
        """A turn of the bus, now: what comes by a socket may be read before timers that are due."""
        if self._turn is not None and self._turn.active():
            self._turn.cancel()
        self._turn = None
        size = min(self.intake.size, len(self._unread))
        messages = [self._unread.popleft() for _ in range(size)]
        if self.intake.take(messages, bool(self._unread)):
            self._soon()


class World:
    """Everything together. ``log`` holds what has happened at the gateway's borders, in order: when
    (and how long the clock had been looked at until then), a name and what belongs to it. It is judged when
    the gateway has done its work."""

    def __init__(self) -> None:
        self.clock = Reactor()
        self._loop = txaio.config.loop
        txaio.config.loop = self.clock
        self.log: list[tuple[float, float, str, tuple[Any, ...]]] = []
        self.accounts = Accounts()
        self.feeds = Feeds(self.heard)
        self.interests = Interests()
        self.gateway = Gateway(
            reactor=self.clock,
            endpoints=[],
            demand=self.feeds,
            authenticator=self.accounts,
            settings=GatewaySettings(
                throttle_ms=THROTTLE_MS, slow_patience=PATIENCE, high_water=HIGH_WATER, ping_interval=0
            ),
            limits=Limits(
                requests_per_second=1e6,
                request_burst=10**6,
                pending_requests=10**6,
                failed_authentications=10**6,
            ),
            wall_ms=lambda: WALL_MS + int(self.clock.rightNow * 1000),
            last_values=LINGER,
        )
        self.gateway.router.index.interest = self.interests
        self.gateway.startService()
        self.bus = Bus(self.clock, self._receive)

    def heard(self, what: str, *details: Any) -> None:
        self.log.append((self.clock.rightNow, self.clock.dragged, what, details))

    def dial(self, client: Any, *, plain: bool) -> Wire:
        """A connection of a client, which the log's entries of what is written to it name."""
        protocol = self.gateway.factory.buildProtocol(None)
        wire: Wire

        def told(data: bytes) -> None:
            self.heard("written", client, data, wire.unsent, wire.paused_since)

        wire = (PlainWire if plain else Wire)(self.clock, protocol, told)
        return wire

    def _receive(self, messages: Messages) -> Deferred[None] | None:
        for topic, payload in messages:
            if topic.startswith(b"\x00T"):
                for record in msgspec.msgpack.decode(payload):
                    self.heard("routed", json.loads(record[-1])["ltp"])
            elif topic.endswith(b"_orders"):
                self.heard("order", json.loads(payload))
            else:
                self.heard("routed", _price(payload))
        return self.gateway.receive(messages)

    def stop(self) -> None:
        txaio.config.loop = self._loop


def _price(payload: bytes) -> Any:
    """What a payload says that the price is; None if it is no JSON object that tells."""
    try:
        found = json.loads(payload)
    except ValueError:
        return None
    return found.get("ltp") if isinstance(found, dict) else None
