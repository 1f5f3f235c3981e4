"""The reading end of a ring: see `openalgo_ws.bus.ring`."""

from __future__ import annotations

import os
import platform
import select
import time
from enum import Enum
from itertools import repeat
from operator import itemgetter
from secrets import randbits
from struct import Struct
from zlib import crc32

from openalgo_ws.bus import segment as layout
from openalgo_ws.bus.segment import (
    HEAD,
    Peer,
    RingError,
    Segment,
    fence,
    open_bell,
    ring_bell,
    silence_bell,
)

__all__ = ["HEADER", "ORDERED", "SECOND_LOOK", "RingReader", "Wait", "checksum"]

#: Position, number, length of the content, checksum.
HEADER = Struct("@QQII")
_NUMBERS = Struct("@QQ")

_length = itemgetter(2)

#: Looks without giving way, then looks with the processor given away in between; then it sleeps.
_SPINS, _YIELDS = 200, 200
#: Looks between two looks at the clock.
_STEP = 64
#: Whether this machine makes stores visible in order, and `fence` is one.
ORDERED = platform.machine() in ("x86_64", "AMD64", "i686")
#: After so long (seconds) one who sleeps looks a second time where it does not.
SECOND_LOOK = 0.001
#: So many copies of one message that don't match: it will never be right.
_PATIENCE = 1000


class Wait(Enum):
    """How a reader waits for messages."""

    #: Looks again and again. The least latency, and the whole of a core.
    BUSY_SPIN = "busy_spin"
    #: Looks a while, gives way a while, then sleeps until it is woken.
    YIELDING = "yielding"
    #: Sleeps at once until it is woken.
    BLOCKING = "blocking"


def checksum(position: int, number: int, content: bytes) -> int:
    """What a message at this position, of this number, carries on machines that reorder stores."""
    return crc32(content, crc32(_NUMBERS.pack(position, number)))


class RingReader:
    """Reads a ring from the next message on; RingMissing if there is no writer; RingError.

    ``oldest``: from the very first one on, if the ring still holds everything that was written.
    """

    def __init__(self, name: str, *, wait: Wait = Wait.BLOCKING, oldest: bool = False) -> None:
        self.name = name
        self._wait = wait
        self._segment = Segment.attach(name)
        self._words = self._segment.words
        self._body = self._segment.bytes[HEAD:]
        self.slots = self._words[layout.SLOTS]
        self._slot_bytes = self._words[layout.SLOT_BYTES]
        self._checked = bool(self._words[layout.CHECKED])
        self._room = self._slot_bytes - HEADER.size
        self._slot = Struct(f"@QQII{self._room}s")
        self._failed = 0
        #: Messages that were overwritten before they were read.
        self.lost = 0
        #: Messages that were read.
        self.received = 0
        self.closed = False
        self._token = 0
        self._entry = 0
        self._pipe = -1
        self._bell: int | None = None
        self._position = 0
        self._number = 0
        try:
            self._register(oldest)
        except BaseException:
            self.close()
            raise

    def read(self, most: int = 4096) -> list[bytes]:
        """What has come, in order: at most ``most`` messages. Never waits.

        Empty if nothing came, and when the writer has overtaken this reader: then `lost` says how many
        messages it has missed, and the next call gives the newest.
        """
        words, position = self._words, self._position
        ready = words[layout.PUBLISHED] - position
        if not ready:
            return []
        if ready > self.slots:
            return self._lapped()
        count = min(ready, most)
        region = self._copy(position, count)
        if words[layout.CLAIMED] - position > self.slots:
            return self._lapped()
        slots = list(self._slot.iter_unpack(region))
        if max(map(_length, slots)) > self._room:
            messages, taken = self._cut(region, ready)
        else:
            messages = [content[:length] for _, _, length, _, content in slots]
            if self._checked:
                messages = self._good(slots, messages)
            taken = len(messages)
        if not messages:
            return self._torn()
        self._failed = 0
        self._number += len(messages)
        self.received += len(messages)
        self._move(position + taken)
        return messages

    def wait(self, timeout: float) -> bool:
        """Wait at most so long (seconds), as the strategy says; whether something is there to read.

        It may return early with nothing: look at `gone` and `dropped` then.
        """
        if self.ready():
            return True
        deadline = time.monotonic() + timeout
        if self._wait is Wait.BUSY_SPIN:
            while time.monotonic() < deadline and not self._words[layout.CLOSED]:
                if self._looks(_STEP):
                    return True
            return self.ready()
        if self._wait is Wait.YIELDING:
            if self._looks(_SPINS):
                return True
            for _ in range(_YIELDS):
                os.sched_yield()
                if self.ready():
                    return True
        return self._sleep(deadline)

    def ready(self) -> bool:
        """Whether something is there to read."""
        return self._words[layout.PUBLISHED] != self._position

    def doze(self) -> bool:
        """Ask to be woken through `fileno`; False if something is there already.

        Where the machine is not `ORDERED` look a second time after `SECOND_LOOK`.
        """
        sleeps = self._entry + layout.SLEEPS
        self._words[sleeps] = 1
        fence()
        if self.ready():
            self._words[sleeps] = 0
            return False
        return True

    def fileno(self) -> int:
        """Becomes readable when one who dozes should look, and ends when the writer does."""
        return self._pipe

    def silence(self) -> bool:
        """Take note of what `fileno` told of; False if the writer is gone, or has not noticed us yet."""
        self._words[self._entry + layout.SLEEPS] = 0
        return silence_bell(self._pipe)

    def lag(self) -> int:
        """Slots that were written and not read."""
        return int(self._words[layout.PUBLISHED]) - self._position

    @property
    def gone(self) -> bool:
        """Whether the writer has closed the ring or died. What is there can still be read."""
        return not self._segment.writer_lives()

    @property
    def dropped(self) -> bool:
        """Whether the writer waits for this reader no longer. `rejoin` makes it wait again."""
        words, entry = self._words, self._entry
        return words[entry + layout.STATE] != layout.ACTIVE or words[entry + layout.TOKEN] != self._token

    def rejoin(self) -> None:
        """Have the writer wait for this reader again, after it was dropped. RingError."""
        self._leave()
        self._register(None)

    def close(self) -> None:
        """Leave the ring. Harmless when closed."""
        if self.closed:
            return
        self.closed = True
        self._leave()
        self._body.release()
        self._segment.close()

    def __enter__(self) -> RingReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Reading.

    def _copy(self, position: int, count: int) -> bytes:
        """The bytes of so many slots."""
        start = (position & (self.slots - 1)) * self._slot_bytes
        end = start + count * self._slot_bytes
        if end <= len(self._body):
            return bytes(self._body[start:end])
        return b"".join((self._body[start:], self._body[: end - len(self._body)]))

    def _cut(self, region: bytes, ready: int) -> tuple[list[bytes], int]:
        """The whole messages in a copy that holds some longer than a slot, and how many slots they take."""
        messages: list[bytes] = []
        taken, slots = 0, len(region) // self._slot_bytes
        while taken < slots:
            offset = taken * self._slot_bytes
            position, number, length, check = HEADER.unpack_from(region, offset)
            span = -(-(HEADER.size + length) // self._slot_bytes)
            if taken + span > slots:
                if messages or span > ready:
                    break
                # The first is longer than what was asked for: copy just that one.
                region, slots = self._copy(self._position, span), span
                if self._words[layout.CLAIMED] - self._position > self.slots:
                    break
            content = region[offset + HEADER.size : offset + HEADER.size + length]
            if self._checked and not self._matches(taken, len(messages), position, number, content, check):
                break
            messages.append(content)
            taken += span
        return messages, taken

    def _good(self, slots: list[tuple[int, int, int, int, bytes]], messages: list[bytes]) -> list[bytes]:
        """The messages up to the first that does not match its checksum."""
        for index, (slot, content) in enumerate(zip(slots, messages, strict=True)):
            if not self._matches(index, index, slot[0], slot[1], content, slot[3]):
                return messages[:index]
        return messages

    def _matches(
        self, slot: int, message: int, position: int, number: int, content: bytes, check: int
    ) -> bool:
        return (
            position == self._position + slot
            and number == self._number + message
            and checksum(position, number, content) == check
        )

    def _torn(self) -> list[bytes]:
        """What is published is not yet all visible here, or never will be right."""
        self._failed += 1
        if self._words[layout.CLAIMED] - self._position > self.slots or self._failed > _PATIENCE:
            return self._lapped()
        return []

    def _lapped(self) -> list[bytes]:
        """Overtaken: go to the newest message, and count what was missed."""
        newest = self._newest()
        # Overtaken once more meanwhile, or not yet visible: the next call tries again.
        if newest is not None and newest[0] >= self._position:
            position, number, _ = newest
            self.lost += number - self._number
            self._failed = 0
            self._number = number
            self._move(position)
        return []

    def _newest(self) -> tuple[int, int, int] | None:
        """Position, number and length of the newest message; None if it was overwritten meanwhile."""
        newest = self._words[layout.NEWEST]
        position, number, length, _ = HEADER.unpack_from(self._copy(newest, 1))
        if position != newest or self._words[layout.CLAIMED] - newest > self.slots:
            return None
        return position, number, length

    def _move(self, position: int) -> None:
        self._position = position
        words = self._words
        words[self._entry + layout.CURSOR] = position
        fence()
        if words[layout.WAITS] and self.lag() <= self.slots // 2:
            self._ring()

    def _ring(self) -> None:
        if self._bell is not None and not ring_bell(self._bell):
            os.close(self._bell)
            self._bell = None

    # Waiting.

    def _looks(self, count: int) -> bool:
        words, position = self._words, self._position
        return any(words[word] != position for word in repeat(layout.PUBLISHED, count))

    def _sleep(self, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        while self.doze():
            if not ORDERED:
                poll.poll(SECOND_LOOK * 1000)
            if not self.ready():
                poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            # The call may be one that came late, for a message that was seen without it.
            if not self.silence() or time.monotonic() >= deadline:
                return self.ready()
        return True

    # Being known to the writer.

    def _register(self, oldest: bool | None) -> None:
        """Enter the table; ``oldest`` is None for one who stays where it was."""
        words = self._words
        token = randbits(63)
        path = self._segment.wake_path(token)
        os.mkfifo(path, 0o600)
        try:
            self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with self._segment.locked():
                entry = self._free_entry()
                words[entry + layout.PID], words[entry + layout.SINCE] = Peer.of(os.getpid())
                words[entry + layout.TOKEN] = token
                words[entry + layout.SLEEPS] = 0
                if oldest is not None:
                    self._begin(oldest)
                words[entry + layout.CURSOR] = self._position
                words[entry + layout.STATE] = layout.ACTIVE
                words[layout.REGISTRATIONS] += 1
        except BaseException:
            path.unlink()
            raise
        self._token, self._entry = token, entry
        self._bell = open_bell(self._segment.bell_path())
        self._ring()

    def _free_entry(self) -> int:
        words = self._words
        table = range(layout.READERS, layout.READERS + layout.MOST_READERS * layout.ENTRY, layout.ENTRY)
        for entry in table:
            if words[entry + layout.STATE] == layout.FREE:
                return entry
        for entry in table:
            if not self._segment.reader(entry).lives():
                self._segment.wake_path(words[entry + layout.TOKEN]).unlink(missing_ok=True)
                return entry
        raise RingError(f"the ring {self.name} has {layout.MOST_READERS} readers already")

    def _begin(self, oldest: bool) -> None:
        """Go to the first message to read."""
        words = self._words
        if not words[layout.PUBLISHED] or (oldest and words[layout.CLAIMED] <= self.slots):
            self._position = self._number = 0
            return
        for _ in range(_PATIENCE):
            newest = self._newest()
            if newest is not None:
                position, number, length = newest
                self._position = position - (-(HEADER.size + length) // self._slot_bytes)
                self._number = number + 1
                return
        raise RingError(f"the ring {self.name} is overwritten faster than it can be read")

    def _leave(self) -> None:
        words = self._words
        if self._token:
            with self._segment.locked():
                if words[self._entry + layout.TOKEN] == self._token:
                    words[self._entry + layout.STATE] = layout.FREE
                    words[layout.REGISTRATIONS] += 1
            self._segment.wake_path(self._token).unlink(missing_ok=True)
            self._token = 0
        for descriptor in (self._pipe, self._bell):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._pipe, self._bell = -1, None
