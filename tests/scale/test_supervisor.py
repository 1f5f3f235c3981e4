"""The supervisor on a clock, with workers that are no processes."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from openalgo_ws.bus.segment import RingError
from openalgo_ws.ops.reports import Report
from openalgo_ws.scale import control as c
from openalgo_ws.scale.supervisor import Supervisor, renew
from openalgo_ws.scale.workers import Worker


class FakeProcess:
    """A process and its stream, as `Worker` sees them."""

    pid = 1

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.signals: list[int] = []
        self.heard: list[c.FromSupervisor] = []
        self.over = False
        worker.transport = self
        worker.control = self  # type: ignore[assignment]

    def signalProcess(self, number: int) -> None:
        if self.over:
            raise ProcessExitedAlready
        self.signals.append(number)

    def send(self, data: bytes) -> None:
        self.heard.append(c.decode_from_supervisor(data))

    def close(self) -> None:
        """The stream has ended."""

    def tell(self, message: c.FromWorker) -> None:
        self.worker.received(c.encode(message))

    def end(self, reason: Exception | None = None) -> None:
        self.over = True
        self.worker.processEnded(Failure(reason or ProcessTerminated(signal=signal.SIGKILL)))

    def slots(self) -> list[int]:
        """On whose sockets it was told to accept, last."""
        return [message.slots for message in self.heard if isinstance(message, c.Listen)][-1]


class FakeLinks:
    def __init__(self) -> None:
        self.links: dict[str, Any] = {}
        self.fails = False

    def add(self, name: str, address: str) -> None:
        if self.fails:
            raise RingError("no memory for 1024 slots of 256 bytes")
        self.links[name] = address

    def remove(self, name: str) -> None:
        self.links.pop(name, None)


class Rig:
    def __init__(self, count: int = 2) -> None:
        self.clock = Clock()
        #: What says that the new one of a slot serves.
        self.serving: list[tuple[int, Deferred[None]]] = []
        self.made: list[FakeProcess] = []
        self.fails = False
        self.links = FakeLinks()
        self.began = 0
        self.supervisor = Supervisor(
            self.clock,
            count,
            launch=self._launch,
            links=self.links,
            address=lambda name: f"to {name}",
            began=self._begin,
            port=1,
            relieved=self._relieved,
        )
        self.supervisor.startService()

    def _begin(self) -> None:
        self.began += 1

    def _relieved(self, slot: int) -> Deferred[None]:
        # Before the old one is told to go.
        assert not any(process.worker.slot == slot and process.worker.leaving for process in self.made)
        self.serving.append((slot, Deferred()))
        return self.serving[-1][1]

    def _launch(self, worker: Worker, address: str) -> None:
        if self.fails:
            raise OSError(12, "Cannot allocate memory")
        assert address == f"to {worker.name}"
        self.made.append(FakeProcess(worker))

    def ready(self) -> None:
        for process in self.made:
            if not process.worker.ready and not process.over:
                process.tell(c.Ready())


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    made.ready()
    return made


def test_each_worker_accepts_on_its_own_sockets(rig: Rig) -> None:
    assert rig.began == 1
    assert [process.slots() for process in rig.made] == [[0], [1]]
    assert rig.supervisor.ready() == {"0": "ready", "1": "ready"}
    assert list(rig.links.links.values()) == ["to 0.1", "to 1.2"]


def test_a_dead_worker_is_replaced_and_another_one_stands_in(rig: Rig) -> None:
    rig.clock.advance(60)
    first, second = rig.made
    first.end()
    assert second.slots() == [1, 0]
    assert second.heard[-2:] == [c.Forget("0.1"), c.Listen([1, 0])]
    assert rig.supervisor.ready() == {"0": "starting", "1": "ready"}
    rig.clock.advance(0)
    rig.ready()
    assert rig.made[2].slots() == [0]
    assert second.slots() == [1]
    assert rig.supervisor.deaths == 1
    assert rig.began == 1
    assert sorted(rig.links.links) == ["0.3", "1.2"]


def test_who_dies_young_again_and_again_waits_longer(rig: Rig) -> None:
    waits = []
    for _ in range(12):
        rig.made[-1].end()
        count, waited = len(rig.made), 0.0
        rig.clock.advance(0)
        while len(rig.made) == count:
            rig.clock.advance(0.25)
            waited += 0.25
        waits.append(waited)
        rig.ready()
    assert waits[:4] == [0.0, 0.5, 1.0, 2.0]
    assert max(waits) == waits[-1] == 30.0


def test_a_worker_that_cannot_be_started_is_tried_again(rig: Rig) -> None:
    rig.clock.advance(60)
    rig.fails = True
    rig.made[0].end()
    rig.clock.pump([0, 0, 1])
    rig.fails = False
    rig.clock.pump([5, 5])
    rig.ready()
    assert rig.supervisor.ready() == {"0": "ready", "1": "ready"}


def test_a_worker_without_memory_for_its_ring_is_tried_again(rig: Rig) -> None:
    rig.clock.advance(60)
    rig.links.fails = True
    rig.made[0].end()
    rig.clock.pump([0, 0, 1])
    assert len(rig.made) == 2
    assert list(rig.links.links) == ["1.2"]
    rig.links.fails = False
    rig.clock.pump([5, 5])
    rig.ready()
    assert rig.supervisor.ready() == {"0": "ready", "1": "ready"}
    assert sorted(rig.links.links) == sorted(process.worker.name for process in rig.made[1:])


def test_one_after_the_other_is_renewed(rig: Rig) -> None:
    first, second = rig.made
    ended: list[None] = []
    for _ in range(2):
        rig.supervisor.restart().addCallback(ended.append)
    assert len(rig.made) == 3
    assert c.Drain() not in first.heard
    rig.ready()
    assert first.heard[-1] == c.Drain()
    assert rig.made[2].slots() == [0]
    assert len(rig.made) == 3
    first.end(ProcessDone(0))
    assert len(rig.made) == 3
    assert rig.serving[0][0] == 0
    rig.serving[0][1].callback(None)
    assert len(rig.made) == 4
    assert c.Drain() not in second.heard
    rig.ready()
    assert second.heard[-1] == c.Drain()
    # One that does not go in time is made to.
    rig.clock.advance(10)
    second.tell(c.Reported(Report()))
    rig.clock.advance(11)
    assert second.signals == [signal.SIGKILL]
    second.end()
    assert rig.supervisor.deaths == 0
    assert len(rig.made) == 4
    assert sorted(rig.links.links) == ["0.3", "1.4"]
    # One that does not serve in time is not waited for.
    assert not ended
    rig.clock.advance(40)
    for new in rig.made[2:]:
        new.tell(c.Reported(Report()))
    rig.clock.advance(20)
    assert len(ended) == 2
    # And all could be renewed once more.
    rig.supervisor.restart()
    assert len(rig.made) == 5


def test_one_kind_is_renewed_after_the_other(rig: Rig) -> None:
    other = Rig()
    other.ready()
    renew([rig.supervisor, other.supervisor])
    # The first kind gives up.
    rig.made[2].end()
    assert len(other.made) == 3


@pytest.mark.parametrize("dies", [True, False])
def test_the_old_ones_go_on_where_a_new_one_does_not_get_ready(rig: Rig, dies: bool) -> None:
    rig.supervisor.restart()
    new = rig.made[2]
    if dies:
        new.end()
    else:
        rig.clock.advance(30)
        for old in rig.made[:2]:
            old.tell(c.Reported(Report()))
        rig.clock.advance(31)
        assert set(new.signals) == {signal.SIGKILL}
        new.end()
    assert not any(c.Drain() in old.heard for old in rig.made[:2])
    assert rig.supervisor.ready() == {"0": "ready", "1": "ready"}
    rig.clock.advance(0)
    assert len(rig.made) == 3


def test_a_worker_that_is_silent_is_ended(rig: Rig) -> None:
    first, second = rig.made
    for _ in range(6):
        rig.clock.advance(5)
        first.tell(c.Reported(Report()))
    assert first.signals == []
    assert signal.SIGKILL in second.signals


def test_a_worker_that_does_not_get_ready_is_ended() -> None:
    rig = Rig(count=1)
    rig.clock.pump([5] * 12)
    assert rig.made[0].signals == []
    rig.clock.advance(5)
    assert rig.made[0].signals == [signal.SIGKILL]


def test_what_a_worker_has_is_told_to_the_others(rig: Rig) -> None:
    first, second = rig.made
    first.tell(c.Counted("user", "alice", 2))
    assert second.heard[-1] == c.Counted("user", "alice", 2, "0.1")
    assert not any(isinstance(message, c.Counted) for message in first.heard)
    second.end()
    rig.clock.advance(0)
    rig.ready()
    assert c.Counted("user", "alice", 2, "0.1") in rig.made[2].heard


def test_notices_go_to_all_workers_that_serve(rig: Rig) -> None:
    rig.made[0].end()
    rig.clock.advance(0)
    rig.supervisor.notify(["alice"], {"type": "alert"})
    assert rig.made[1].heard[-1] == c.Notice(["alice"], {"type": "alert"})
    assert rig.made[2].heard == []


def test_who_ends_while_the_server_stops_is_not_replaced(rig: Rig) -> None:
    rig.supervisor.leave()
    rig.made[0].end(ProcessDone(0))
    rig.clock.advance(60)
    assert len(rig.made) == 2
    assert rig.supervisor.deaths == 0


def test_all_are_stopped(rig: Rig) -> None:
    stopped: list[Any] = []
    rig.supervisor.stopService().addCallback(stopped.append)
    first, second = rig.made
    assert first.signals == second.signals == [signal.SIGTERM]
    first.end(ProcessDone(0))
    assert not stopped
    rig.clock.advance(3.6)
    assert second.signals == [signal.SIGTERM, signal.SIGKILL]
    second.end()
    assert stopped
    assert not rig.clock.getDelayedCalls()
    assert not rig.links.links
    assert rig.supervisor.deaths == 0
