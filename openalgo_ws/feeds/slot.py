"""Slot: one connection's place in a pool, and what it carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.adapter import Cause, Change, Feed, OrderUpdate, Rejected
from openalgo_ws.feeds.connection import Connection, ConnectionState
from openalgo_ws.feeds.interfaces import MakeConnection
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.tick import Instrument, Tick, Wish

__all__ = ["Slot", "SlotOwner"]

_ON_THE_WAY = frozenset(
    {
        ConnectionState.BACKING_OFF,
        ConnectionState.AUTHORISING,
        ConnectionState.DIALLING,
        ConnectionState.LOGGING_IN,
    }
)


class SlotOwner(Protocol):
    """Who hears of a slot: its pool."""

    def slot_changed(self, slot: Slot, before: ConnectionState) -> None:
        """The slot's connection is in another state than ``before``."""

    def slot_ticked(self, slot: Slot, ticks: Sequence[Tick]) -> None:
        """Ticks came on it."""

    def slot_ordered(self, slot: Slot, update: OrderUpdate) -> None:
        """An order update came on it."""

    def slot_rejected(self, slot: Slot, rejected: Rejected) -> None:
        """The broker refused something that was asked on it."""


class Slot:
    """A connection, the instruments asked for on it, and what they cost of its limit."""

    def __init__(
        self, owner: SlotOwner, number: int, feed: Feed, make: MakeConnection, clock: IReactorTime
    ) -> None:
        self._owner = owner
        #: Tells the connections of an account apart; never used twice.
        self.number = number
        self.held: dict[Instrument, tuple[Wish, int]] = {}
        self.load = 0
        #: How many of `held` are still served by another slot.
        self.incoming = 0
        self.state = ConnectionState.IDLE
        self.message = ""
        #: It has been live at least once.
        self.lived = False
        #: It can't be expected to come back soon.
        self.dead = False
        #: It fell silent and is on its way back. (The connection's own state says so for a moment only.)
        self.stale = False
        #: The broker said that there are too many connections.
        self.crowded = False
        #: Nothing new is put here; it ends as soon as it is empty.
        self.leaving = False
        #: Instruments have moved away from it since its last login: ticks of theirs may still come.
        self.left = False
        #: Its ticks must be looked at one by one, because instruments are moving.
        self.sift = False
        #: When its instruments ceased to be served (clock seconds); None while they are.
        self.down_since: float | None = None
        self.timers = Timers(clock)
        self._changes: list[Change] = []
        self._too_many = 0
        self.connection: Connection = make(feed, self)

    @property
    def live(self) -> bool:
        """Whether ticks can come."""
        return self.state is ConnectionState.LIVE

    @property
    def serving(self) -> bool:
        """Whether some instrument depends on this connection."""
        return len(self.held) > self.incoming

    def hold(self, instrument: Instrument, wish: Wish, cost: int) -> None:
        """Carry an instrument with this wish from now on (sent by `flush`)."""
        old = self.held.get(instrument)
        if old is None:
            self._changes.append(Change(instrument, None, wish))
        elif old[0] != wish:
            self._changes.append(Change(instrument, old[0], wish))
        self.load += cost - (old[1] if old else 0)
        self.held[instrument] = (wish, cost)

    def release(self, instrument: Instrument) -> None:
        """Carry it no more (sent by `flush`)."""
        wish, cost = self.held.pop(instrument)
        self.load -= cost
        self._changes.append(Change(instrument, wish, None))

    def flush(self) -> None:
        """Tell the connection what has changed."""
        if self._changes:
            changes, self._changes = self._changes, []
            self.connection.want(changes)

    def state_changed(self, connection: Connection, state: ConnectionState, message: str) -> None:
        before, self.state, self.message = self.state, state, message
        self.stale = state is ConnectionState.STALE or (self.stale and state in _ON_THE_WAY)
        if state is ConnectionState.BACKING_OFF:
            refusals = connection.counters.ended[Cause.TOO_MANY.value]
            self.crowded = refusals > self._too_many
            self._too_many = refusals
        self._owner.slot_changed(self, before)

    def ticked(self, connection: Connection, ticks: Sequence[Tick]) -> None:
        self._owner.slot_ticked(self, ticks)

    def ordered(self, connection: Connection, update: OrderUpdate) -> None:
        self._owner.slot_ordered(self, update)

    def rejected(self, connection: Connection, rejected: Rejected) -> None:
        self._owner.slot_rejected(self, rejected)
