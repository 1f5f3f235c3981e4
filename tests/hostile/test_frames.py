"""Frames, control frames, reserved bits and opcodes, fragmentation (sections 1 to 5 and 9 of the suite)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import pytest_twisted

from tests.gateway.conftest import Server
from tests.hostile.conftest import LONGEST
from tests.hostile.wire import (
    BINARY,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    Frame,
    chopped,
    close,
    exchange,
    fragments,
    frame,
    header,
    text,
)

BYE = close(1000)
LENGTHS = [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, LONGEST]


def same(frames: list[Frame], expected: list[Frame]) -> bool:
    """Whether two lists of frames are equal. (An assertion on them would print a megabyte.)"""
    return frames == expected


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", LENGTHS)
@pytest_twisted.ensureDeferred
async def test_messages_of_every_length(port: int, opcode: int, length: int) -> None:
    payload = (b"*" if opcode == TEXT else b"\xfe") * length
    received = await exchange(port, frame(opcode, payload) + BYE)
    assert same(received.messages, [(opcode, payload)])
    assert received.code == 1000


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize(("length", "size"), [(0, 1), (125, 1), (126, 1), (65536, 997), (LONGEST, 16384)])
@pytest_twisted.ensureDeferred
async def test_messages_that_arrive_in_pieces(port: int, opcode: int, length: int, size: int) -> None:
    payload = (b"*" if opcode == TEXT else b"\xfe") * length
    received = await exchange(port, chopped(frame(opcode, payload), size), BYE)
    assert same(received.messages, [(opcode, payload)])


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [64, 256, 1024, 4096, 65536])
@pytest_twisted.ensureDeferred
async def test_long_messages_in_fragments(port: int, opcode: int, size: int) -> None:
    payload = bytes(range(32, 96)) * 2048
    received = await exchange(port, fragments(list(chopped(payload, size)), opcode) + BYE)
    assert same(received.messages, [(opcode, payload)])


@pytest.mark.parametrize(
    "payload", [b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125]
)
@pytest.mark.parametrize("size", [1, 1000])
@pytest_twisted.ensureDeferred
async def test_a_ping_is_answered_with_its_payload(port: int, payload: bytes, size: int) -> None:
    received = await exchange(port, chopped(frame(PING, payload), size), BYE)
    assert received.messages == [(PONG, payload)]


@pytest_twisted.ensureDeferred
async def test_pings_are_answered_in_order(port: int) -> None:
    payloads = [b"payload-%d" % n for n in range(10)]
    received = await exchange(port, b"".join(frame(PING, payload) for payload in payloads) + BYE)
    assert received.messages == [(PONG, payload) for payload in payloads]


@pytest_twisted.ensureDeferred
async def test_a_pong_that_nobody_asked_for_is_ignored(port: int) -> None:
    pongs = frame(PONG) + frame(PONG, b"unsolicited")
    received = await exchange(port, pongs + frame(PING, b"p") + pongs + text("on") + BYE)
    assert received.messages == [(PONG, b"p"), (TEXT, b"on")]
    assert received.code == 1000


BEFORE: list[Frame] = [(TEXT, b"Hello")]

#: What breaks the protocol: the bytes, and what is echoed before.
BROKEN: dict[str, tuple[bytes, list[Frame]]] = {
    "a ping of 126 bytes": (frame(PING, b"\xfe" * 126), []),
    "a pong of 126 bytes": (frame(PONG, b"\xfe" * 126), []),
    "a close frame of 126 bytes": (frame(8, b"\x03\xe8" + b"a" * 124), []),
    "a ping with a length of two bytes": (frame(PING, b"x", size=2), []),
    **{f"text with reserved bits {rsv:03b}": (frame(TEXT, b"Hello", rsv=rsv), []) for rsv in range(1, 8)},
    "binary with reserved bits": (frame(BINARY, b"\0\xff", rsv=5), []),
    "a ping with reserved bits": (frame(PING, b"x", rsv=6), []),
    "a close frame with reserved bits": (frame(8, b"\x03\xe8", rsv=7), []),
    "reserved bits after a message": (text("Hello") + frame(TEXT, b"*", rsv=2) + frame(PING), BEFORE),
    "reserved bits in a continuation": (frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=4), []),
    **{f"opcode {opcode}": (frame(opcode), []) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"opcode {opcode} with a payload": (text("Hello") + frame(opcode, b"x") + frame(PING), BEFORE)
       for opcode in (3, 7, 11, 15)},
    "a ping in fragments": (frame(PING, b"a", fin=False) + frame(CONTINUATION, b"b"), []),
    "a pong in fragments": (frame(PONG, b"a", fin=False) + frame(CONTINUATION, b"b"), []),
    "a close frame in fragments": (frame(8, b"\x03\xe8", fin=False) + frame(CONTINUATION), []),
    "a last continuation of nothing": (frame(CONTINUATION, b"x") + text("Hello"), []),
    "a continuation of nothing": (frame(CONTINUATION, b"x", fin=False) + text("Hello"), []),
    "a continuation after a whole message": (text("Hello") + frame(CONTINUATION, b"x"), BEFORE),
    "a message within a message": (frame(TEXT, b"a", fin=False) + text("b"), []),
    "binary within text": (frame(TEXT, b"a", fin=False) + frame(BINARY, b"b", fin=False), []),
    "continuations of nothing, again and again": (
        (frame(CONTINUATION, b"a", fin=False) + frame(CONTINUATION, b"b")) * 3, []),
    "text without a mask": (frame(TEXT, b"Hello", mask=False), []),
    "an empty frame without a mask": (frame(TEXT, mask=False), []),
    "a ping without a mask": (text("Hello") + frame(PING, mask=False), BEFORE),
    "a close frame without a mask": (frame(8, b"\x03\xe8", mask=False), []),
    "a small length in two bytes": (frame(TEXT, b"Hello", size=2), []),
    "a small length in eight bytes": (frame(TEXT, b"Hello", size=8), []),
    "a length of 65535 in eight bytes": (header(65535, size=8) + MASK, []),
    "a length with its highest bit set": (header(1 << 63, size=8) + MASK, []),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 65536])
@pytest.mark.parametrize("name", BROKEN)
@pytest_twisted.ensureDeferred
async def test_what_breaks_the_protocol_is_closed_with_1002(port: int, name: str, size: int) -> None:
    sent, echoed = BROKEN[name]
    received = await exchange(port, chopped(sent, size))
    assert received.messages == echoed
    assert received.code == 1002


#: Fragmented messages that are as they should be, and the answers.
WHOLE: dict[str, tuple[bytes, list[Frame]]] = {
    "two fragments": (fragments([b"fragment1", b"fragment2"]), [(TEXT, b"fragment1fragment2")]),
    "five fragments of binary": (fragments([b"\xff"] * 5, BINARY), [(BINARY, b"\xff" * 5)]),
    "empty fragments": (fragments([b"", b"", b""]), [(TEXT, b"")]),
    "an empty fragment in the middle": (fragments([b"a", b"", b"b"]), [(TEXT, b"ab")]),
    "a ping between fragments": (
        frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"b"),
        [(PONG, b"p"), (TEXT, b"ab")],
    ),
    "pings and a pong between fragments": (
        frame(TEXT, b"1", fin=False) + frame(CONTINUATION, b"2", fin=False) + frame(PING, b"p1")
        + frame(PONG, b"ignored") + frame(CONTINUATION, b"3", fin=False)
        + frame(CONTINUATION, b"4", fin=False) + frame(PING, b"p2") + frame(CONTINUATION, b"5"),
        [(PONG, b"p1"), (PONG, b"p2"), (TEXT, b"12345")],
    ),
    "two messages one after the other": (
        fragments([b"a", b"b"]) + fragments([b"c", b"d"], BINARY), [(TEXT, b"ab"), (BINARY, b"cd")]),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 65536])
@pytest.mark.parametrize("name", WHOLE)
@pytest_twisted.ensureDeferred
async def test_fragments_are_put_together(port: int, name: str, size: int) -> None:
    sent, answers = WHOLE[name]
    received = await exchange(port, chopped(sent, size), BYE)
    assert received.messages == answers
    assert received.code == 1000


def endless() -> Iterable[bytes]:
    """A message that never ends, in frames that are small enough each."""
    yield frame(BINARY, b"x" * 1000, fin=False)
    for _ in range(40):
        yield frame(CONTINUATION, b"x" * 1000, fin=False)


@pytest.mark.parametrize(
    "sent",
    [
        [text(b"x" * 20_001)],
        [header(20_001) + MASK],
        [header(1 << 40, size=8) + MASK],
        [header((1 << 63) - 1, size=8) + MASK],
        [fragments([b"x" * 15_000, b"x" * 5_001])],
        endless(),
    ],
    ids=["whole", "announced", "a terabyte", "the most there is", "in fragments", "endless"],
)
@pytest_twisted.ensureDeferred
async def test_what_is_too_long_is_closed_with_1009(
    serve: Callable[..., Server], sent: Iterable[bytes]
) -> None:
    received = await exchange(serve(message_bytes=20_000).port, sent)
    assert received.messages == []
    assert received.code == 1009


@pytest_twisted.ensureDeferred
async def test_the_longest_message_is_not_too_long(serve: Callable[..., Server]) -> None:
    server = serve(message_bytes=20_000)
    for sent in (text(b"x" * 20_000), fragments([b"x" * 10_000, b"x" * 10_000])):
        assert same((await exchange(server.port, sent + BYE)).messages, [(TEXT, b"x" * 20_000)])
