"""A ring of fixed-size slots in shared memory: one writer, many readers, in any processes of one host.

A message takes one slot, or as many that follow each other as it needs: a book of 200 levels can't be
divided, and slots that hold it would be 60 times too long for everything else. Only one that is longer
than half the ring is refused (ValueError). A slot begins with its position (slots since the beginning), the
message's number, its length and a checksum.

**The writer never waits here.** It overwrites the oldest slots. A reader that was overtaken finds out,
counts exactly how many messages it missed, by their numbers, and goes on with the newest. A writer that
would rather wait asks `RingBuffer.room` first, which knows how far every reader is.

**No slot is ever read while it is written.** The writer says how far it is going to write (``claimed``)
before it does, and how far it has written (``published``) after. A reader copies what it wants of the
published, and then looks at ``claimed``: if that is so far ahead that the slots may have been touched
meanwhile, the copy is thrown away. That relies on stores becoming visible in the order in which they were
made, and on loads being made in order. x86 guarantees both, and the interpreter makes each in a call of
its own, which no compiler reorders. Elsewhere (ARM) neither is guaranteed and Python has no fence, so there
every message carries a CRC-32 over its header and content: a copy that does not match is thrown away and
made again later. ``checked`` forces that on any machine; it costs 0.1 µs a message on each side.

**Sleeping readers** say so and are woken through a pipe; the writer makes no system call for those that
are awake. On x86 a fence makes sure that either the reader sees the last message or the writer sees
that it sleeps; elsewhere the reader looks a second time a millisecond later.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import repeat
from struct import Struct

from openalgo_ws.bus import segment as layout
from openalgo_ws.bus.ring_reader import HEADER, ORDERED, RingReader, Wait, checksum
from openalgo_ws.bus.segment import (
    HEAD,
    RingError,
    RingInUse,
    RingMissing,
    Segment,
    fence,
    folder,
    open_bell,
    ring_bell,
    silence_bell,
)

__all__ = [
    "RingBuffer",
    "RingBufferPool",
    "RingError",
    "RingInUse",
    "RingMissing",
    "RingReader",
    "Wait",
]

#: Slots that are written at once: readers follow while a long batch is published.
_CHUNK = 1024


class RingBuffer:
    """The writing end of a ring, and the only one: RingInUse if the name has a writer that lives.

    ``slots`` is a power of two, at least 8; ``slot_bytes`` a multiple of 8, at least 32, of which 24 are
    the header. A ring that a dead writer left is replaced.
    """

    def __init__(
        self, name: str, *, slots: int = 65_536, slot_bytes: int = 256, checked: bool | None = None
    ) -> None:
        if slots < 8 or slots & (slots - 1):
            raise ValueError(f"the number of slots is a power of two, 8 or more, not {slots}")
        if slot_bytes < 32 or slot_bytes % 8:
            raise ValueError(f"a slot is a multiple of 8 bytes, 32 or more, not {slot_bytes}")
        self.name = name
        self.slots = slots
        self.slot_bytes = slot_bytes
        self._checked = not ORDERED if checked is None else checked
        self._segment = Segment.create(name, slots, slot_bytes, checked=self._checked)
        self._words = self._segment.words
        self._body = self._segment.bytes[HEAD:]
        self._slot = Struct(f"@QQII{slot_bytes - HEADER.size}s")
        self._room = slot_bytes - HEADER.size
        self._position = 0
        self._number = 0
        #: Position up to which may be written without asking how far the readers are.
        self._limit = 0
        self._registrations = 0
        #: Entry → its token, and the pipe that wakes its reader.
        self._readers: dict[int, tuple[int, int]] = {}
        #: The same, to go through at every message: where it says that it sleeps, number, pipe.
        self._sleepers: tuple[tuple[int, int, int], ...] = ()
        self._bell = self._segment.make_bell()
        self.closed = False

    @property
    def most_bytes(self) -> int:
        """The length of the longest message."""
        return self.slots // 2 * self.slot_bytes - HEADER.size

    @property
    def published(self) -> int:
        """How many messages have been published."""
        return self._number

    @property
    def position(self) -> int:
        """How many slots have been written."""
        return self._position

    @property
    def readers(self) -> int:
        """How many readers there are."""
        self._refresh()
        return len(self._readers)

    def publish(self, message: bytes) -> None:
        """Publish one message. ValueError if it is longer than `most_bytes`."""
        length = len(message)
        if length > self._room:
            self._publish_long(message)
        else:
            words, position, number = self._words, self._position, self._number
            check = checksum(position, number, message) if self._checked else 0
            words[layout.CLAIMED] = self._position = position + 1
            self._slot.pack_into(
                self._body,
                (position & (self.slots - 1)) * self.slot_bytes,
                position,
                number,
                length,
                check,
                message,
            )
            self._number = number + 1
            words[layout.PUBLISHED] = position + 1
            words[layout.NEWEST] = position
        self._wake()

    def publish_many(self, messages: Sequence[bytes]) -> None:
        """Publish messages in order, with one copy for all where none is longer than a slot."""
        for start in range(0, len(messages), min(_CHUNK, self.slots // 4)):
            some = messages[start : start + min(_CHUNK, self.slots // 4)]
            lengths = list(map(len, some))
            if max(lengths) > self._room:
                for message in some:
                    self._publish_long(message)
            else:
                self._publish_short(some, lengths)
            self._wake()

    def needs(self, length: int) -> int:
        """How many slots a message of so many bytes takes."""
        return -(-(HEADER.size + length) // self.slot_bytes)

    def room(self, slots: int) -> bool:
        """Whether so many slots can be written without overtaking a reader.

        Where not, readers will ring (see `fileno`) when half of the ring is free.
        """
        if self._registrations != self._words[layout.REGISTRATIONS]:
            self._refresh()
        if self._position + slots <= self._limit:
            return True
        words = self._words
        for waits in (0, 1):
            words[layout.WAITS] = waits
            if waits:
                fence()
            oldest = min((words[entry + layout.CURSOR] for entry in self._readers), default=self._position)
            self._limit = min(oldest, self._position) + self.slots
            if self._position + slots <= self._limit:
                words[layout.WAITS] = 0
                return True
        return False

    def cursors(self) -> dict[int, int]:
        """How far each reader is, by a number that is its own."""
        self._refresh()
        return {token: self._words[entry + layout.CURSOR] for entry, (token, _) in self._readers.items()}

    def unread(self, token: int) -> list[bytes]:
        """What a reader that was not overtaken has still to read."""
        found: list[bytes] = []
        for entry, (known, _) in self._readers.items():
            position = self._words[entry + layout.CURSOR]
            if known != token or self._position - position > self.slots:
                continue
            while position < self._position:
                start = (position & (self.slots - 1)) * self.slot_bytes
                _, _, length, _ = HEADER.unpack_from(self._body, start)
                end = start + HEADER.size + length
                found.append(
                    bytes(self._body[start + HEADER.size : end])
                    + bytes(self._body[: max(0, end - len(self._body))])
                )
                position += self.needs(length)
        return found

    def drop(self, token: int) -> None:
        """Wait for this reader no longer: it will find out, and may come back."""
        for entry, (known, _) in list(self._readers.items()):
            if known == token:
                self._segment.drop(entry, token)
        self._refresh()

    def stalled(self) -> int:
        """Readers that were dropped, live, and have not come back."""
        return sum(self._segment.reader(entry).lives() for entry in self._segment.entries(layout.DROPPED))

    def drop_dead(self) -> list[int]:
        """Drop the readers whose processes have ended; their numbers."""
        self._refresh()
        dead = [
            token for entry, (token, _) in self._readers.items() if not self._segment.reader(entry).lives()
        ]
        for token in dead:
            self.drop(token)
        return dead

    def fileno(self) -> int:
        """Becomes readable when a reader has come, or has made room that `room` had not found."""
        return self._bell

    def silence(self) -> None:
        """Take note of what `fileno` told of."""
        silence_bell(self._bell)
        self._refresh()

    def close(self) -> None:
        """Tell the readers that nothing more comes, and give the name back. Harmless when closed."""
        if self.closed:
            return
        self.closed = True
        self._words[layout.CLOSED] = 1
        with self._segment.locked():
            for entry in self._segment.entries():
                self._segment.wake_path(self._words[entry + layout.TOKEN]).unlink(missing_ok=True)
            if self._segment.is_current():
                self._segment.remove()
        for _, pipe in self._readers.values():
            os.close(pipe)
        self._readers.clear()
        self._sleepers = ()
        os.close(self._bell)
        self._body.release()
        self._segment.close()

    def __enter__(self) -> RingBuffer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _publish_short(self, messages: Sequence[bytes], lengths: list[int]) -> None:
        words, position, number, count = self._words, self._position, self._number, len(messages)
        positions, numbers = range(position, position + count), range(number, number + count)
        checks = map(checksum, positions, numbers, messages) if self._checked else repeat(0)
        data = b"".join(map(self._slot.pack, positions, numbers, lengths, checks, messages))
        words[layout.CLAIMED] = self._position = position + count
        self._write(position, data)
        self._number = number + count
        words[layout.PUBLISHED] = position + count
        words[layout.NEWEST] = position + count - 1

    def _publish_long(self, message: bytes) -> None:
        if len(message) > self.most_bytes:
            raise ValueError(f"{len(message)} bytes: longer than half of the ring {self.name}")
        words, position, number = self._words, self._position, self._number
        check = checksum(position, number, message) if self._checked else 0
        words[layout.CLAIMED] = self._position = position + self.needs(len(message))
        self._write(position, HEADER.pack(position, number, len(message), check) + message)
        self._number = number + 1
        words[layout.PUBLISHED] = self._position
        words[layout.NEWEST] = position

    def _write(self, position: int, data: bytes) -> None:
        start = (position & (self.slots - 1)) * self.slot_bytes
        before_end = len(self._body) - start
        if len(data) <= before_end:
            self._body[start : start + len(data)] = data
        else:
            self._body[start:] = data[:before_end]
            self._body[: len(data) - before_end] = data[before_end:]

    def _wake(self) -> None:
        words = self._words
        if self._registrations != words[layout.REGISTRATIONS]:
            self._refresh()
        fence()
        for sleeps, token, pipe in self._sleepers:
            if words[sleeps]:
                words[sleeps] = 0
                if not ring_bell(pipe):
                    self.drop(token)

    def _refresh(self) -> None:
        """Take note of readers that have come and gone."""
        words = self._words
        if self._registrations == words[layout.REGISTRATIONS]:
            return
        with self._segment.locked():
            self._registrations = words[layout.REGISTRATIONS]
            there = {entry: words[entry + layout.TOKEN] for entry in self._segment.entries()}
        for entry, (token, pipe) in list(self._readers.items()):
            if there.get(entry) != token:
                os.close(pipe)
                del self._readers[entry]
        for entry in there.keys() - self._readers.keys():
            path = self._segment.wake_path(there[entry])
            pipe_or_none = open_bell(path)
            # Both ends are open: without a name nothing is left behind whoever is killed.
            path.unlink(missing_ok=True)
            if pipe_or_none is None:
                # It died between registering and now.
                self._segment.drop(entry, there[entry])
            else:
                self._readers[entry] = (there[entry], pipe_or_none)
        self._sleepers = tuple(
            (entry + layout.SLEEPS, token, pipe) for entry, (token, pipe) in self._readers.items()
        )
        self._limit = 0


class RingBufferPool:
    """The rings of one family on this host, by name, and what this process has opened of them.

    Several processes that publish have a ring each under one ``family``; `names` finds them all.
    """

    def __init__(self, family: str, *, slots: int = 65_536, slot_bytes: int = 256) -> None:
        self._family = family
        self._slots = slots
        self._slot_bytes = slot_bytes
        self._opened: list[RingBuffer | RingReader] = []

    def create(self, name: str) -> RingBuffer:
        """The writing end of the ring ``name``. RingInUse if another has it; RingError."""
        ring = RingBuffer(f"{self._family}.{name}", slots=self._slots, slot_bytes=self._slot_bytes)
        self._keep(ring)
        return ring

    def attach(self, name: str, *, wait: Wait = Wait.BLOCKING, oldest: bool = False) -> RingReader:
        """A reader of the ring ``name``; see `RingReader`. RingMissing if it has no writer."""
        reader = RingReader(f"{self._family}.{name}", wait=wait, oldest=oldest)
        self._keep(reader)
        return reader

    def names(self) -> list[str]:
        """The rings of the family that have a living writer, sorted."""
        found = []
        for name in self._present():
            with suppress(RingError):
                Segment.attach(name).close()
                found.append(name.removeprefix(f"{self._family}."))
        return sorted(found)

    def sweep(self) -> None:
        """Remove the rings of the family whose writers have died."""
        for name in self._present():
            with suppress(RingError):
                Segment.remove_stale(name)

    def close(self) -> None:
        """Close everything that was opened through this pool."""
        for one in self._opened:
            one.close()
        self._opened.clear()

    def __enter__(self) -> RingBufferPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _present(self) -> list[str]:
        paths = folder().glob(f"{self._family}.*")
        return [path.name for path in paths if path.suffix not in (".bell", ".wake")]

    def _keep(self, one: RingBuffer | RingReader) -> None:
        self._opened = [other for other in self._opened if not other.closed]
        self._opened.append(one)
