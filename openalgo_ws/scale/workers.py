"""A worker process as the supervisor sees it."""

from __future__ import annotations

import os
import signal as signals
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.scale import control as c
from openalgo_ws.scale.local import Frames

if TYPE_CHECKING:
    from openalgo_ws.scale.supervisor import Supervisor

__all__ = ["Launch", "Launcher", "Worker"]

#: Starts a worker's process, given the address of its end of the bus.
Launch = Callable[["Worker", str], None]

#: The longest line of a worker's log that is passed on whole (bytes).
_LONGEST_LINE = 64 * 1024


class Worker(ProcessProtocol):
    """One worker process, from its start until it is gone."""

    log = Logger()
    transport: Any = None

    def __init__(self, reactor: Any, supervisor: Supervisor, slot: int, name: str) -> None:
        self._reactor = reactor
        self._supervisor = supervisor
        self.slot = slot
        self.name = name
        self.started = self.heard = reactor.seconds()
        self.ready = False
        #: Whether it was told to go.
        self.leaving = False
        self.relay: Callable[[str], None] = lambda line: None
        self.control: _Control | None = None
        self._listens: list[int] = []
        self._waiting_ready: list[Deferred[None]] = []
        self._waiting_gone: list[Deferred[None]] = []
        self._gone = False
        self._output: dict[int, bytes] = {}

    @property
    def pid(self) -> int:
        """The process' number."""
        return int(self.transport.pid)

    def when_ready(self) -> Deferred[None]:
        """Fires when it is ready, or gone."""
        return self._when(self.ready or self._gone, self._waiting_ready)

    def when_gone(self) -> Deferred[None]:
        """Fires when its process has ended."""
        return self._when(self._gone, self._waiting_gone)

    @staticmethod
    def _when(now: bool, waiting: list[Deferred[None]]) -> Deferred[None]:
        if now:
            return succeed(None)
        deferred: Deferred[None] = Deferred()
        waiting.append(deferred)
        return deferred

    def send(self, message: c.FromSupervisor) -> None:
        """Tell the worker something."""
        if isinstance(message, c.Drain):
            self.leaving = True
        if self.control is not None:
            self.control.send(c.encode(message))

    def listen(self, slots: list[int]) -> None:
        """Let it accept connections on the sockets of these slots, and no others."""
        if slots != self._listens:
            self._listens = slots
            self.send(c.Listen(slots))

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        self.leaving = self.leaving or number == signals.SIGTERM
        with suppress(ProcessExitedAlready):
            if self.transport is not None:
                self.transport.signalProcess(number)

    def received(self, data: bytes) -> None:
        """A message of the worker."""
        self.heard = self._reactor.seconds()
        message = c.decode_from_worker(data)
        match message:
            case c.Ready():
                self.ready = True
                self._supervisor.worker_ready(self)
                _fire(self._waiting_ready)
            case c.Reported():
                self._supervisor.reported(self, message)
            case c.Counted():
                self._supervisor.counted(self, message)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Pass on what it logs, line by line."""
        *lines, rest = (self._output.get(childFD, b"") + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = b""
        self._output[childFD] = rest
        for line in lines:
            self.relay(line.decode(errors="replace"))

    def processEnded(self, reason: Failure) -> None:
        """Its process is gone, and everything it said has been read."""
        self._end("" if reason.check(ProcessDone) else str(reason.value))

    def failed(self, why: object) -> None:
        """There is no process: it could not be started."""
        self._end(f"it could not be started: {why}")

    def _end(self, why: str) -> None:
        self._gone = True
        self.ready = False
        if self.control is not None:
            self.control.close()
        self._supervisor.worker_gone(self, why)
        _fire(self._waiting_ready)
        _fire(self._waiting_gone)


def _fire(waiting: list[Deferred[None]]) -> None:
    fired, waiting[:] = list(waiting), []
    for deferred in fired:
        deferred.callback(None)


class _Control(Frames):
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def stringReceived(self, string: bytes) -> None:
        self._worker.received(string)


class _ControlFactory(Factory):
    noisy = False

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def buildProtocol(self, addr: Any) -> _Control:
        self._worker.control = _Control(self._worker)
        return self._worker.control


class Launcher:
    """Starts workers: this Python with these ``options``, the listening sockets and a control stream.

    ``sockets`` holds for each endpoint its sockets by slot. Each line that a worker logs goes to
    ``relay``. ``database`` is given where it is not the settings' own.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        options: Sequence[str],
        environ: Mapping[str, str],
        sockets: Mapping[str, Sequence[socket.socket]],
        generation: str,
        demand: str,
        relay: Callable[[str], None],
        database: str | None = None,
    ) -> None:
        self._reactor = reactor
        self._options = list(options)
        self._environ = dict(environ)
        self._sockets = sockets
        self._generation = generation
        self._demand = demand
        self._relay = relay
        self._database = database

    def boot(self, worker: Worker, address: str, listeners: list[c.Listener]) -> c.Boot:
        """What the process is told."""
        return c.Boot(worker.name, self._generation, self._demand, address, listeners, self._database)

    def __call__(self, worker: Worker, address: str) -> None:
        """Start the process of a worker."""
        worker.relay = self._relay
        descriptors: dict[int, int] = {}
        listeners = []
        number = c.CONTROL_FD
        for endpoint, sockets in self._sockets.items():
            for slot, one in enumerate(sockets):
                number += 1
                descriptors[number] = one.fileno()
                listeners.append(c.Listener(slot, number, endpoint))
        boot = self.boot(worker, address, listeners)
        ours, theirs = socket.socketpair()
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            ours.setblocking(False)
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, _ControlFactory(worker))
            self._reactor.spawnProcess(
                worker,
                sys.executable,
                [sys.executable, "-m", "openalgo_ws.scale.child", *self._options],
                env=c.boot_variables(boot, self._environ),
                childFDs={0: nothing, 1: "r", 2: "r", c.CONTROL_FD: theirs.fileno(), **descriptors},
            )
        finally:
            # The reactor and the child have their own.
            ours.close()
            theirs.close()
            os.close(nothing)
