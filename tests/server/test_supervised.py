"""A server under systemd: here a socket that stands for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fixtures import Start

pytestmark = pytest.mark.slow


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        # Only a server that says nothing makes anybody wait for it.
        listening.settimeout(20.0)
        yield listening


def test_a_server_says_that_it_is_ready_that_it_turns_and_that_it_stops(
    process: Start, systemd: socket.socket, tmp_path: Path
) -> None:
    server = process(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="100000")
    # The suite itself may run under systemd.
    for name in ("SYSTEMD_EXEC_PID", "WATCHDOG_PID"):
        server.environ.pop(name, None)
    server.start()

    assert systemd.recv(100) == b"READY=1"
    assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3

    assert server.stop() == 0
    said = systemd.recv(100)
    while said == b"WATCHDOG=1":
        said = systemd.recv(100)
    assert said == b"STOPPING=1"
