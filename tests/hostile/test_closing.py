"""The closing handshake (section 7 of the suite)."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.hostile.wire import CLOSE, CONTINUATION, PING, TEXT, chopped, close, exchange, frame, text


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("reason", [b"", b"Hello World!", b"*" * 123])
@pytest_twisted.ensureDeferred
async def test_a_close_frame_is_answered_and_ends_the_connection(port: int, reason: bytes, size: int) -> None:
    received = await exchange(port, text("Hello"), chopped(close(1000, reason), size), polite=False)
    assert received.messages == [(TEXT, b"Hello")]
    assert received.code == 1000


@pytest_twisted.ensureDeferred
async def test_a_close_frame_without_a_code(port: int) -> None:
    received = await exchange(port, close(), polite=False)
    assert [opcode for opcode, _ in received.frames] == [CLOSE]
    assert received.code in (None, 1000)


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
@pytest_twisted.ensureDeferred
async def test_codes_that_may_be_sent(port: int, code: int) -> None:
    received = await exchange(port, close(code), polite=False)
    assert [opcode for opcode, _ in received.frames] == [CLOSE]
    assert received.code in (code, 1000)


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535])
@pytest_twisted.ensureDeferred
async def test_codes_that_may_not_be_sent(port: int, code: int) -> None:
    received = await exchange(port, close(code))
    assert [opcode for opcode, _ in received.frames] == [CLOSE]
    assert received.code == 1002


@pytest.mark.parametrize(
    "sent",
    [frame(CLOSE, b"\x03"), close(1000, b"*" * 124), close(1000, b"*" * 1000)],
    ids=["half a code", "a reason of 124 bytes", "a reason of 1000 bytes"],
)
@pytest_twisted.ensureDeferred
async def test_close_frames_of_a_wrong_size(port: int, sent: bytes) -> None:
    assert (await exchange(port, sent)).code == 1002


@pytest.mark.parametrize(
    "after",
    [
        close(1000),
        frame(PING, b"p"),
        text("more"),
        frame(CONTINUATION, b"rest"),
        b"\xff" * 100,
        text(b"\xff"),
    ],
    ids=["a second close", "a ping", "a message", "the rest of one", "garbage", "bad text"],
)
@pytest.mark.parametrize("apart", [False, True])
@pytest_twisted.ensureDeferred
async def test_what_follows_a_close_frame_is_ignored(port: int, after: bytes, apart: bool) -> None:
    sent = [close(1000), after] if apart else [close(1000) + after]
    received = await exchange(port, text("first") + frame(TEXT, b"half", fin=False), sent, polite=False)
    assert received.messages == [(TEXT, b"first")]
    assert received.code == 1000


@pytest_twisted.ensureDeferred
async def test_a_long_message_is_delivered_before_the_close(port: int) -> None:
    long = b"BAsd7&jh23" * 26_214
    received = await exchange(port, text(long) + close(1000) + frame(PING), polite=False)
    assert received.messages == [(TEXT, long)]
    assert received.code == 1000


@pytest_twisted.ensureDeferred
async def test_a_peer_that_never_answers_a_close_is_dropped(port: int) -> None:
    received = await exchange(port, frame(TEXT, b"x", mask=False), polite=False)
    assert received.code == 1002
