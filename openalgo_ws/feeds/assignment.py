"""Assignment: which connection of a pool serves each instrument, also while it moves to another.

An instrument that moves while its connection lives is carried by both for a moment: the old one's ticks
count until the first tick of the new one, from then on only the new one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.feeds.slot import Slot
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.tick import Instrument, Tick, Wish

__all__ = ["Assignment"]


class Assignment:
    """See the module. It decides nothing of its own accord but when a move is over: with the first tick,
    after ``overlap`` seconds in which both connections live, or when one of them ends.

    ``source_changed(instruments)`` is told when another connection serves them than before, or none;
    ``arrived()`` when a move has ended by a tick or by time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        overlap: float,
        source_changed: Callable[[list[Instrument]], None],
        arrived: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._overlap = overlap
        self._source_changed = source_changed
        self._arrived = arrived
        #: Instrument → the slot whose ticks of it count.
        self._homes: dict[Instrument, Slot] = {}
        #: Instruments on their way → the slot they go to.
        self._moves: dict[Instrument, Slot] = {}
        #: By the number of the slot that others move to: the end of the overlap.
        self._timers = Timers(clock)

    # What is carried where

    def home(self, instrument: Instrument) -> Slot | None:
        """The slot that serves an instrument; None if it is not carried."""
        return self._homes.get(instrument)

    def carriers(self, instrument: Instrument) -> list[Slot]:
        """The slot that serves an instrument, and the one that it moves to; empty if it is not carried."""
        return [slots[instrument] for slots in (self._homes, self._moves) if instrument in slots]

    def assign(self, instrument: Instrument, slot: Slot, wish: Wish, cost: int) -> None:
        """Let a slot serve an instrument that is not carried yet."""
        slot.hold(instrument, wish, cost)
        self._homes[instrument] = slot

    def drop(self, instrument: Instrument) -> None:
        """Carry it no more, wherever it is."""
        home = self._homes.pop(instrument, None)
        if home is None:
            return
        home.release(instrument)
        target = self._moves.pop(instrument, None)
        if target is not None:
            target.release(instrument)
            target.incoming -= 1

    def clear(self) -> None:
        """Forget everything, and end every timer."""
        self._homes.clear()
        self._moves.clear()
        self._timers.clear()

    # Moving

    def move(self, instrument: Instrument, target: Slot, wish: Wish, cost: int) -> None:
        """Let an instrument go over to another slot, without a gap if its present one lives."""
        home = self._homes[instrument]
        target.hold(instrument, wish, cost)
        target.incoming += 1
        self._moves[instrument] = target
        if not home.live:
            self.arrive([instrument])
            return
        home.left = home.sift = target.sift = True
        if target.live and not self._timers.running(_name(target)):
            self._limit_overlap(target)

    def hand_over(self, slot: Slot, to: Callable[[int], Slot | None]) -> None:
        """Move what a slot serves to the slots that ``to`` gives for its cost, as far as it gives any."""
        for instrument in self._served(slot):
            wish, cost = slot.held[instrument]
            target = to(cost)
            if target is not None:
                self.move(instrument, target, wish, cost)

    def arrive(self, instruments: Iterable[Instrument]) -> None:
        """These are served by the slot they were moving to from now on."""
        arrived = list(instruments)
        for instrument in arrived:
            target = self._moves.pop(instrument)
            target.incoming -= 1
            target.sift = target.left or target.incoming > 0
            home = self._homes[instrument]
            home.release(instrument)
            self._homes[instrument] = target
            if not target.live and target.down_since is None:
                since = home.down_since
                target.down_since = self._clock.seconds() if since is None else since
        if arrived:
            self._source_changed(arrived)

    def finish_moves(self) -> None:
        """Let everything arrive that is on its way."""
        self.arrive(list(self._moves))

    def call_off(self, target: Slot) -> None:
        """Nothing that is on its way to this slot goes there after all."""
        for instrument in self._coming(target):
            del self._moves[instrument]
            target.release(instrument)
            target.incoming -= 1

    def _limit_overlap(self, target: Slot) -> None:
        def over() -> None:
            self.arrive(self._coming(target))
            self._arrived()

        self._timers.set(_name(target), self._overlap, over)

    def _served(self, slot: Slot) -> list[Instrument]:
        """What a slot serves and goes on serving."""
        return [i for i in slot.held if self._homes[i] is slot and i not in self._moves]

    def _coming(self, target: Slot) -> list[Instrument]:
        return [instrument for instrument, slot in self._moves.items() if slot is target]

    # What happens to a slot's connection

    def fell(self, slot: Slot) -> None:
        """It is not live any more: what was leaving has left, the rest is not served."""
        slot.down_since = self._clock.seconds()
        self._timers.cancel(_name(slot))
        self.arrive([i for i in self._moves if self._homes[i] is slot])
        self._source_changed(self._served(slot))

    def rose(self, slot: Slot) -> float | None:
        """It is live. Returns for how many seconds what it serves was not served; None if that is nothing."""
        slot.left = False
        slot.sift = slot.incoming > 0
        if slot.incoming:
            self._limit_overlap(slot)
        since, slot.down_since = slot.down_since, None
        return None if since is None or not slot.serving else self._clock.seconds() - since

    def dismissed(self, slot: Slot) -> None:
        """It is being closed: what still comes on it counts for nothing."""
        self._timers.cancel(_name(slot))
        slot.sift = True

    def sifted(self, slot: Slot, ticks: Iterable[Tick]) -> list[Tick]:
        """The ticks of instruments that a slot serves, or begins to serve with this tick."""
        homes, moves = self._homes, self._moves
        counting, arrived = [], {}
        for tick in ticks:
            instrument = tick.instrument
            if homes.get(instrument) is slot:
                counting.append(tick)
            elif moves.get(instrument) is slot and (tick.ltp is not None or tick.depth is not None):
                arrived[instrument] = True
                counting.append(tick)
        if arrived:
            self.arrive(arrived)
            self._arrived()
        return counting


def _name(slot: Slot) -> str:
    return str(slot.number)
