"""The other process of the ring's tests: ``child.py ROLE NAME …``. It runs until it is killed, or is done."""

from __future__ import annotations

import sys
from itertools import count
from zlib import crc32

from openalgo_ws.bus.ring import RingBuffer, RingReader, Wait

#: No wait is longer (seconds).
PATIENCE = 20.0


def message(number: int) -> bytes:
    """A message that tells if a part of it is another's: its length differs, and it ends with a checksum."""
    body = b"%d:" % number * (1 + number % 23)
    return body + crc32(body).to_bytes(4, "little")


def number_of(data: bytes) -> int:
    """AssertionError if this is not wholly one message."""
    body, check = data[:-4], data[-4:]
    assert crc32(body).to_bytes(4, "little") == check
    return int(body[: body.index(b":")])


def write(name: str, many: str, checked: str) -> None:
    """Write so many messages as fast as it goes, when a line has come, and wait for another line."""
    with RingBuffer(name, slots=64, slot_bytes=64, checked=checked == "checked") as ring:
        said("ready")
        batch: list[bytes] = []
        for number in range(int(many)):
            batch.append(message(number))
            if len(batch) == 1 + number % 13:
                ring.publish_many(batch)
                batch = []
        ring.publish_many(batch)
        said("done")


def write_for_ever(name: str) -> None:
    """Write until it is killed."""
    with RingBuffer(name, slots=64, slot_bytes=64) as ring:
        said("ready")
        for number in count():
            ring.publish(message(number))


def write_and_wait(name: str, many: str) -> None:
    """Write so many messages, and then live on."""
    with RingBuffer(name, slots=64, slot_bytes=64) as ring:
        ring.publish_many([message(number) for number in range(int(many))])
        said("ready")


def read(name: str, wait: str) -> None:
    """Read for ever."""
    with RingReader(name, wait=Wait(wait)) as reader:
        say("ready")
        while not reader.gone:
            reader.wait(PATIENCE)
            reader.read()


def sit(name: str) -> None:
    """Be a reader that reads nothing."""
    with RingReader(name):
        said("ready")


def echo(there: str, back: str, wait: str) -> None:
    """Send everything back."""
    with RingReader(there, wait=Wait(wait)) as reader, RingBuffer(back, slots=64) as ring:
        say("ready")
        while reader.wait(PATIENCE):
            ring.publish_many(reader.read())


def say(what: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def said(what: str) -> None:
    """Say it, and go on when a line comes."""
    say(what)
    sys.stdin.readline()


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    roles = (write, write_for_ever, write_and_wait, read, sit, echo)
    {one.__name__: one for one in roles}[role](*arguments)
