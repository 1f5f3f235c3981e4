"""New credentials: every connection of a pool is replaced by one that was made with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from openalgo_ws.feeds.connection import ConnectionState
from openalgo_ws.feeds.slot import Slot
from openalgo_ws.feeds.timers import Timers

if TYPE_CHECKING:
    from openalgo_ws.feeds.pool import Pool

__all__ = ["Replacement"]

_HOPELESS = (ConnectionState.AUTH_FAILED, ConnectionState.FAILED)


class Replacement:
    """Moves a pool's live connections to new credentials, one after the other.

    Make before break where the broker allows a second socket and there is a place for it: the
    successor is dialled, everything moves over, then the old one is closed. If the successor doesn't
    come up the old one stays. Else break before make: the connection itself dials anew, and the pool
    tells how long the gap was.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: deque[Slot] = deque()
        self._old: Slot | None = None
        self._new: Slot | None = None
        self._timers = Timers(pool.clock)

    def renew(self, credentials: Mapping[str, str] | None) -> None:
        """These are the credentials now."""
        for slot in list(self._pool.slots):
            if slot.state is ConnectionState.IDLE or slot.connection.credentials == credentials:
                continue
            if credentials is None or not slot.live:
                slot.connection.credentials_changed()
            elif slot not in self._waiting and not self.involves(slot):
                self._waiting.append(slot)
        self.proceed()

    def stop(self) -> None:
        """Leave everything as it is."""
        self._timers.clear()
        self._waiting.clear()
        self._old = self._new = None

    def involves(self, slot: Slot) -> bool:
        """Whether the slot is just being replaced, or replaces one."""
        return slot is self._old or slot is self._new

    def proceed(self) -> None:
        """Begin with the next that waits, unless one is under way."""
        while self._waiting and self._old is None:
            slot = self._waiting.popleft()
            if slot not in self._pool.slots or slot.leaving:
                continue
            if slot.live and self._place_for_two(slot):
                self._begin(slot)
            else:
                slot.connection.credentials_changed()

    def _place_for_two(self, slot: Slot) -> bool:
        pool = self._pool
        return (
            pool.feed.limits.second_socket
            and pool.sockets < pool.bounds.connections
            and pool.load + slot.load <= pool.bounds.per_account
        )

    def _begin(self, old: Slot) -> None:
        pool = self._pool
        pool.assignment.finish_moves()
        new = pool.open()
        self._old, self._new = old, new
        old.leaving = True
        for instrument, (wish, cost) in list(old.held.items()):
            pool.assignment.move(instrument, new, wish, cost)
        self._timers.set("timeout", pool.settings.replace_timeout, self._give_up)
        pool.settle()

    def slot_changed(self, slot: Slot) -> None:
        """Some slot is in another state."""
        if slot is self._new and slot.state in _HOPELESS:
            self._give_up()

    def check(self) -> None:
        """Finish if everything has moved."""
        old, new = self._old, self._new
        if old is None or new is None or old.held or (old.live and not new.live):
            return
        self._end()
        self._pool.close(old)
        if new.live:
            self._pool.announce("moved to a connection with the new credentials, without a gap")
        # The next one begins when this one's socket is gone (`proceed`).

    def _give_up(self) -> None:
        """The successor does not come up: stay where we are."""
        old, new, pool = self._old, self._new, self._pool
        if old is None or new is None:
            return
        self._end()
        self._waiting.clear()
        pool.assignment.call_off(new)
        old.leaving = False
        size = pool.bounds.per_connection
        # What was put there in the meantime and nowhere else.
        pool.assignment.hand_over(new, lambda cost: old if old.load + cost <= size else None)
        new.leaving = not new.held
        pool.announce(f"the connection with the new credentials did not come up: {new.message}")
        pool.settle()

    def _end(self) -> None:
        self._old = self._new = None
        self._timers.clear()
