"""A client's subscriptions: asked of the feeds, put into the router, told to the client."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from openalgo_ws.bus.demand import Denied, Granted, Hold, Want
from openalgo_ws.gateway.channel import ChannelKey
from openalgo_ws.gateway.formats import BINARY
from openalgo_ws.gateway.holdings import Held
from openalgo_ws.gateway.line import Line
from openalgo_ws.gateway.replies import error, overall
from openalgo_ws.gateway.requests import Item, ItemError, Simple, Subscribe, Unsubscribe
from openalgo_ws.gateway.router import Opening
from openalgo_ws.tick import Mode

if TYPE_CHECKING:
    from openalgo_ws.gateway.session import Session

__all__ = ["Subscriptions"]

Entry = dict[str, Any]
#: What is asked for, and where its answer belongs.
_Asked = tuple[int, Want]
#: What was granted, and its line, which is kept until the client holds it.
_Grant = tuple[Granted, Line]

#: Wants that are asked for, or holds that are given back, in one step.
_AT_ONCE = 100


class Subscriptions:
    """Carries out what one session asks about subscriptions."""

    __slots__ = ("_about", "_early", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        #: What the request that is being carried out is about: (symbol, exchange).
        self._about: set[tuple[str, str]] = set()
        #: What the broker has turned down before the client was told that it was granted.
        self._early: dict[tuple[str, str, str], Denied] = {}

    async def subscribe(self, request: Subscribe) -> None:
        """Ask the feeds for every item; one entry each, in order.

        It is divided among turns, but for the end: the client holds all at once, and the reply goes before
        the first tick.
        """
        session = self._session
        turns = session.context.router.turns
        answers: list[Entry | None] = [None] * len(request.items)
        asked: list[_Asked] = []
        granted: deque[_Grant] = deque()
        self._about = {(item.symbol, item.exchange) for item in request.items}
        try:
            await turns.run(self._sort_out(request.items, answers, asked))
            await self._ask(asked, answers, granted)
            await turns.run(self._hold_all(request, answers, granted))
        finally:
            self._about = set()
            if granted:
                # The client is gone.
                turns.begin(self._give_back(granted))
        early, self._early = self._early, {}
        for (feed, symbol, exchange), denied in early.items():
            self.refused(feed, symbol, exchange, denied)

    def _sort_out(
        self, items: Sequence[Item | ItemError], answers: list[Entry | None], asked: list[_Asked]
    ) -> Iterator[None]:
        """Find what can be asked for; the rest is answered."""
        holdings = self._session.holdings
        cap = self._session.context.limits.subscriptions
        room = cap - len(holdings)
        new: set[tuple[str, str, Mode]] = set()
        for index, item in enumerate(items):
            yield
            if isinstance(item, ItemError):
                answers[index] = self._refusal(item.symbol, item.exchange, item.code, item.message)
                continue
            assert item.wish is not None
            key = (item.symbol, item.exchange, item.wish.mode)
            if holdings.get(*key) is None and key not in new:
                if len(new) >= room:
                    message = f"A connection may hold {cap} subscriptions"
                    answers[index] = self._refusal(item.symbol, item.exchange, "LIMIT_EXCEEDED", message)
                    continue
                new.add(key)
            asked.append((index, Want(item.symbol, item.exchange, item.wish)))

    async def _ask(
        self, asked: Sequence[_Asked], answers: list[Entry | None], granted: deque[_Grant]
    ) -> None:
        """Ask the feeds, a portion at a time.

        The first tick of what was granted early comes before the rest is granted, and where the feeds are
        in another process perhaps before the answer: the router keeps it.
        Nothing more is asked for a client that is gone.
        """
        session = self._session
        user = session.user
        assert user is not None
        context = session.context
        expected = context.demand.feed_of(user)
        asking: list[Deferred[None]] = []

        def heard(found: Sequence[Granted | Denied], portion: Sequence[_Asked]) -> None:
            for (index, want), answer in zip(portion, found, strict=True):
                if isinstance(answer, Denied):
                    answers[index] = self._refusal(
                        want.symbol, want.exchange, answer.code, answer.message, answer.broker
                    )
                    if expected is not None:
                        context.router.index.expect_no_more(expected, want.symbol, want.exchange)
                else:
                    line = context.router.index.awaited(answer.feed, want.symbol, want.exchange)
                    granted.append((answer, line))
                    answers[index] = self._success(answer, line)

        def ask(portion: Sequence[_Asked]) -> Iterator[None]:
            wants = [want for _, want in portion]
            if expected is not None:
                for want in wants:
                    context.router.index.expect(expected, want.symbol, want.exchange)
            asking.append(context.demand.subscribe(user, wants).addCallback(heard, portion))
            yield

        for start in range(0, len(asked), _AT_ONCE):
            await context.router.turns.run(ask(asked[start : start + _AT_ONCE]))
            await asking.pop()
            if session.closed:
                break

    def _hold_all(
        self, request: Subscribe, answers: Sequence[Entry | None], granted: deque[_Grant]
    ) -> Iterator[None]:
        """Hold what was granted, and reply."""
        session = self._session
        router = session.context.router
        interval = self._interval(request.throttle_ms)
        openings: list[Opening] = []
        held: list[Held] = []
        for answer, line in granted:
            if session.closed:
                return
            key = self._key(answer, interval)
            opening = router.prepare(line, key)
            openings.append(opening)
            held.append(
                Held(_hold(answer, line), opening[0], key.broker, answer.price_scale, answer.qty_scale)
            )
            yield
        if session.closed:
            return
        router.begin(session.writer, openings)
        replaced = [(session.holdings.put(one), one) for one in held]
        lines = [line for _, line in granted]
        granted.clear()
        self._reply(request, [answer for answer in answers if answer is not None])
        router.delivery.flush_client(session.writer)
        for old, new in replaced:
            if old is not None:
                if old.channel is not new.channel and not session.closed:
                    router.unsubscribe(session.writer, old.channel)
                session.context.demand.release([old.hold])
        yield
        for line in lines:
            router.index.await_no_more(line)
            yield

    def _give_back(self, granted: deque[_Grant]) -> Iterator[None]:
        context = self._session.context
        while granted:
            portion = [granted.popleft() for _ in range(min(_AT_ONCE, len(granted)))]
            for _, line in portion:
                context.router.index.await_no_more(line)
            context.demand.release([_hold(*grant) for grant in portion])
            yield

    async def unsubscribe(self, request: Unsubscribe) -> None:
        """Give items back."""
        successful: list[Entry] = []
        failed: list[Entry] = []

        def taken() -> Iterator[Held | None]:
            for item in request.items:
                yield None
                if isinstance(item, ItemError):
                    failed.append(self._refusal(item.symbol, item.exchange, item.code, item.message))
                    continue
                mode = item.wish.mode if item.wish is not None else None
                found = self._session.holdings.take(item.symbol, item.exchange, mode)
                if not found:
                    failed.append(
                        self._refusal(item.symbol, item.exchange, "INVALID_PARAMETERS", "Not subscribed")
                    )
                yield from found
                successful.extend(map(_ended, found))

        await self._session.context.router.turns.run(self._release(taken()))
        self._unsubscribed(request.request_id, successful, failed)

    async def unsubscribe_all(self, request: Simple) -> None:
        """Give everything back."""
        taken = self._session.holdings.take_all()
        await self._session.context.router.turns.run(self._release(taken))
        self._unsubscribed(request.request_id, [_ended(held) for held in taken], [])

    async def list(self, request: Simple) -> None:
        """Tell what is held."""
        entries: list[Entry] = []

        def steps() -> Iterator[None]:
            for held in self._session.holdings:
                entries.append(
                    {
                        "symbol": held.hold.symbol,
                        "exchange": held.hold.exchange,
                        "mode": held.hold.wish.mode.title,
                        "depth": held.hold.wish.depth,
                        "broker": held.broker,
                    }
                )
                yield

        await self._session.context.router.turns.run(steps())
        reply = {"type": "subscriptions", "status": "success", "subscriptions": entries}
        self._session.send(reply, request.request_id)

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        """The broker turned a granted subscription down: tell the client, if it holds it."""
        modes = (self._session.holdings.get(symbol, exchange, mode) for mode in Mode)
        if not any(held is not None and held.hold.feed == feed for held in modes):
            if (symbol, exchange) in self._about:
                self._early[feed, symbol, exchange] = denied
            return
        more = {"symbol": symbol, "exchange": exchange, "broker": denied.broker}
        self._session.send(error(denied.code, denied.message, **more))

    def release_all(self) -> None:
        """The client is gone. (The router forgets it by itself.)"""
        session = self._session
        session.context.router.turns.begin(self._release(session.holdings.take_all()))

    def _key(self, granted: Granted, interval: float) -> ChannelKey:
        session = self._session
        return ChannelKey(
            granted.wish.mode,
            granted.wish.depth if granted.wish.mode is Mode.DEPTH else 0,
            session.format,
            granted.broker if granted.broker is not None else session.broker,
            interval,
            session.deflate,
            *((granted.price_scale, granted.qty_scale) if session.format == BINARY else ()),
        )

    def _release(self, taken: Iterable[Held | None]) -> Iterator[None]:
        """Give back what was taken out of the holdings; None is a pause."""
        session = self._session
        holds: list[Hold] = []
        for held in taken:
            if held is not None:
                if not session.closed:
                    session.context.router.unsubscribe(session.writer, held.channel)
                holds.append(held.hold)
                if len(holds) == _AT_ONCE:
                    session.context.demand.release(holds)
                    holds = []
            yield
        if holds:
            session.context.demand.release(holds)

    def _interval(self, asked_ms: float | None) -> float:
        """The throttle in seconds: what was asked (or is the default), down to the server's floor."""
        session = self._session
        wanted = session.throttle_ms if asked_ms is None else asked_ms
        return max(wanted, session.context.settings.throttle_floor_ms) / 1000

    def _success(self, granted: Granted, line: Line) -> Entry:
        entry: Entry = {
            "symbol": line.symbol,
            "exchange": line.exchange,
            "status": "success",
            "mode": granted.wish.mode.title,
            "depth": granted.wish.depth,
            "broker": granted.broker if granted.broker is not None else self._session.broker,
        }
        if granted.pending:
            entry["pending"] = True
        if self._session.format == BINARY:
            entry["id"] = line.id
            entry["price_scale"] = granted.price_scale
            entry["qty_scale"] = granted.qty_scale
        return entry

    def _refusal(
        self, symbol: str, exchange: str, code: str, message: str, broker: str | None = None
    ) -> Entry:
        return {
            "symbol": symbol,
            "exchange": exchange,
            "status": "error",
            "code": code,
            "message": message,
            "broker": broker if broker is not None else self._session.broker,
        }

    def _reply(self, request: Subscribe, entries: Sequence[Entry]) -> None:
        failed = sum(entry["status"] == "error" for entry in entries)
        self._session.context.tally.subscribes.update(map(_outcome, entries))
        reply = {
            "type": "subscribe",
            "status": overall(len(entries) - failed, failed),
            "subscriptions": entries,
            "message": "Subscription processing complete",
            "broker": self._session.broker,
        }
        self._session.send(reply, request.request_id)

    def _unsubscribed(
        self, request_id: bytes | None, successful: Sequence[Entry], failed: Sequence[Entry]
    ) -> None:
        reply = {
            "type": "unsubscribe",
            "status": overall(len(successful), len(failed)),
            "message": "Unsubscription processing complete",
            "successful": successful,
            "failed": failed,
            "broker": self._session.broker,
        }
        self._session.send(reply, request_id)


def _outcome(entry: Entry) -> str:
    if entry["status"] == "error":
        return str(entry["code"])
    return "pending" if "pending" in entry else "success"


def _hold(granted: Granted, line: Line) -> Hold:
    return Hold(granted.feed, line.symbol, line.exchange, granted.wish)


def _ended(held: Held) -> Entry:
    return {
        "symbol": held.hold.symbol,
        "exchange": held.hold.exchange,
        "mode": held.hold.wish.mode.title,
        "status": "success",
        "broker": held.broker,
    }
