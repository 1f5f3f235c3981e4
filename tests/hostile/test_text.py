"""UTF-8 in messages and close reasons, whole and split anywhere (section 6 of the suite)."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.hostile.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    TEXT,
    chopped,
    close,
    exchange,
    fragments,
    frame,
    text,
)

BYE = close(1000)

#: Well-formed text: names as in the stress test that everybody uses.
GOOD: dict[str, bytes] = {
    "a Greek word": "κόσμε".encode(),
    "all kinds": "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "Hindi and an emoji": "रिलायंस 📈".encode(),
    "the first of 1 byte": b"\x00",
    "the first of 2 bytes": b"\xc2\x80",
    "the first of 3 bytes": b"\xe0\xa0\x80",
    "the first of 4 bytes": b"\xf0\x90\x80\x80",
    "the last of 1 byte": b"\x7f",
    "the last of 2 bytes": b"\xdf\xbf",
    "the last of 3 bytes": b"\xef\xbf\xbf",
    "the last of 4 bytes": b"\xf4\x8f\xbf\xbf",
    "before the surrogates": b"\xed\x9f\xbf",
    "after the surrogates": b"\xee\x80\x80",
    "the replacement character": b"\xef\xbf\xbd",
    "non-characters": b"\xef\xbf\xbe\xef\xb7\x90\xf0\x9f\xbf\xbe\xf3\xbf\xbf\xbf",
}

_BEGIN = "κόσμε".encode()

#: What is no UTF-8.
BAD: dict[str, bytes] = {
    "a surrogate after good text": _BEGIN + b"\xed\xa0\x80edited",
    "above the last": b"\xf4\x90\x80\x80",
    "the first of 5 bytes": b"\xf8\x88\x80\x80\x80",
    "the first of 6 bytes": b"\xfc\x84\x80\x80\x80\x80",
    "the last of 4 bytes, once": b"\xf7\xbf\xbf\xbf",
    "the last of 5 bytes": b"\xfb\xbf\xbf\xbf\xbf",
    "the last of 6 bytes": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "the first continuation": b"\x80",
    "the last continuation": b"\xbf",
    "seven continuations": b"\x80\xbf\x80\xbf\x80\xbf\x80",
    "all continuations": bytes(range(0x80, 0xC0)),
    **{f"{first:#x} alone": bytes((first, 0x20)) for first in b"\xc0\xc2\xdf\xe0\xef\xf0\xf4\xf8\xfd"},
    "2 bytes, the last missing": b"\xc2",
    "3 bytes, the last missing": b"\xe0\xa0",
    "4 bytes, the last missing": b"\xf0\x90\x80",
    "3 bytes, cut short in the middle": b"\xef\xbf a",
    "4 bytes, cut short in the middle": b"\xf0\x90\x80 a",
    "cut short, one after the other": b"\xc2\xe0\xa0\xf0\x90\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "fe and ff": b"\xfe\xfe\xff\xff",
    "overlong of 2 bytes": b"\xc0\xaf",
    "overlong of 3 bytes": b"\xe0\x80\xaf",
    "overlong of 4 bytes": b"\xf0\x80\x80\xaf",
    "overlong of 5 bytes": b"\xf8\x80\x80\x80\xaf",
    "overlong of 6 bytes": b"\xfc\x80\x80\x80\x80\xaf",
    "the greatest overlong of 2 bytes": b"\xc1\xbf",
    "the greatest overlong of 3 bytes": b"\xe0\x9f\xbf",
    "the greatest overlong of 4 bytes": b"\xf0\x8f\xbf\xbf",
    "overlong zero": b"\xc0\x80",
    "overlong zero of 3 bytes": b"\xe0\x80\x80",
    **{f"the surrogate {high:x}{low:x}": bytes((0xED, high, low))
       for high in (0xA0, 0xAF, 0xB0, 0xBF) for low in (0x80, 0xBF)},
    "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "the last pair of surrogates": b"\xed\xaf\xbf\xed\xbf\xbf",
}  # fmt: skip


def bytewise(payload: bytes) -> bytes:
    """A text in fragments of one byte."""
    return fragments(list(chopped(payload)))


@pytest.mark.parametrize("name", GOOD)
@pytest_twisted.ensureDeferred
async def test_good_text_comes_back(port: int, name: str) -> None:
    good = GOOD[name]
    sent = text(good) + bytewise(good) + fragments([b"", good, b""])
    received = await exchange(port, sent, chopped(text(good)), BYE)
    assert received.messages == [(TEXT, good)] * 4
    assert received.code == 1000


@pytest.mark.parametrize("how", ["whole", "by the byte", "in fragments of a byte"])
@pytest.mark.parametrize("name", BAD)
@pytest_twisted.ensureDeferred
async def test_bad_text_is_closed_with_1007(port: int, name: str, how: str) -> None:
    bad = BAD[name]
    if how == "by the byte":
        received = await exchange(port, chopped(text(bad)))
    else:
        received = await exchange(port, text(bad) if how == "whole" else bytewise(bad))
    assert received.messages == []
    assert received.code == 1007


@pytest_twisted.ensureDeferred
async def test_what_is_no_text_may_be_anything(port: int) -> None:
    every = b"".join(BAD.values())
    assert (await exchange(port, frame(BINARY, every) + BYE)).messages == [(BINARY, every)]


@pytest.mark.parametrize("rest", ["in the next fragment", "in the same frame"])
@pytest_twisted.ensureDeferred
async def test_bad_text_is_not_waited_for(port: int, rest: str) -> None:
    """The server closes at the first byte that can't be, and does not wait for the end of the message."""
    if rest == "in the next fragment":
        sent = frame(TEXT, _BEGIN + b"\xf4\x90", fin=False)
    else:
        sent = text(_BEGIN + b"\xf4\x90" + b"\x80\x80edited")[:-8]
    assert (await exchange(port, sent)).code == 1007


@pytest_twisted.ensureDeferred
async def test_a_character_split_by_fragments_and_a_ping(port: int) -> None:
    good = "é".encode()
    sent = frame(TEXT, good[:1], fin=False) + frame(9, b"p") + frame(CONTINUATION, good[1:])
    assert (await exchange(port, sent + BYE)).messages == [(10, b"p"), (TEXT, good)]


@pytest.mark.parametrize("name", BAD)
@pytest_twisted.ensureDeferred
async def test_a_close_reason_that_is_no_text(port: int, name: str) -> None:
    received = await exchange(port, close(1000, BAD[name]))
    assert received.code == 1007


@pytest.mark.parametrize("name", GOOD)
@pytest_twisted.ensureDeferred
async def test_a_close_reason_may_be_any_text(port: int, name: str) -> None:
    received = await exchange(port, close(1000, GOOD[name]), polite=False)
    assert [opcode for opcode, _ in received.frames] == [CLOSE]
    assert received.code == 1000
