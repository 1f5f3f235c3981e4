"""Processes at the other end of a ring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("child.py")
#: No wait for a process is longer (seconds).
PATIENCE = 20.0


class Child:
    """A process of `child.py` that has said that it is ready."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        """It may do what comes next."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self) -> int:
        """Wait until it has ended; its exit code."""
        return self.process.wait(PATIENCE)


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Start another process; it is killed at the end if it still runs."""
    children: list[Child] = []

    def start(*arguments: str) -> Child:
        children.append(Child(*arguments))
        return children[-1]

    yield start
    for one in children:
        one.kill()
        for stream in (one.process.stdin, one.process.stdout):
            assert stream is not None
            stream.close()
