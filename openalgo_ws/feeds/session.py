"""Session: one account at one broker, with the connections it has and how they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from openalgo_ws.adapter import Adapter, Environment, OrderUpdate, Rejected
from openalgo_ws.bus.demand import Denied, FeedState
from openalgo_ws.bus.records import TickSink
from openalgo_ws.feeds.connection import ConnectionState
from openalgo_ws.feeds.holdings import Holdings
from openalgo_ws.feeds.interfaces import FeedSettings, Index, Key, MakeConnection
from openalgo_ws.feeds.join import Joiner, Mark, Record
from openalgo_ws.feeds.orders import OrderStream
from openalgo_ws.feeds.pool import Pool
from openalgo_ws.feeds.slot import Slot
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.tick import Instrument, Tick, Wish

__all__ = ["WORST_FIRST", "Session", "SessionListener"]

#: A feed is as its worst connection.
WORST_FIRST = (
    FeedState.AUTH_FAILED,
    FeedState.DISCONNECTED,
    FeedState.STALE,
    FeedState.RECONNECTING,
    FeedState.CONNECTING,
    FeedState.CONNECTED,
)

_STATES = {
    ConnectionState.LIVE: FeedState.CONNECTED,
    ConnectionState.BACKING_OFF: FeedState.RECONNECTING,
    ConnectionState.AUTH_FAILED: FeedState.AUTH_FAILED,
    ConnectionState.FAILED: FeedState.DISCONNECTED,
    ConnectionState.STOPPED: FeedState.DISCONNECTED,
}


class SessionListener(Protocol):
    """Who hears of a session."""

    def session_changed(self, session: Session) -> None:
        """Its state or message is another one. Never called from within a call to the session."""

    def lost(self, session: Session, tag: str, key: Key, denied: Denied) -> None:
        """An instrument that ``tag`` held is held here no more: the broker refused it, or the master
        has it no longer."""

    def arrived(self, session: Session, tag: str, key: Key) -> None:
        """The tick that ``tag`` waited for (`Session.expect`) is here and about to be published."""


class Session:
    """What is held goes to `Holdings`, what comes back to the `Joiner`; in between are the pools,
    one for each of the broker's feeds that is needed.

    ``make`` makes connections of this account; ``index`` is its broker's instrument master;
    ``credentials`` are those the account has at present (connections read them for themselves).
    """

    _log = Logger()

    def __init__(
        self,
        *,
        account: str,
        adapter: Adapter,
        index: Index,
        make: MakeConnection,
        sink: TickSink,
        clock: IReactorTime,
        environment: Environment,
        settings: FeedSettings,
        listener: SessionListener,
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        self.account = account
        self.broker = adapter.name
        self.adapter = adapter
        self._make = make
        self._clock = clock
        self._settings = settings
        self._listener = listener
        self._numbers = count()
        self._pools: dict[str, Pool] = {}
        self._joiner = Joiner(sink, environment.now, self._arrived)
        self._orders = OrderStream(sink, self.broker, account)
        self._holdings = Holdings(
            adapter=adapter,
            index=index,
            joiner=self._joiner,
            ask=self._ask,
            lost=self._lost,
            clock=clock,
            overlap=settings.overlap,
        )
        self._warm: set[str] = set()
        self._watched = False
        self._timers = Timers(clock)
        self._note = ""
        self._reported: tuple[FeedState, str] | None = None
        self._stopped = False
        self._environment = environment
        self._credentials = credentials
        #: Since when the account has had its present credentials, as far as is known (epoch seconds).
        self.credentials_since = environment.now()

    # Holding

    def place(
        self, tag: str, wants: Sequence[tuple[Key, Wish]], *, aloud: bool = True
    ) -> list[Denied | None]:
        """Hold each (a key occurs once) under the tag; None for those that are held from now on.

        What is denied stays as it was. ``aloud``: published under the tag at once, else only after
        `speak`.
        """
        answers = self._holdings.place(tag, wants)
        self._changed()
        return answers

    def drop(self, tag: str, keys: Iterable[Key]) -> None:
        """Hold these no more under the tag, nor publish them."""
        self._holdings.drop(tag, keys)
        self._changed()

    def speak(self, tag: str, key: Key, after: Mark) -> None:
        """Publish a held instrument under the tag from now on, but nothing older than ``after``."""
        self._holdings.speak(tag, key, after)

    def mute(self, tag: str, key: Key) -> None:
        """Publish a held instrument under the tag no more."""
        self._holdings.mute(tag, key)

    def expect(self, tag: str, keys: Iterable[Key]) -> None:
        """Tell the listener when the next tick of each comes."""
        self._holdings.expect(tag, keys)

    def mark(self, key: Key) -> Mark:
        """How far a held instrument has got."""
        return self._holdings.mark(key)

    def instrument(self, key: Key) -> Instrument:
        """A held instrument."""
        return self._holdings.instrument(key)

    def pending(self, key: Key) -> bool:
        """Whether some connection that serves a held instrument is not up."""
        instrument = self._holdings.instrument(key)
        return not all(self._pools[feed].live(instrument) for feed in self._holdings.feeds(key))

    def remap(self, index: Index) -> None:
        """There is a new instrument master: follow changed tokens, report symbols that are gone."""
        self._holdings.remap(index)
        self._changed()

    def _ask(self, feed: str, wants: Sequence[tuple[Instrument, Wish | None]]) -> list[Instrument]:
        return self._pool(feed).want(wants)

    def _lost(self, tag: str, key: Key, denied: Denied) -> None:
        self._listener.lost(self, tag, key, denied)

    def _arrived(self, record: Record) -> None:
        instrument = record.instrument
        waiting, record.waiting = record.waiting, frozenset()
        for tag in waiting:
            self._listener.arrived(self, tag, (instrument.symbol, instrument.exchange))

    # The account as a whole

    def keep_warm(self, tag: str, warm: bool) -> None:
        """Keep a market connection open for a tag, whether it holds something or not."""
        (self._warm.add if warm else self._warm.discard)(tag)
        self._set_warm()

    def watch_orders(self, wanted: bool) -> None:
        """Keep the connection open (or don't) on which order updates come."""
        self._watched = wanted
        self._set_warm()

    def _set_warm(self) -> None:
        feeds = self.adapter.feeds
        warm = set()
        if self._warm:
            warm.update([feed.name for feed in feeds if feed.market][:1])
        if self._watched:
            # A stream for orders alone, where there is one; else the market feed that carries them.
            orders = sorted((feed for feed in feeds if feed.orders), key=lambda feed: feed.market)
            warm.update(feed.name for feed in orders[:1])
        for feed in feeds:
            if feed.name in warm or feed.name in self._pools:
                self._pool(feed.name).keep_warm(feed.name in warm)
        self._changed()

    def renew(self, credentials: Mapping[str, str] | None) -> None:
        """The account's credentials are these now (None: none any more): dial with them."""
        if credentials != self._credentials:
            self._credentials = credentials
            self.credentials_since = self._environment.now()
        for pool in list(self._pools.values()):
            pool.renew(credentials)

    def pools(self) -> list[Pool]:
        """The pools there are, to look at."""
        return list(self._pools.values())

    @property
    def in_use(self) -> bool:
        """Whether anything is held, kept warm or watched."""
        return bool(len(self._holdings) or self._warm or self._watched)

    def stop(self) -> Deferred[None]:
        """Close every connection; fires when their sockets are gone."""
        self._stopped = True
        self._timers.clear()
        self._holdings.stop()
        gone: Deferred[None] = Deferred()
        waiting = DeferredList([pool.stop() for pool in self._pools.values()])
        waiting.addCallback(lambda _: gone.callback(None))
        return gone

    def _pool(self, name: str) -> Pool:
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = Pool(
                feed=self.adapter.feed(name),
                cost=self.adapter.cost,
                make=self._make,
                clock=self._clock,
                settings=self._settings,
                listener=self,
                numbers=self._numbers,
            )
        return pool

    # How it is

    @property
    def status(self) -> tuple[FeedState, str]:
        """The state of the market feed (as its worst connection), and a message for people."""
        pools = self._pools.values()
        slots = [slot for pool in pools if pool.feed.market for slot in pool.deciding()]
        slots = slots or [slot for pool in pools for slot in pool.deciding()]
        if not slots:
            return FeedState.DISCONNECTED, "nothing is subscribed"
        worst = min(slots, key=lambda slot: WORST_FIRST.index(_state_of(slot)))
        state = _state_of(worst)
        return state, self._note if state is FeedState.CONNECTED else worst.message

    @property
    def state(self) -> FeedState:
        """The first half of `status`."""
        return self.status[0]

    def _changed(self) -> None:
        if not self._stopped and not self._timers.running("report"):
            self._timers.set("report", 0, self._report)

    def _report(self) -> None:
        status = self.status
        if status != self._reported:
            self._reported = status
            self._listener.session_changed(self)

    # What the pools tell (`openalgo_ws.feeds.pool.PoolListener`)

    def ticked(self, feed: str, ticks: Collection[Tick]) -> None:
        """Ticks to be joined and published."""
        self._joiner.ticked(feed, ticks)

    def source_changed(self, feed: str, instruments: Iterable[Instrument]) -> None:
        """What a feed has said of these is void."""
        self._joiner.source_changed(feed, instruments)

    def ordered(self, source: int, update: OrderUpdate) -> None:
        """An order update came. With shards every one of them hears it: the one that watches tells it."""
        if self._settings.shards > 1 and not self._watched:
            return
        self._orders.ordered(source, update, self._holdings.index)

    def source_gone(self, source: int) -> None:
        """A connection ended."""
        self._orders.source_gone(source)

    def rejected(self, pool: Pool, rejected: Rejected) -> None:
        """The broker refused something."""
        self._log.warn(
            "{account} at {broker} ({feed}): the broker refuses {count} instruments: {message}",
            account=self.account,
            broker=self.broker,
            feed=pool.feed.name,
            count=len(rejected.instruments) or "some",
            message=rejected.message,
        )
        self._holdings.rejected(rejected.instruments, rejected.message)
        self._changed()

    def pool_changed(self, pool: Pool) -> None:
        """Some connection is in another state."""
        self._changed()

    def announced(self, pool: Pool, message: str) -> None:
        """Something worth telling happened to a pool."""
        self._note = message
        self._log.warn(
            "{account} at {broker} ({feed}): {message}",
            account=self.account,
            broker=self.broker,
            feed=pool.feed.name,
            message=message,
        )
        self._changed()


def _state_of(slot: Slot) -> FeedState:
    """A connection's state in the words of the client protocol."""
    if slot.stale:
        return FeedState.STALE
    coming = FeedState.RECONNECTING if slot.lived else FeedState.CONNECTING
    return _STATES.get(slot.state, coming)
