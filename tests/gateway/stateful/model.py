"""What clients must be told: written down a second time, slowly and from the contract alone.

It is fed with what has happened at the gateway's borders (`World.log`): what was routed, what was asked and
granted, and every byte that was written to a client.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.gateway.stateful.peer import Closed, Message, Peer, Pong, TickSeen
from tests.gateway.stateful.rig import HIGH_WATER, KEYS, PATIENCE, THROTTLE_MS, WALL_MS, World
from tests.gateway.stateful.terms import EXCHANGES, MODES, Key, Line, Period, Published, Request, Seen, able
from tests.gateway.stateful.wires import Wire

__all__ = ["Client", "Model"]


@dataclass(eq=False)
class Client:
    """One connection as the model has it."""

    peer: Peer
    since: float
    user: str = ""
    throttle_ms: float = THROTTLE_MS
    asked: deque[Request] = field(default_factory=deque)
    pings: deque[int] = field(default_factory=deque)
    pongs: deque[bytes] = field(default_factory=deque)
    garbage: int = 0
    periods: dict[Key, Period] = field(default_factory=dict)
    #: The last tick it has had of a feed's instrument in a mode.
    highest: dict[tuple[str, Key], int] = field(default_factory=dict)
    orders: bool = False
    orders_owed: deque[str] = field(default_factory=deque)
    #: Bytes that were written since it had all, and whether they were so many that it may be conflated.
    backlog: int = 0
    choked: bool = False
    ticks: int = 0
    said_close: bool = False
    revoked: bool = False
    closed: bool = False
    wire: Wire = field(init=False)

    def ending(self, key: Key) -> bool:
        """Whether it has asked for an end of it already, without an answer yet."""
        return any(request.concerns(key) for request in self.asked)


class Model:
    """Judges what the log says. `check` is called when something has been done, `at_rest` when nothing more
    is to be done at present."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients: list[Client] = []
        self.published: dict[int, Published] = {}
        self.lines: dict[tuple[str, str], Line] = {}
        self.routed: dict[tuple[str, str], list[int]] = {}
        self.stopping = False
        self._exact = True
        self._now = self._dragged = 0.0

    def line(self, feed: str, symbol: str) -> Line:
        return self.lines.setdefault((feed, symbol), Line())

    def check(self) -> None:
        """Judge what has happened since the last time."""
        log, self.world.log = self.world.log, []
        for self._now, dragged, what, details in log:
            self._exact = self._exact and dragged == self._dragged
            self._dragged = dragged
            getattr(self, f"on_{what}")(*details)

    # The feeds and the bus.

    def on_asked(self, feed: str, symbol: str) -> None:
        line = self.line(feed, symbol)
        line.touch(self._now, 0)
        line.asked += 1

    def on_answered(self, feed: str, symbol: str) -> None:
        self.line(feed, symbol).asked -= 1

    def on_refused(self, feed: str, symbol: str) -> None:
        line = self.line(feed, symbol)
        line.asked -= 1
        if not line.asked and not line.holds:
            # It may be forgotten.
            line.touched = float("-inf")

    def on_granted(self, feed: str, symbol: str) -> None:
        self.line(feed, symbol).touch(self._now, 1)

    def on_released(self, feed: str, symbol: str) -> None:
        self.line(feed, symbol).touch(self._now, -1)

    def on_routed(self, price: Any) -> None:
        tick = self.published.get(price) if isinstance(price, int | float) else None
        if tick is None:
            return
        before = self.routed.setdefault((tick.feed, tick.symbol), [])
        assert not before or before[-1] < tick.number, "the bus changed the order"
        before.append(tick.number)
        line = self.line(tick.feed, tick.symbol)
        line.newest[tick.mode] = tick.number
        if line.remembered(self._now):
            line.last[tick.mode] = tick.number
        for client in self.clients:
            for (symbol, mode), period in client.periods.items():
                if (period.feed, symbol) == (tick.feed, tick.symbol) and mode <= tick.mode:
                    period.owed.append((tick.number, self._now))

    def on_order(self, update: dict[str, Any]) -> None:
        for client in self.clients:
            if client.orders and client.user == update["user_id"]:
                client.orders_owed.append(update["orderid"])

    def on_revoked(self, user: str) -> None:
        for client in self.clients:
            client.revoked |= client.user == user

    # What clients hear.

    def on_written(self, client: Client, data: bytes, unsent: int, paused_since: float | None) -> None:
        if unsent:
            client.backlog += len(data)
            client.choked |= client.backlog > HIGH_WATER
        for heard in client.peer.hear(data):
            assert not client.closed
            if isinstance(heard, TickSeen):
                self._tick(client, heard)
            elif isinstance(heard, Message):
                self._message(client, heard.body)
            elif isinstance(heard, Pong):
                assert client.pongs.popleft() == heard.payload
            elif isinstance(heard, Closed):
                client.closed = True
                self._closed(client, heard.code, paused_since)

    def _closed(self, client: Client, code: int, paused_since: float | None) -> None:
        late = not client.user and self._now - client.since >= 15
        stuck = paused_since is not None and self._now - paused_since >= PATIENCE
        allowed = {1000: client.said_close, 1001: self.stopping, 4401: client.revoked or late, 4408: stuck}
        assert allowed.get(code), f"closed with {code}"

    def _tick(self, client: Client, seen: TickSeen) -> None:
        key = seen.symbol, seen.mode
        period = client.periods.get(key)
        assert period is not None, f"{key} is not held"
        tick = self.published.get(seen.data["ltp"])
        assert tick is not None, "nobody has published that"
        assert (tick.feed, tick.symbol) == (period.feed, seen.symbol), "another feed's or instrument's tick"
        assert tick.mode >= seen.mode
        assert seen.exchange == EXCHANGES[seen.symbol]
        assert client.peer.format != "openalgo" or seen.broker == (tick.feed or "outside")
        self._compare(client, seen, tick.told(seen.mode, period.levels))
        number, had, owed = tick.number, period.had, period.owed
        assert number >= client.highest.get((tick.feed, key), 0), "an older tick after a newer one"
        client.highest[tick.feed, key] = number
        if seen.snapshot:
            assert not had, "a snapshot that is not the first"
            assert number == able(self.line(*self.of(period, key)).newest, key[1]), "an old snapshot"
        exact = self._exact and not client.choked
        if had:
            # The last known value may be what is about to be told to others, at the end of their window.
            again = period.interval and had[-1].number <= period.known
            assert number > had[-1].number or again, "the same tick again"
            spaced = self._now - had[-1].time >= period.interval - 1e-6
            held_up = not (exact and had[-1].exact)
            assert spaced or held_up, f"{self._now - had[-1].time} s after the last"
        lossy = period.interval or client.choked or client.ending(key)
        while owed and owed[0][0] <= number:
            skipped = owed.popleft()[0]
            assert lossy or skipped == number, f"it was not told {skipped}"
        had.append(Seen(number, self._now, exact))
        client.ticks += 1

    @staticmethod
    def of(period: Period, key: Key) -> tuple[str, str]:
        return period.feed, key[0]

    def _compare(self, client: Client, seen: TickSeen, expected: dict[str, Any]) -> None:
        data = seen.data
        if "timestamp" not in expected:
            # It was added.
            assert WALL_MS <= data["timestamp"] <= WALL_MS + self._now * 1000
            expected = expected | {"timestamp": data["timestamp"]}
        if client.peer.format == "binary":
            expected = {name: expected[name] for name in data if name in expected}
            if not isinstance(expected.get("depth"), dict):
                # A record has no room for a book of another form.
                data.pop("depth", None)
                expected.pop("depth", None)
        assert data == expected

    def _message(self, client: Client, body: dict[str, Any]) -> None:
        if body.get("type") == "order_update":
            assert client.orders_owed.popleft() == body["orderid"]
        elif body.get("type") == "pong":
            assert client.pings.popleft() == body["request_id"]
        elif body.get("code") == "INVALID_JSON":
            client.garbage -= 1
            assert client.garbage >= 0
        else:
            request = client.asked.popleft()
            assert body["request_id"] == request.id, "an answer out of its turn"
            self._answer(client, request, body)

    def _answer(self, client: Client, request: Request, body: dict[str, Any]) -> None:
        if request.action == "authenticate":
            good = request.key in KEYS and (not client.user or KEYS[request.key] == client.user)
            assert body["status"] == (
                "error" if not good else "success" if "type" in body else "authenticated"
            )
            if good:
                client.user = KEYS[request.key]
                if request.throttle_ms is not None:
                    client.throttle_ms = request.throttle_ms
        elif not client.user:
            assert body["code"] == "NOT_AUTHENTICATED"
        else:
            getattr(self, f"_{request.action}")(client, request, body)

    def _subscribe(self, client: Client, request: Request, body: dict[str, Any]) -> None:
        if client.peer.format == "flat":
            failed = body.get("failed", [])
            assert body["count"] == len(request.items) - len(failed)
            # What is not refused as a whole is refused for its symbol.
            good = [body["count"] > 0 and item[0] != "NOSUCH" for item in request.items]
            assert sum(good) == body["count"]
        else:
            entries = body["subscriptions"]
            good = [entry["status"] == "success" for entry in entries]
            for entry, (symbol, mode, levels) in zip(entries, request.items, strict=True):
                assert (entry["symbol"], entry["exchange"]) == (symbol, EXCHANGES[symbol])
                if entry["status"] == "success":
                    granted = self.world.feeds.levels(levels) if mode == 3 else entry["depth"]
                    assert (entry["mode"], entry["depth"]) == (MODES[mode], granted)
        for item, granted in zip(request.items, good, strict=True):
            if granted:
                self._hold(client, item, request.throttle_ms)

    def _hold(self, client: Client, item: tuple[str, int, int], throttle_ms: float | None) -> None:
        symbol, mode, levels = item
        feed = self.world.feeds.feed(client.user, symbol)
        interval = (client.throttle_ms if throttle_ms is None else throttle_ms) / 1000
        line = self.line(feed, symbol)
        most = self.world.feeds.levels(levels) if mode == 3 else 0
        period = Period(feed, most, interval, able(line.newest, mode) or 0)
        old = client.periods.get((symbol, mode))
        if old is not None and (old.feed, old.levels, old.interval) == (feed, period.levels, interval):
            return
        known = able(line.last, mode) if line.remembered(self._now) else None
        if known is not None:
            period.owed.append((known, self._now))
        client.periods[symbol, mode] = period

    def _unsubscribe(self, client: Client, request: Request, body: dict[str, Any]) -> None:
        ended = failed = 0
        for symbol, mode, _ in request.items:
            keys = [key for key in client.periods if key[0] == symbol and mode in (0, key[1])]
            ended += len(keys)
            failed += not keys
            for key in keys:
                del client.periods[key]
        if client.peer.format == "flat":
            assert (body["count"], len(body.get("failed", []))) == (ended, failed)
        else:
            assert (len(body["successful"]), len(body["failed"])) == (ended, failed)

    def _unsubscribe_all(self, client: Client, request: Request, body: dict[str, Any]) -> None:
        count = body["count"] if client.peer.format == "flat" else len(body["successful"])
        assert count == len(client.periods)
        client.periods.clear()

    def _subscriptions(self, client: Client, request: Request, body: dict[str, Any]) -> None:
        told = {(entry["symbol"], entry["mode"]): entry["depth"] for entry in body["subscriptions"]}
        assert told.keys() == {(symbol, MODES[mode]) for symbol, mode in client.periods}
        for (symbol, mode), period in client.periods.items():
            assert mode != 3 or told[symbol, MODES[mode]] == period.levels

    def _subscribe_orders(self, client: Client, request: Request, body: dict[str, Any]) -> None:
        client.orders = True

    def _unsubscribe_orders(self, client: Client, request: Request, body: dict[str, Any]) -> None:
        client.orders = False

    # When nothing is to be done at present.

    def at_rest(self) -> None:
        """Whoever can take it has had everything by now."""
        clock = self.world.clock
        self._exact = clock.drag == 0
        for client in self.clients:
            if client.closed or client.wire.disconnecting:
                continue
            if not client.wire.unsent:
                client.backlog, client.choked = 0, False
            paused = client.wire.paused_since
            assert paused is None or clock.rightNow - paused <= PATIENCE + clock.dragged
            assert not client.revoked
            assert not client.orders_owed
            assert not client.pings
            assert not client.pongs
            assert not client.garbage
            assert client.peer.whole
            if client.choked:
                continue
            for key, period in client.periods.items():
                if not period.owed or client.ending(key):
                    continue
                number, since = period.owed[0]
                # The first may have to wait for the window of others as well.
                patience = 2 * period.interval + 0.002 + clock.dragged if period.interval else 0.0
                assert clock.rightNow - since <= patience, f"{key} was not told {number}"
