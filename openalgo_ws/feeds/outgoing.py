"""From what is wanted to what is sent: differences, in batches, at the broker's pace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.adapter import Change, Limits
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.tick import Instrument, Wish

__all__ = ["Outgoing"]


class Outgoing:
    """Brings what one socket holds to what is wanted. Made for every login anew.

    ``target`` is live: its owner changes it and calls `changed`. ``send`` gets at most
    ``limits.per_change`` changes a time, ``limits.change_interval`` seconds apart, and not before
    `ready` after a ``send`` that returned False (its answer is still out). What changes back while
    it waits is never sent. Changes of one reactor turn go out together.

    ``caught_up(changes, seconds)`` is called when everything is sent that took several batches.
    """

    def __init__(
        self,
        clock: IReactorTime,
        limits: Limits,
        target: Mapping[Instrument, Wish],
        send: Callable[[Sequence[Change]], bool],
        caught_up: Callable[[int, float], None] = lambda changes, seconds: None,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._target = target
        self._send = send
        self._caught_up = caught_up
        #: Batches and changes sent since nothing was waiting, and since when that is.
        self._batches = self._changes = 0
        self._began = 0.0
        self._timers = Timers(clock)
        #: Insertion order is the order of sending.
        self._pending: dict[Instrument, None] = {}
        self._held: dict[Instrument, Wish] = {}
        self._not_before = 0.0
        self._ready = True
        self._drained: Callable[[], None] | None = None

    @property
    def held(self) -> Mapping[Instrument, Wish]:
        """What the broker has been asked for on this socket."""
        return self._held

    def start(self) -> None:
        """The login is through: everything wanted goes out."""
        self._pending = dict.fromkeys(self._target)
        self._schedule()

    def stop(self) -> None:
        """The socket is gone."""
        self._timers.clear()
        self._pending.clear()
        self._drained = None

    def changed(self, instruments: Iterable[Instrument]) -> None:
        """The target has changed for these."""
        for instrument in instruments:
            self._pending[instrument] = None
        self._schedule()

    def drain(self, drained: Callable[[], None]) -> None:
        """Give back everything held, whatever is wanted; then call ``drained``."""
        self._target = {}
        self._drained = drained
        self._pending = dict.fromkeys(self._held)
        self._schedule()

    def ready(self) -> None:
        """The answers to what was sent are in."""
        self._ready = True
        self._schedule()

    def _schedule(self) -> None:
        if self._ready and not self._timers.running("flush"):
            self._timers.set("flush", self._not_before - self._clock.seconds(), self._flush)

    def _flush(self) -> None:
        batch = self._next_batch()
        try:
            if batch:
                if not self._batches:
                    self._began = self._clock.seconds()
                self._batches += 1
                self._changes += len(batch)
                self._not_before = self._clock.seconds() + self._limits.change_interval
                self._ready = self._send(batch)
        finally:
            # Also when a codec fails over one batch: the others are none the worse for it.
            if self._pending:
                self._schedule()
        if not self._pending:
            if self._batches > 1:
                self._caught_up(self._changes, self._clock.seconds() - self._began)
            self._batches = self._changes = 0
        if not self._pending and self._ready and self._drained is not None:
            drained, self._drained = self._drained, None
            drained()

    def _next_batch(self) -> list[Change]:
        batch: list[Change] = []
        while self._pending and len(batch) < self._limits.per_change:
            instrument = next(iter(self._pending))
            del self._pending[instrument]
            old, new = self._held.get(instrument), self._target.get(instrument)
            if old == new:
                continue
            batch.append(Change(instrument, old, new))
            if new is None:
                del self._held[instrument]
            else:
                self._held[instrument] = new
        return batch
