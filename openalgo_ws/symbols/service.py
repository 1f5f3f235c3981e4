"""The masters of a running server: loaded when first asked for, and following every new one.

A master is replaced every morning: by our own ``symbols update`` in another
process, or by the OpenAlgo platform, which empties ``symtoken`` and fills it
again. So the database is looked at every now and then, off the reactor thread,
and when a broker's master has another mark and has settled, it is read into a
new index, which takes the place of the old one in one step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, execute
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.accounts.database import DatabaseUnavailable
from openalgo_ws.adapter import Adapter
from openalgo_ws.symbols.index import SymbolIndex
from openalgo_ws.symbols.reading import Blocking, Reading
from openalgo_ws.symbols.store import Mark, Source, survey

__all__ = ["NewMaster", "SymbolService"]

#: Is told (broker, old index, new index) after the new one has taken its place. The old one is
#: empty where there was none.
NewMaster = Callable[[str, SymbolIndex, SymbolIndex], None]

#: A new mark of the platform's table is believed when it has stayed for so many times ``settle``
#: seconds, because the table is filled in several steps ...
_SETTLED = 1
#: ... and where it has less than half the rows that are known, for so many: that is rather a table
#: which is still being filled than a market that has shrunk overnight.
_SETTLED_SHRUNK = 24

#: Attempts to read a master for the first time while it is being replaced.
_ATTEMPTS = 3

_NOTHING = SymbolIndex.of([])


class _Shelf:
    """What is known of one broker's master."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.lock = DeferredLock()
        self.index: SymbolIndex | None = None
        #: The mark of what is in the index.
        self.mark: Mark | None = None
        #: Another mark, and since when it has been seen (the reactor's seconds).
        self.candidate: Mark | None = None
        self.since = 0.0
        #: What was last logged of a master that can't be followed, so that it is said once.
        self.complaint = ""

    def sight(self, mark: Mark, now: float, settle: float) -> bool:
        """Take note of the mark seen now; whether it is a new master that has settled."""
        if mark == self.mark or not mark.rows:
            self.candidate = None
            return False
        if mark != self.candidate:
            self.candidate, self.since = mark, now
        return now - self.since >= settle * self._patience(mark)

    def _patience(self, mark: Mark) -> int:
        if mark.source is Source.OWN:
            # A load of ours is seen whole or not at all.
            return 0
        known = 0 if self.mark is None else self.mark.rows
        return _SETTLED_SHRUNK if mark.rows * 2 < known else _SETTLED


class SymbolService(Service):
    """One index per broker.

    ``adapters`` finds an adapter by name (`Registry.load`). The database is looked at every
    ``interval`` seconds, and every ``settle`` seconds while a new master is coming in.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        database: Blocking,
        adapters: Callable[[str], Adapter],
        *,
        interval: float = 30.0,
        settle: float = 5.0,
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._adapters = adapters
        self._interval = interval
        self._settle = settle
        self._shelves: dict[str, _Shelf] = {}
        self._listeners: list[NewMaster] = []
        self._next: IDelayedCall | None = None
        self._stopped = False
        #: Flows that use the database, and who waits for the last of them to end.
        self._flows = 0
        self._idle: list[Deferred[None]] = []

    def startService(self) -> None:
        """Begin to look for new masters."""
        super().startService()  # type: ignore[no-untyped-call]
        self._stopped = False
        self._next = self._reactor.callLater(self._interval, self._look)

    def stopService(self) -> Deferred[None]:
        """Look no more. Fires when nothing of ours uses the database any longer."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._stopped = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        done: Deferred[None] = Deferred()
        self._idle.append(done)
        self._report_idle()
        return done

    def listen(self, listener: NewMaster) -> None:
        """Tell this listener of every new master from now on."""
        self._listeners.append(listener)

    def forget(self, listener: NewMaster) -> None:
        """Tell it no more. Harmless if it was not told."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def index(self, broker: str) -> SymbolIndex:
        """The broker's master as it is now; an empty one if there is none (yet).

        The first call reads it, which takes seconds; others wait for that one. Raises what
        ``adapters`` raises, and DatabaseUnavailable if the first read can't be made.
        """
        shelf = self._shelves.get(broker)
        if shelf is None:
            shelf = self._shelves[broker] = _Shelf(self._adapters(broker))
        if shelf.index is None:
            async with shelf.lock:
                if shelf.index is None:
                    await self._busy(self._first(shelf))
        return _NOTHING if shelf.index is None else shelf.index

    async def refresh(self, broker: str) -> None:
        """Look at a broker's master now, and follow it if it is a new one that has settled.

        For when something says that there is one: a load, or a new session of the platform. Raises
        DatabaseUnavailable.
        """
        shelf = self._shelves.get(broker)
        if shelf is not None and shelf.index is not None:
            await self._busy(self._check(shelf))
            if shelf.candidate is not None and self._next is not None:
                self._next.reset(min(self._settle, self._next.getTime() - self._reactor.seconds()))

    async def _busy(self, flow: Awaitable[None]) -> None:
        """Await this, and keep `stopService` waiting meanwhile."""
        self._flows += 1
        try:
            await flow
        finally:
            self._flows -= 1
            self._report_idle()

    def _report_idle(self) -> None:
        if not self._flows:
            idle, self._idle = self._idle, []
            for done in idle:
                done.callback(None)

    async def _first(self, shelf: _Shelf) -> None:
        for _attempt in range(_ATTEMPTS):
            mark = await self._survey(shelf)
            if not mark.rows:
                break
            if await self._read(shelf, mark):
                return
        # Nothing there, or it is being replaced again and again: the watch will find it.
        self._complain(shelf, mark.reason or "it is being replaced just now")
        shelf.index, shelf.mark = _NOTHING, None

    def _look(self) -> None:
        self._next = None
        flow = Deferred.fromCoroutine(self._busy(self._check_all()))
        flow.addErrback(self._failed, "looking for new instrument masters failed")
        flow.addCallback(self._look_again)

    def _look_again(self, _result: None) -> None:
        if not self._stopped:
            coming = any(shelf.candidate is not None for shelf in self._shelves.values())
            wait = min(self._settle, self._interval) if coming else self._interval
            self._next = self._reactor.callLater(wait, self._look)

    def _failed(self, failure: Failure, what: str) -> None:
        self._log.failure(what, failure)

    async def _check_all(self) -> None:
        for shelf in list(self._shelves.values()):
            if not self._stopped and shelf.index is not None:
                try:
                    await self._check(shelf)
                except DatabaseUnavailable as error:
                    self._complain(shelf, str(error))

    async def _check(self, shelf: _Shelf) -> None:
        async with shelf.lock:
            mark = await self._survey(shelf)
            if shelf.sight(mark, self._reactor.seconds(), self._settle):
                await self._read(shelf, mark)
            elif not mark.rows:
                self._complain(shelf, f"{mark.reason}; what is known stays in use")
            elif mark == shelf.mark:
                shelf.complaint = ""

    async def _survey(self, shelf: _Shelf) -> Mark:
        return await self._database.off_thread(
            self._reactor,
            lambda: self._database.call(lambda connection: survey(connection, shelf.adapter.name)),
        )

    async def _read(self, shelf: _Shelf, mark: Mark) -> bool:
        """Read the master that has this mark and put it in its place; False if it did not stay."""
        reading = Reading(self._reactor, self._database, shelf.adapter, mark)
        index = await reading.read(lambda: not self._stopped)
        if index is None:
            return False
        old = shelf.index
        shelf.index, shelf.mark, shelf.candidate, shelf.complaint = index, mark, None, ""
        self._log.info(
            "{broker}: {count} instruments; rows left out: {unusable} unusable, {repeated} repeated {fault}",
            broker=shelf.adapter.name,
            count=len(index),
            unusable=reading.unusable,
            repeated=reading.repeated,
            fault=reading.first_fault and f"(first: {reading.first_fault})",
        )
        if old is not None:
            self._tell(shelf.adapter.name, old, index)
        return True

    def _tell(self, broker: str, old: SymbolIndex, new: SymbolIndex) -> None:
        for listener in list(self._listeners):
            told = execute(listener, broker, old, new)
            told.addErrback(self._failed, "a listener to new instrument masters failed")

    def _complain(self, shelf: _Shelf, complaint: str) -> None:
        if complaint != shelf.complaint:
            shelf.complaint = complaint
            self._log.warn("{broker}: {complaint}", broker=shelf.adapter.name, complaint=complaint)
