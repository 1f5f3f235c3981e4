"""Pool: the instruments of one feed of one account, spread over as many connections as they need.

One connection is filled before the next is opened; an empty one is closed after a while; a dead
one's instruments go to its siblings as far as they have room. Which one serves an instrument, also
while it moves, is the `assignment`; new credentials move a whole connection that way, where the
broker lets a second one in (`replacement`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from openalgo_ws.adapter import Feed, OrderUpdate, Rejected
from openalgo_ws.feeds.assignment import Assignment
from openalgo_ws.feeds.bounds import Bounds
from openalgo_ws.feeds.connection import ConnectionState
from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.interfaces import FeedSettings, MakeConnection
from openalgo_ws.feeds.replacement import Replacement
from openalgo_ws.feeds.slot import Slot
from openalgo_ws.tick import Instrument, Tick, Wish

__all__ = ["Pool", "PoolListener"]

_HOPELESS = (ConnectionState.AUTH_FAILED, ConnectionState.FAILED)


class PoolListener(Protocol):
    """Who hears of a pool: its session. Calls come on the reactor thread and must not raise."""

    def ticked(self, feed: str, ticks: Collection[Tick], /) -> None:
        """Ticks to be published, in order."""

    def source_changed(self, feed: str, instruments: Iterable[Instrument], /) -> None:
        """What was known of these is void: their connection ended, or another one serves them now."""

    def ordered(self, source: int, update: OrderUpdate, /) -> None:
        """An order update came on the connection of that number."""

    def source_gone(self, source: int, /) -> None:
        """The connection of that number is not live any more."""

    def rejected(self, pool: Pool, rejected: Rejected, /) -> None:
        """The broker refused something."""

    def pool_changed(self, pool: Pool, /) -> None:
        """Some connection is in another state."""

    def announced(self, pool: Pool, message: str, /) -> None:
        """Something worth telling happened: a gap closed, a move succeeded or failed."""


class Pool:
    """See the module. ``numbers`` is shared by all pools of an account."""

    def __init__(
        self,
        *,
        feed: Feed,
        cost: Callable[[Instrument, Wish], int] | None,
        make: MakeConnection,
        clock: IReactorTime,
        settings: FeedSettings,
        listener: PoolListener,
        numbers: count[int],
    ) -> None:
        self.feed = feed
        self.bounds = Bounds.of(feed.limits, settings, market=feed.market)
        self.settings = settings
        self.clock = clock
        self.slots: list[Slot] = []
        self.assignment = Assignment(
            clock, overlap=settings.overlap, source_changed=self._source_changed, arrived=self.settle
        )
        self._cost = cost
        self._make = make
        self._listener = listener
        self._numbers = numbers
        #: Connections that have been told to stop and still hold their socket.
        self._closing: set[Slot] = set()
        #: What connections have counted that are gone.
        self._past = ConnectionCounters()
        self._warm = False
        self._stopped = False
        self._replacement = Replacement(self)

    # What is carried

    def want(self, wishes: Iterable[tuple[Instrument, Wish | None]]) -> list[Instrument]:
        """Carry each instrument with that wish, or no more (None).

        Returns those there is no room for; what they were carried with before, if anything, stays.
        """
        refused = []
        for instrument, wish in wishes:
            if wish is None:
                self.assignment.drop(instrument)
            elif not self._place(instrument, wish):
                refused.append(instrument)
        self.settle()
        return refused

    def keep_warm(self, warm: bool) -> None:
        """Keep (or don't) one connection open even if it carries nothing."""
        self._warm = warm
        self.settle()

    def live(self, instrument: Instrument) -> bool:
        """Whether the connection that serves an instrument is up."""
        home = self.assignment.home(instrument)
        return home is not None and home.live

    @property
    def load(self) -> int:
        """Cost units carried, those on their way counted twice, as the broker does."""
        return sum(slot.load for slot in self.slots)

    def counted(self) -> ConnectionCounters:
        """What all connections have counted, those that are gone included."""
        total = ConnectionCounters()
        total.add(self._past)
        for slot in (*self.slots, *self._closing):
            total.add(slot.connection.counters)
        return total

    def deciding(self) -> list[Slot]:
        """The connections by whose state this feed is judged."""
        serving = [slot for slot in self.slots if slot.serving]
        if serving or not self._warm:
            return serving
        return [slot for slot in self.slots if not slot.leaving or slot.live][:1]

    def renew(self, credentials: Mapping[str, str] | None) -> None:
        """The account has these credentials now (None: none any more): dial with them everywhere."""
        self._replacement.renew(credentials)

    def stop(self) -> Deferred[None]:
        """Close every connection; fires when their sockets are gone."""
        self._stopped = True
        self._replacement.stop()
        self.assignment.clear()
        for slot in list(self.slots):
            self.close(slot)
        gone: Deferred[None] = Deferred()
        waiting = DeferredList([slot.connection.stop() for slot in self._closing])
        waiting.addCallback(lambda _: gone.callback(None))
        return gone

    # Placing

    def _place(self, instrument: Instrument, wish: Wish) -> bool:
        cost = self._cost(instrument, wish) if self._cost is not None else 1
        carriers = self.assignment.carriers(instrument)
        if not carriers:
            slot = self._room(cost)
            if slot is None:
                return False
            self.assignment.assign(instrument, slot, wish, cost)
            return True
        growth = cost - carriers[0].held[instrument][1]
        if growth <= 0 or (
            self.load + growth * len(carriers) <= self.bounds.per_account
            and all(slot.load + growth <= self.bounds.per_connection for slot in carriers)
        ):
            for slot in carriers:
                slot.hold(instrument, wish, cost)
            return True
        if len(carriers) > 1:
            self.assignment.arrive([instrument])
            return self._place(instrument, wish)
        slot = self._room(cost)
        if slot is None:
            return False
        self.assignment.move(instrument, slot, wish, cost)
        return True

    def _room(self, cost: int) -> Slot | None:
        """A slot with room for so much more, opened if need be."""
        bounds = self.bounds
        if cost > bounds.per_connection or self.load + cost > bounds.per_account:
            return None
        fitting = [s for s in self.slots if not s.leaving and s.load + cost <= bounds.per_connection]
        if fitting:
            # One that is up, else one that may come up soon, else any; the first of these.
            return min(fitting, key=lambda slot: (not slot.live, slot.dead))
        # A slot that leaves makes room for its successor, which is there already.
        staying = sum(not slot.leaving for slot in self.slots)
        if staying >= bounds.connections or any(slot.crowded for slot in self.slots):
            return None
        return self.open()

    def _rescue(self) -> None:
        """Move what dead connections serve to live ones."""
        size = self.bounds.per_connection
        for slot in self.slots:
            if not (slot.dead and slot.serving):
                continue
            living = [s for s in self.slots if s.live and not s.leaving and s.load < size]

            def room(cost: int, living: Sequence[Slot] = living) -> Slot | None:
                return next((s for s in living if s.load + cost <= size), None)

            if living:
                self.assignment.hand_over(slot, room)

    # Connections

    def open(self) -> Slot:
        """A new slot; dialled by `settle`."""
        slot = Slot(self, next(self._numbers), self.feed, self._make, self.clock)
        self.slots.append(slot)
        self._expect(slot)
        return slot

    def close(self, slot: Slot) -> None:
        """End a slot's connection."""
        self.slots.remove(slot)
        slot.timers.clear()
        self.assignment.dismissed(slot)
        self._closing.add(slot)
        self._listener.source_gone(slot.number)
        slot.connection.stop().addCallback(self._closed, slot)

    def _closed(self, result: None, slot: Slot) -> None:
        self._closing.discard(slot)
        self._past.add(slot.connection.counters)
        if not self._stopped:
            self._replacement.proceed()
            self.settle()

    @property
    def sockets(self) -> int:
        """Connections that count at the broker, closing ones included."""
        return len(self.slots) + len(self._closing)

    def settle(self) -> None:
        """After any change: let dead connections' instruments go, tell and dial, close the empty."""
        if self._stopped:
            return
        self._rescue()
        if self._warm and not any(not slot.leaving for slot in self.slots):
            self.open()
        for slot in self.slots:
            slot.flush()
        self._replacement.check()
        self._retire()
        free = self.bounds.connections - self.sockets
        fresh = [slot for slot in self.slots if slot.state is ConnectionState.IDLE]
        # The others start when one that is closing has let go of its place at the broker.
        for slot in fresh[: len(fresh) + min(0, free)]:
            # Starting one changes its state, which may have brought us here again meanwhile.
            if slot.state is ConnectionState.IDLE:
                slot.connection.start()

    def _retire(self) -> None:
        kept = None
        if self._warm and not any(slot.held for slot in self.slots):
            staying = [slot for slot in self.slots if not slot.leaving]
            kept = next((slot for slot in staying if slot.live), staying[0] if staying else None)
        for slot in list(self.slots):
            if slot.held or slot is kept or self._replacement.involves(slot):
                slot.timers.cancel("retire")
            elif slot.leaving:
                self.close(slot)
            elif not slot.timers.running("retire"):
                slot.timers.set("retire", self.settings.retire, partial(self._retired, slot))

    def _retired(self, slot: Slot) -> None:
        self.close(slot)
        self._listener.pool_changed(self)

    def _expect(self, slot: Slot) -> None:
        def gone_long() -> None:
            slot.dead = True
            self.settle()

        slot.timers.set("rescue", self.settings.rescue, gone_long)

    def announce(self, message: str) -> None:
        """Tell people."""
        self._listener.announced(self, message)

    # What a slot tells

    def slot_changed(self, slot: Slot, before: ConnectionState) -> None:
        """Part of `SlotOwner`."""
        if slot not in self.slots:
            return
        if before is ConnectionState.LIVE:
            self._fell(slot)
        if slot.live:
            self._rose(slot)
        elif slot.crowded or slot.state in _HOPELESS:
            slot.dead = True
        self._replacement.slot_changed(slot)
        self.settle()
        self._listener.pool_changed(self)

    def _fell(self, slot: Slot) -> None:
        self._listener.source_gone(slot.number)
        self.assignment.fell(slot)
        self._expect(slot)

    def _rose(self, slot: Slot) -> None:
        slot.lived = True
        slot.dead = slot.crowded = False
        slot.timers.cancel("rescue")
        gap = self.assignment.rose(slot)
        if gap is not None:
            self.announce(f"live again after a gap of {gap:.1f} s")

    def _source_changed(self, instruments: Iterable[Instrument]) -> None:
        self._listener.source_changed(self.feed.name, instruments)

    def slot_ticked(self, slot: Slot, ticks: Collection[Tick]) -> None:
        """Part of `SlotOwner`; in the tick's path."""
        if slot.sift:
            ticks = self.assignment.sifted(slot, ticks)
        self._listener.ticked(self.feed.name, ticks)

    def slot_ordered(self, slot: Slot, update: OrderUpdate) -> None:
        """Part of `SlotOwner`."""
        self._listener.ordered(slot.number, update)

    def slot_rejected(self, slot: Slot, rejected: Rejected) -> None:
        """Part of `SlotOwner`."""
        # What it is about to serve is lost as well: nobody else will, before long.
        mine = tuple(i for i in rejected.instruments if slot in self.assignment.carriers(i))
        if mine or not rejected.instruments:
            self._listener.rejected(self, Rejected(rejected.message, mine))
