"""A piece of shared memory with a name, for one writer and many readers on one host.

It is a file in ``/dev/shm`` that everybody maps, which is what `multiprocessing.shared_memory` makes as
well, but without that module's resource tracker: before Python 3.13 the tracker removes the memory when
the first *reader* exits. The file belongs to the user of the process and nobody else may open it (0600).
Beside it lie named pipes: ``NAME.bell``, by which readers wake the writer, and one for each reader,
``NAME.TOKEN.wake``. A pipe tells of a death, too: its other end is closed by the kernel.

The head of the memory is words of 8 bytes. A word is written and read by one machine instruction
(aligned, through a memoryview of native words), so it is always one value or the other.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import secrets
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["HEAD", "Peer", "RingError", "RingInUse", "RingMissing", "Segment", "fence", "folder", "ring_bell"]

MAGIC = 0x4F41_5752_0001  # the last digits are the version of this layout

# Words of the head; those that are written often by different processes are in lines of their own.
SLOTS, SLOT_BYTES, CHECKED, WRITER, STARTED, CLOSED = range(1, 7)
CLAIMED = 8
PUBLISHED, NEWEST = 16, 17
REGISTRATIONS = 24
WAITS = 32

#: Readers at a time.
MOST_READERS = 64
#: First word of the readers' table, and words of an entry.
READERS, ENTRY = 64, 8
# Words of an entry.
STATE, PID, SINCE, CURSOR, SLEEPS, TOKEN = range(6)
FREE, ACTIVE, DROPPED = range(3)

#: Bytes before the first slot.
HEAD = (READERS + MOST_READERS * ENTRY) * 8

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_order = threading.Lock()


class RingError(Exception):
    """A ring can't be had or used; the text says why."""


class RingMissing(RingError):
    """There is no ring of this name with a living writer."""


class RingInUse(RingError):
    """The ring of this name has a writer that lives."""


def fence() -> None:
    """Make what was stored before visible to others before anything is loaded after.

    Taking a lock is a locked instruction, which on x86 is a full barrier and costs 0.1 µs.
    """
    with _order:
        pass


def folder() -> Path:
    """Where segments are: memory where the system has such a folder."""
    # Files in it are made with O_EXCL and for this user alone.
    memory = Path("/dev/shm")  # nosec B108
    return memory if memory.is_dir() else Path(tempfile.gettempdir())


class Peer(NamedTuple):
    """A process, told from a later one of the same number by when it started (0 where unknown).

    Those who share a ring know each other by number: they are of one PID namespace, not of two containers.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Peer:
        """The process of this number as it is now."""
        try:
            # The name of the program, which may hold anything, ends with the last parenthesis.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # A process that has ended and was not yet collected by its parent uses nothing any more.
            return cls(pid, -1 if fields[0] in "ZX" else int(fields[19]))
        except (OSError, IndexError, ValueError):
            return cls(pid, 0)

    def lives(self) -> bool:
        """Whether this very process still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return Peer.of(self.pid).started == self.started


class Segment:
    """A mapped segment. Use `create` or `attach`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self.bytes = memoryview(self._map)
        #: The head, by words.
        self.words = self.bytes[:HEAD].cast("Q")

    @classmethod
    def create(cls, name: str, slots: int, slot_bytes: int, *, checked: bool) -> Segment:
        """A new segment in the place of one whose writer is dead. RingInUse if it lives; RingError."""
        path = _path(name)
        draft = path.with_name(f".{name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                _reserve(descriptor, HEAD + slots * slot_bytes)
            except OSError as error:
                raise RingError(
                    f"no memory for {slots} slots of {slot_bytes} bytes: {error.strerror}"
                ) from None
            segment = cls(path, descriptor)
            words = segment.words
            words[SLOTS], words[SLOT_BYTES], words[CHECKED] = slots, slot_bytes, checked
            words[WRITER], words[STARTED] = Peer.of(os.getpid())
            words[0] = MAGIC
            # A link, unlike a new name, never takes the place of another writer's segment.
            while True:
                try:
                    os.link(draft, path)
                    return segment
                except FileExistsError:
                    cls.remove_stale(name)
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            draft.unlink()

    @classmethod
    def attach(cls, name: str) -> Segment:
        """The segment of this name. RingMissing if there is none whose writer lives."""
        segment = cls._open(name)
        if not segment.writer_lives():
            segment.close()
            raise RingMissing(f"the writer of {name} is gone")
        return segment

    @classmethod
    def _open(cls, name: str) -> Segment:
        path = _path(name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise RingMissing(f"there is no ring {name}") from None
        except OSError as error:
            raise RingError(f"{path} can't be opened: {error.strerror}") from None
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode) or found.st_size < HEAD:
            os.close(descriptor)
            raise RingError(f"{path} is not a ring of this user")
        segment = cls(path, descriptor)
        words = segment.words
        if words[0] != MAGIC or found.st_size != HEAD + words[SLOTS] * words[SLOT_BYTES]:
            segment.close()
            raise RingError(f"{path} is not a ring of this version")
        return segment

    @classmethod
    def remove_stale(cls, name: str) -> None:
        """Remove the segment of a dead writer, and the pipes of its dead readers. RingInUse; RingError."""
        try:
            segment = cls._open(name)
        except RingMissing:
            return
        try:
            with segment.locked():
                if not segment.is_current():
                    return
                if segment.writer_lives():
                    raise RingInUse(f"the ring {name} has a writer, process {segment.words[WRITER]}")
                for entry in segment.entries():
                    if not segment.reader(entry).lives():
                        segment.wake_path(segment.words[entry + TOKEN]).unlink(missing_ok=True)
                segment.remove()
        finally:
            segment.close()

    def writer_lives(self) -> bool:
        """Whether the writer has neither closed the ring nor died."""
        return not self.words[CLOSED] and Peer(self.words[WRITER], self.words[STARTED]).lives()

    def is_current(self) -> bool:
        """Whether the name still stands for this segment."""
        try:
            named = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return named.st_ino == os.fstat(self._descriptor).st_ino

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing the readers' table; held for microseconds, released by a death."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def entries(self, state: int = ACTIVE) -> list[int]:
        """The words at which the entries of readers in this state begin."""
        words = self.words
        table = range(READERS, READERS + MOST_READERS * ENTRY, ENTRY)
        return [entry for entry in table if words[entry + STATE] == state]

    def reader(self, entry: int) -> Peer:
        """The process of an entry."""
        return Peer(self.words[entry + PID], self.words[entry + SINCE])

    def drop(self, entry: int, token: int) -> None:
        """Wait for this reader no longer, if the entry is still its own."""
        with self.locked():
            if self.words[entry + TOKEN] == token and self.words[entry + STATE] == ACTIVE:
                dead = not self.reader(entry).lives()
                self.words[entry + STATE] = FREE if dead else DROPPED
                self.words[REGISTRATIONS] += 1
                if dead:
                    self.wake_path(token).unlink(missing_ok=True)

    def make_bell(self) -> int:
        """The reading end of the pipe by which readers wake the writer, made anew."""
        bell = self.bell_path()
        try:
            bell.unlink(missing_ok=True)
            os.mkfifo(bell, 0o600)
            # Open for writing too, so that it never reads as ended while no reader is there.
            return os.open(bell, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.remove()
            self.close()
            raise RingError(f"{bell} can't be made: {error.strerror}") from None

    def bell_path(self) -> Path:
        """The pipe by which readers wake the writer."""
        return self.path.with_name(f"{self.path.name}.bell")

    def wake_path(self, token: int) -> Path:
        """The pipe by which the writer wakes a reader."""
        return self.path.with_name(f"{self.path.name}.{token:016x}.wake")

    def remove(self) -> None:
        """Take the name away. Those who have it mapped keep it."""
        self.path.unlink(missing_ok=True)
        self.bell_path().unlink(missing_ok=True)

    def close(self) -> None:
        """Unmap it."""
        self.words.release()
        self.bytes.release()
        self._map.close()
        os.close(self._descriptor)


def ring_bell(descriptor: int) -> bool:
    """Wake whoever reads this pipe; False if nobody has it open any more."""
    try:
        os.write(descriptor, b"\0")
    except BlockingIOError:
        pass  # Full of calls already.
    except BrokenPipeError:
        return False
    return True


def open_bell(path: Path) -> int | None:
    """The writing end of a pipe; None if nobody reads it."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return None
        raise


def silence_bell(descriptor: int) -> bool:
    """Take all calls out of a pipe; False if nobody can call any more."""
    with suppress(BlockingIOError):
        while True:
            if not os.read(descriptor, 4096):
                return False
    return True


def _reserve(descriptor: int, size: int) -> None:
    # Memory that is promised but not there would be a fatal signal at the first write.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # pragma: no cover
        os.ftruncate(descriptor, size)


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a ring's name is up to 100 letters, digits, dots, dashes: not {name!r}")
    return folder() / name
