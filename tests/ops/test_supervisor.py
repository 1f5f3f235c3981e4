"""What systemd hears over a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from openalgo_ws.ops.supervisor import Supervised, notify_address, watchdog_seconds


class RunningClock(Clock):
    """A reactor's clock; whatever waits for the reactor to run is called by `run`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waiting: list[Any] = []

    def callWhenRunning(self, call: Any) -> None:
        self.waiting.append(call)

    def run(self) -> None:
        for call in self.waiting:
            call()


class Systemd:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[bytes]:
        """Everything since this was last asked: a datagram is there as soon as it has been sent."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096))
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(str(tmp_path / "notify"))
    yield made
    made.close()


def supervised(clock: RunningClock, address: str, watchdog: str | None = "10000000") -> Supervised:
    environ = {"NOTIFY_SOCKET": address}
    if watchdog is not None:
        environ |= {"WATCHDOG_USEC": watchdog, "WATCHDOG_PID": str(os.getpid())}
    return Supervised(clock, environ)


def test_ready_is_said_when_the_reactor_runs_and_stopping_at_the_end(
    systemd: Systemd, tmp_path: Path
) -> None:
    clock = RunningClock()
    service = supervised(clock, str(tmp_path / "notify"), watchdog=None)

    service.startService()
    assert systemd.heard() == []
    clock.run()
    assert systemd.heard() == [b"READY=1"]
    service.stopService()

    assert systemd.heard() == [b"STOPPING=1"]
    assert clock.getDelayedCalls() == []


def test_the_watchdog_is_fed_twice_as_often_as_asked_and_by_the_reactor_alone(
    systemd: Systemd, tmp_path: Path
) -> None:
    clock = RunningClock()
    service = supervised(clock, str(tmp_path / "notify"))
    service.startService()
    clock.run()
    assert systemd.heard() == [b"READY=1", b"WATCHDOG=1"]

    clock.advance(4.9)
    assert systemd.heard() == []
    clock.advance(0.1)
    assert systemd.heard() == [b"WATCHDOG=1"]

    # A reactor that was held up for half a minute has fed nothing meanwhile, and makes up for nothing.
    clock.advance(30.0)
    assert systemd.heard() == [b"WATCHDOG=1"]
    service.stopService()
    assert clock.getDelayedCalls() == []


def test_an_abstract_socket_is_reached() -> None:
    name = f"openalgo-ws-test-{os.getpid()}"
    listening, clock = Systemd("\0" + name), RunningClock()
    service = supervised(clock, "@" + name, watchdog=None)

    service.startService()
    clock.run()
    service.stopService()

    assert listening.heard() == [b"READY=1", b"STOPPING=1"]
    listening.close()


def test_a_socket_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    clock = RunningClock()
    service = supervised(clock, str(tmp_path / "nobody"))

    service.startService()
    clock.run()
    clock.advance(5.0)
    service.stopService()

    assert clock.getDelayedCalls() == []


def test_a_full_socket_does_not_hold_the_reactor_up(systemd: Systemd, tmp_path: Path) -> None:
    clock = RunningClock()
    service = supervised(clock, str(tmp_path / "notify"))
    service.startService()
    clock.run()

    # Nobody reads: the kernel's queue of datagrams is full long before.
    for _ in range(5_000):
        clock.advance(5.0)
    service.stopService()

    assert 0 < len(systemd.heard()) < 5_000


def test_stopped_before_the_reactor_ran_it_starts_nothing(systemd: Systemd, tmp_path: Path) -> None:
    clock = RunningClock()
    service = supervised(clock, str(tmp_path / "notify"))

    service.startService()
    service.stopService()
    clock.run()

    assert systemd.heard() == [b"STOPPING=1"]
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": ""}, None),
        ({"NOTIFY_SOCKET": "relative"}, None),
        ({"NOTIFY_SOCKET": "/run/s"}, "/run/s"),
        ({"NOTIFY_SOCKET": "@s"}, "\0s"),
        ({"NOTIFY_SOCKET": "/run/s", "SYSTEMD_EXEC_PID": "7"}, "/run/s"),
        ({"NOTIFY_SOCKET": "/run/s", "SYSTEMD_EXEC_PID": "8"}, None),
    ],
)
def test_only_the_main_process_of_a_service_has_somebody_to_tell(
    environ: dict[str, str], expected: str | None
) -> None:
    assert notify_address(environ, 7) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "2000000"}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "7"}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_a_watchdog_of_this_process_alone_is_fed(environ: dict[str, str], expected: float | None) -> None:
    assert watchdog_seconds(environ, 7) == expected
