"""The supervisor: starts worker processes, replaces those that die, renews all one by one.

A worker that is gone is replaced at once, or after a growing while if it died young. Until then another
worker accepts on its sockets too (`openalgo_ws.scale.listening`).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, TimeoutError, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from openalgo_ws.bus.segment import RingError
from openalgo_ws.ops.reports import Reports
from openalgo_ws.scale import control as c
from openalgo_ws.scale.workers import Launch, Worker

__all__ = ["Links", "Supervisor", "renew"]

#: A worker that does not report for so long hangs (seconds).
_SILENCE = 20.0
#: How long a worker may take to be ready, and to send its clients away.
_READY, _DRAINED = 60.0, 20.0
#: A worker that lived shorter than this died young; then the next one waits, longer each time.
_YOUNG, _FIRST_WAIT, _LONGEST_WAIT = 10.0, 0.25, 30.0
#: How long workers may take to stop with the server.
_STOPPED = 3.5


class Links(Protocol):
    """The workers' ways from the bus: `openalgo_ws.scale.fanout.Fanout`."""

    links: dict[str, Any]

    def add(self, name: str, address: str) -> None: ...

    def remove(self, name: str) -> None: ...


class Supervisor(Service):
    """Keeps ``count`` workers running. ``launch`` starts one; ``address`` names a worker's end of the bus.

    ``what`` one and several are called in the log. `reports` holds what they have reported. ``began`` is
    called when all are ready for the first time. ``relieved`` is called before the worker of a slot is told
    to go because there is a new one; when what it gives fires the new one serves in its place.
    """

    log = Logger()
    name = "workers"

    def __init__(
        self,
        reactor: Any,
        count: int,
        *,
        launch: Launch,
        links: Links,
        address: Callable[[str], str],
        began: Callable[[], None],
        port: int,
        what: tuple[str, str] = ("worker", "workers"),
        relieved: Callable[[int], Deferred[None]] = lambda slot: succeed(None),
    ) -> None:
        self._reactor = reactor
        self._what, self._all = what
        self._relieved = relieved
        self._count = count
        self._launch = launch
        self._links = links
        self._address = address
        self._began: Callable[[], None] | None = began
        self.reports = Reports()
        #: Where clients connect.
        self.port = port
        #: Every worker that is not gone, by name.
        self._workers: dict[str, Worker] = {}
        #: Slot → the worker that accepts its connections.
        self._active: dict[int, Worker] = {}
        #: Slots whose worker died and is not replaced yet.
        self._down: set[int] = set()
        self._young: dict[int, int] = {}
        self._waiting: dict[int, IDelayedCall] = {}
        self._serial = 0
        #: Who waits for the end of the renewal that is under way.
        self._rolling: list[Deferred[None]] = []
        self._leaving = False
        self._look = LoopingCall(self._end_silent)
        self._look.clock = reactor
        #: Worker → what it has of things that are limited for all.
        self._counts: dict[str, dict[tuple[str, str], int]] = {}
        #: Workers that ended by themselves.
        self.deaths = 0

    def startService(self) -> None:
        """Start the workers."""
        super().startService()  # type: ignore[no-untyped-call]
        for slot in range(self._count):
            self._start(slot)
        self._look.start(_SILENCE / 4, now=False)

    def stopService(self) -> Deferred[Any]:
        """Stop the workers; fires when all are gone, which takes a few seconds at most."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._look.running:
            self._look.stop()
        for call in self._waiting.values():
            call.cancel()
        self._waiting.clear()
        workers = list(self._workers.values())
        for worker in workers:
            worker.signal(signal.SIGTERM)
        gone = DeferredList([worker.when_gone() for worker in workers])
        return gone.addTimeout(
            _STOPPED, self._reactor, onTimeoutCancel=lambda result, timeout: self._kill_all()
        )

    def leave(self) -> None:
        """The server begins to stop: workers that end now are not replaced. (Whoever stops a service may
        send all its processes the signal.)"""
        self._leaving = True

    def _kill_all(self) -> Deferred[Any]:
        workers = list(self._workers.values())
        for worker in workers:
            worker.signal(signal.SIGKILL)
        return DeferredList([worker.when_gone() for worker in workers])

    def ready(self) -> dict[str, str]:
        """Each slot with how its worker is."""
        return {str(slot): "ready" if slot in self._active else "starting" for slot in range(self._count)}

    def links(self) -> Mapping[str, Any]:
        """The ways to the workers, by their names."""
        return self._links.links

    def notify(self, users: Collection[str], notice: Mapping[str, Any]) -> None:
        """Send a notice to those clients of these users, of any worker, that asked for notices."""
        self.tell(c.Notice(list(users), dict(notice)))

    def tell(self, message: c.FromSupervisor) -> None:
        """Tell all that are ready something."""
        for worker in self._workers.values():
            if worker.ready:
                worker.send(message)

    def restart(self) -> Deferred[None]:
        """Replace all workers, one after the other, each by one that is ready before it goes. Fires when
        that, or what of it is under way already, has ended, whichever way."""
        if self._leaving or not self.running:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._rolling.append(ended)
        if len(self._rolling) == 1:

            def done(result: Any) -> None:
                waiting, self._rolling = self._rolling, []
                for one in waiting:
                    one.callback(None)

            Deferred.fromCoroutine(self._roll()).addErrback(
                lambda failure: self.log.failure("the {all} could not be renewed", failure, all=self._all)
            ).addCallback(done)
        return ended

    async def _roll(self) -> None:
        self.log.info("renewing the {all} one by one", all=self._all)
        for slot in range(self._count):
            old = self._active.get(slot)
            new = self._start(slot)
            try:
                await new.when_ready().addTimeout(_READY, self._reactor)
            except TimeoutError:
                self.log.error("the new {what} does not get ready: the old ones go on", what=self._what)
                new.signal(signal.SIGKILL)
                return
            if not new.ready:
                self.log.error(
                    "the new {what} ended before it was ready: the old ones go on", what=self._what
                )
                return
            if old is not None and old.name in self._workers:
                await self._relieve(old)
        self.log.info("all {all} are new", all=self._all)

    async def _relieve(self, old: Worker) -> None:
        serves = self._relieved(old.slot)
        old.send(c.Drain())
        try:
            await old.when_gone().addTimeout(_DRAINED, self._reactor)
        except TimeoutError:
            old.signal(signal.SIGKILL)
        try:
            await serves.addTimeout(_READY, self._reactor)
        except TimeoutError:
            self.log.warn("the new {what} does not answer yet", what=self._what)

    # From the workers.

    def worker_ready(self, worker: Worker) -> None:
        """A worker can serve clients: it takes its slot over."""
        self._active[worker.slot] = worker
        self._down.discard(worker.slot)
        for name, counts in self._counts.items():
            for (kind, key), count in counts.items():
                worker.send(c.Counted(kind, key, count, name))
        self._spread()
        if self._began is not None and len(self._active) == self._count:
            began, self._began = self._began, None
            began()

    def counted(self, worker: Worker, message: c.Counted) -> None:
        """A worker has more or less of something that is limited for all together."""
        counts = self._counts.setdefault(worker.name, {})
        if message.count:
            counts[message.kind, message.key] = message.count
        else:
            counts.pop((message.kind, message.key), None)
        told = c.Counted(message.kind, message.key, message.count, worker.name)
        for other in self._workers.values():
            if other is not worker and other.ready:
                other.send(told)

    def reported(self, worker: Worker, message: c.Reported) -> None:
        """A worker has told how it is."""
        self.reports.put(worker.name, message.report)

    def worker_gone(self, worker: Worker, why: str) -> None:
        """A worker's process has ended."""
        del self._workers[worker.name]
        self._links.remove(worker.name)
        self.reports.retire(worker.name)
        self._counts.pop(worker.name, None)
        for other in self._workers.values():
            if other.ready:
                other.send(c.Forget(worker.name))
        if self._active.get(worker.slot) is worker:
            del self._active[worker.slot]
        stopping = self._leaving or not self.running
        if not (worker.leaving or stopping):
            self.deaths += 1
            self.log.error("{what} {name} ended by itself: {why}", what=self._what, name=worker.name, why=why)
        if not stopping and not self._served(worker.slot):
            self._down.add(worker.slot)
            self._replace(worker)
        self._spread()

    def _served(self, slot: int) -> bool:
        return any(worker.slot == slot and not worker.leaving for worker in self._workers.values())

    def _replace(self, worker: Worker) -> None:
        slot = worker.slot
        lived = self._reactor.seconds() - worker.started
        young = self._young[slot] = self._young.get(slot, 0) + 1 if lived < _YOUNG else 0
        wait = min(_FIRST_WAIT * 2.0 ** (young - 1), _LONGEST_WAIT) if young > 1 else 0.0
        self._waiting[slot] = self._reactor.callLater(wait, self._start_again, slot)

    def _start_again(self, slot: int) -> None:
        del self._waiting[slot]
        if not self._served(slot):
            self._start(slot)

    def _start(self, slot: int) -> Worker:
        self._serial += 1
        name = f"{slot}.{self._serial}"
        address = self._address(name)
        worker = Worker(self._reactor, self, slot, name)
        self._workers[name] = worker
        try:
            self._links.add(name, address)
            self._launch(worker, address)
        except OSError as error:
            # No memory, no process, no descriptor to be had now.
            self._reactor.callLater(0, worker.failed, error.strerror)
        except RingError as error:
            self._reactor.callLater(0, worker.failed, error)
        return worker

    def _spread(self) -> None:
        """Tell each active worker on which slots' sockets it accepts: its own, and those of the dead."""
        active = sorted(self._active)
        if not active:
            return
        slots = {slot: [slot] for slot in active}
        for number, orphan in enumerate(sorted(self._down - self._active.keys())):
            slots[active[number % len(active)]].append(orphan)
        for slot in active:
            self._active[slot].listen(slots[slot])

    def _end_silent(self) -> None:
        now = self._reactor.seconds()
        for worker in list(self._workers.values()):
            if now - worker.heard > (_SILENCE if worker.ready else _READY):
                self.log.error(
                    "{what} {name} does not answer: it is ended", what=self._what, name=worker.name
                )
                worker.signal(signal.SIGKILL)


def renew(supervisors: Sequence[Supervisor]) -> None:
    """Renew all workers of one, then those of the next."""

    async def one_by_one() -> None:
        for supervisor in supervisors:
            await supervisor.restart()

    Deferred.fromCoroutine(one_by_one())
