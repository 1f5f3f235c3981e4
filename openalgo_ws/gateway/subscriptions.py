"""A client's subscriptions: asked of the feeds, put into the router, told to the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.task import deferLater

from openalgo_ws.bus.demand import Denied, Granted, Hold, Want
from openalgo_ws.gateway.channel import ChannelKey
from openalgo_ws.gateway.formats import BINARY
from openalgo_ws.gateway.holdings import Held
from openalgo_ws.gateway.replies import error, overall
from openalgo_ws.gateway.requests import Item, ItemError, Simple, Subscribe, Unsubscribe
from openalgo_ws.tick import Mode

if TYPE_CHECKING:
    from openalgo_ws.gateway.session import Session

__all__ = ["Subscriptions"]

Entry = dict[str, Any]

#: Wants that are asked for in one turn of the reactor: a few milliseconds' work.
_AT_ONCE = 100


class Subscriptions:
    """Carries out what one session asks about subscriptions."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def subscribe(self, request: Subscribe) -> None:
        """Ask the feeds for every item; one entry each, in order."""
        session = self._session
        user = session.user
        assert user is not None
        answers: list[Entry | None] = [None] * len(request.items)
        asked: list[tuple[int, Item]] = []
        new: set[tuple[str, str, Mode]] = set()
        room = session.context.limits.subscriptions - len(session.holdings)
        for index, item in enumerate(request.items):
            if isinstance(item, ItemError):
                answers[index] = self._refusal(item.symbol, item.exchange, item.code, item.message)
                continue
            assert item.wish is not None
            key = (item.symbol, item.exchange, item.wish.mode)
            if session.holdings.get(*key) is None and key not in new:
                if len(new) >= room:
                    cap = session.context.limits.subscriptions
                    message = f"A connection may hold {cap} subscriptions"
                    answers[index] = self._refusal(item.symbol, item.exchange, "LIMIT_EXCEEDED", message)
                    continue
                new.add(key)
            asked.append((index, item))
        wants = [Want(item.symbol, item.exchange, item.wish) for _, item in asked if item.wish]
        grants = await self._ask(user, wants)
        if session.closed:
            session.context.demand.release(
                [
                    _hold(item, granted)
                    for (_, item), granted in zip(asked, grants, strict=False)
                    if isinstance(granted, Granted)
                ]
            )
            return
        interval = self._interval(request.throttle_ms)
        for (index, item), granted in zip(asked, grants, strict=True):
            if isinstance(granted, Denied):
                answers[index] = self._refusal(
                    item.symbol, item.exchange, granted.code, granted.message, granted.broker
                )
            else:
                held = self._hold(item, granted, interval)
                answers[index] = self._success(item, granted, held)
        self._reply(request, [answer for answer in answers if answer is not None])
        session.context.router.flush_client(session.writer)

    async def _ask(self, user: str, wants: Sequence[Want]) -> list[Granted | Denied]:
        """Ask the feeds, a portion in each turn of the reactor.

        The first tick of what was granted early comes before the rest is granted, and where the feeds are
        in another process perhaps before the answer: the router keeps it.
        Nothing more is asked for a client that is gone.
        """
        context = self._session.context
        expected = context.demand.feed_of(user)
        grants: list[Granted | Denied] = []
        for start in range(0, len(wants), _AT_ONCE):
            if start:
                await deferLater(context.reactor, 0)
            if self._session.closed:
                break
            portion = wants[start : start + _AT_ONCE]
            if expected is not None:
                for want in portion:
                    context.router.expect(expected, want.symbol, want.exchange)
            answers = await context.demand.subscribe(user, portion)
            for want, answer in zip(portion, answers, strict=True):
                if isinstance(answer, Granted):
                    context.router.expect(answer.feed, want.symbol, want.exchange)
                elif expected is not None:
                    context.router.expect_no_more(expected, want.symbol, want.exchange)
            grants += answers
        return grants

    def unsubscribe(self, request: Unsubscribe) -> None:
        """Give items back."""
        successful: list[Entry] = []
        failed: list[Entry] = []
        released: list[Held] = []
        for item in request.items:
            if isinstance(item, ItemError):
                failed.append(self._refusal(item.symbol, item.exchange, item.code, item.message))
                continue
            mode = item.wish.mode if item.wish is not None else None
            taken = self._session.holdings.take(item.symbol, item.exchange, mode)
            if not taken:
                failed.append(
                    self._refusal(item.symbol, item.exchange, "INVALID_PARAMETERS", "Not subscribed")
                )
            released += taken
            successful += [_ended(held) for held in taken]
        self._release(released)
        self._unsubscribed(request.request_id, successful, failed)

    def unsubscribe_all(self, request: Simple) -> None:
        """Give everything back."""
        taken = self._session.holdings.take_all()
        self._release(taken)
        self._unsubscribed(request.request_id, [_ended(held) for held in taken], [])

    def list(self, request: Simple) -> None:
        """Tell what is held."""
        entries = [
            {
                "symbol": held.hold.symbol,
                "exchange": held.hold.exchange,
                "mode": held.hold.wish.mode.title,
                "depth": held.hold.wish.depth,
                "broker": held.broker,
            }
            for held in self._session.holdings
        ]
        reply = {"type": "subscriptions", "status": "success", "subscriptions": entries}
        self._session.send(reply, request.request_id)

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        """The broker turned a granted subscription down: tell the client, if it holds it."""
        modes = (self._session.holdings.get(symbol, exchange, mode) for mode in Mode)
        if not any(held is not None and held.hold.feed == feed for held in modes):
            return
        more = {"symbol": symbol, "exchange": exchange, "broker": denied.broker}
        self._session.send(error(denied.code, denied.message, **more))

    def release_all(self) -> None:
        """The client is gone. (The router forgets it by itself.)"""
        session = self._session
        session.context.demand.release([held.hold for held in session.holdings.take_all()])

    def _hold(self, item: Item, granted: Granted, interval: float) -> Held:
        session = self._session
        router = session.context.router
        key = ChannelKey(
            granted.wish.mode,
            granted.wish.depth if granted.wish.mode is Mode.DEPTH else 0,
            session.format,
            granted.broker if granted.broker is not None else session.broker,
            interval,
            session.deflate,
            *((granted.price_scale, granted.qty_scale) if session.format == BINARY else ()),
        )
        channel = router.subscribe(session.writer, granted.feed, item.symbol, item.exchange, key)
        hold = _hold(item, granted)
        held = Held(hold, channel, key.broker, granted.price_scale, granted.qty_scale)
        old = session.holdings.put(held)
        if old is not None:
            if old.channel is not channel:
                router.unsubscribe(session.writer, old.channel)
            session.context.demand.release([old.hold])
        return held

    def _release(self, taken: Sequence[Held]) -> None:
        session = self._session
        for held in taken:
            session.context.router.unsubscribe(session.writer, held.channel)
        if taken:
            session.context.demand.release([held.hold for held in taken])

    def _interval(self, asked_ms: float | None) -> float:
        """The throttle in seconds: what was asked (or is the default), down to the server's floor."""
        session = self._session
        wanted = session.throttle_ms if asked_ms is None else asked_ms
        return max(wanted, session.context.settings.throttle_floor_ms) / 1000

    def _success(self, item: Item, granted: Granted, held: Held) -> Entry:
        entry: Entry = {
            "symbol": item.symbol,
            "exchange": item.exchange,
            "status": "success",
            "mode": granted.wish.mode.title,
            "depth": granted.wish.depth,
            "broker": granted.broker if granted.broker is not None else self._session.broker,
        }
        if granted.pending:
            entry["pending"] = True
        if self._session.format == BINARY:
            entry["id"] = held.channel.form.line.id
            entry["price_scale"] = held.price_scale
            entry["qty_scale"] = held.qty_scale
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


def _hold(item: Item, granted: Granted) -> Hold:
    return Hold(granted.feed, item.symbol, item.exchange, granted.wish)


def _ended(held: Held) -> Entry:
    return {
        "symbol": held.hold.symbol,
        "exchange": held.hold.exchange,
        "mode": held.hold.wish.mode.title,
        "status": "success",
        "broker": held.broker,
    }
