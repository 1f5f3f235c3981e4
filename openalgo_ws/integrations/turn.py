"""Whose turn it is: one process of several runs the gateway, and another takes over when that one ends.

The turn is a lock on a file, which the operating system gives back when its holder ends, however it
ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Turn", "turn_file"]


def turn_file(endpoints: Sequence[str]) -> Path:
    """The file that processes meet at which want to listen on the same endpoints."""
    place = hashlib.sha256("\n".join(endpoints).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"openalgo-ws-{os.getuid()}-{place}.lock"


class Turn:
    """A lock that one process holds. The file stays: removing it would let two hold "the" lock.

    OSError if the file can't be opened, or is a symbolic link.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def fileno(self) -> int:
        """The descriptor that holds the lock. A process that inherits it holds the lock as well."""
        return self._file

    def take(self) -> bool:
        """Take the turn if nobody has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._sign()
        return True

    def wait(self) -> None:
        """Take the turn as soon as nobody has it. Blocks until then."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._sign()

    def holder(self) -> int | None:
        """The process that has it, as far as it has said so."""
        text = os.pread(self._file, 20, 0)
        return int(text) if text.isdigit() else None

    def give_back(self) -> None:
        """Let the next one have it."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def _sign(self) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d" % os.getpid(), 0)
