"""What is wrong with what one publisher sends, and whatever it sends: from bytes, no socket, no time."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openalgo_ws.bus.zmtp import MOST_BYTES, MOST_FRAMES
from tests.bus.zmtp.wire import (
    COMMAND,
    HELLO,
    LONG,
    MORE,
    Peer,
    bytewise,
    command,
    cut,
    frame,
    greeting,
    message,
    ready,
)


@pytest.mark.parametrize("before", [b"", frame(b"topic", MORE), frame(b"t" * 300, MORE) + frame(b"", MORE)])
def test_flags_that_there_are_not_end_it_at_once(before: bytes) -> None:
    for flags in (5, 7, *range(8, 256)):
        peer = Peer(HELLO)
        assert peer.say(message(b"a", b"{}") + before + bytes((flags,))) == [(b"a", b"{}")]
        assert peer.failed == f"a frame with flags {flags}"


@pytest.mark.parametrize("flags", [0, 1, 2, 3, 4, 6])
def test_flags_that_there_are_do_not(flags: int) -> None:
    peer = Peer(HELLO)
    peer.say(bytes((flags,)))
    assert not peer.failed


@pytest.mark.parametrize("inside", [command(b"PING", b"\0\0context"), command(b"LATER", b"x" * 300)])
@pytest.mark.parametrize("topics", [[b"a"], [b"a" * 300], [b"a", b"b"]])
def test_a_command_inside_a_message_ends_it(inside: bytes, topics: list[bytes]) -> None:
    peer = Peer(HELLO)
    begun = b"".join(frame(one, MORE) for one in topics)
    assert peer.say(message(b"x", b"1") + begun + inside + frame(b"end")) == [(b"x", b"1")]
    assert peer.failed == "a command inside a message"
    assert len(peer.sent) == 2


@pytest.mark.parametrize(
    "begun",
    [
        bytes((LONG,)) + struct.pack(">Q", MOST_BYTES),
        bytes((LONG,)) + struct.pack(">Q", 2**64 - 1),
        bytes((MORE | LONG,)) + struct.pack(">Q", MOST_BYTES),
        bytes((COMMAND | LONG,)) + struct.pack(">Q", MOST_BYTES),
        frame(b"topic", MORE) + bytes((LONG,)) + struct.pack(">Q", MOST_BYTES),
        frame(b"topic", MORE) + frame(b"", MORE) + bytes((MORE | LONG,)) + struct.pack(">Q", MOST_BYTES),
        frame(b"t" * 1000, MORE) + bytes((LONG,)) + struct.pack(">Q", MOST_BYTES - 1000),
    ],
)
def test_a_message_that_is_too_long_ends_it_as_soon_as_its_length_is_known(begun: bytes) -> None:
    peer = Peer(HELLO)
    assert peer.say(message(b"a", b"{}") + begun[:-1]) == [(b"a", b"{}")]
    assert not peer.failed
    peer.say(begun[-1:])
    assert peer.failed == f"a message of more than {MOST_BYTES} bytes"


def test_a_message_as_long_as_may_be_arrives() -> None:
    peer = Peer(HELLO)
    payload = bytes(MOST_BYTES - len(frame(b"topic", MORE)) - 9)
    whole = message(b"topic", payload)
    assert len(whole) == MOST_BYTES
    step = 1 << 20
    found = peer.say(*(whole[at : at + step] for at in range(0, len(whole), step)))
    assert found == [(b"topic", payload)]
    assert not peer.failed


def test_frames_of_one_message_that_are_too_long_together_end_it() -> None:
    peer = Peer(HELLO)
    one = frame(bytes(MOST_BYTES // 4), MORE)
    peer.say(one, one, one)
    assert not peer.failed
    peer.say(one)
    assert peer.failed == f"a message of more than {MOST_BYTES} bytes"
    assert peer.found == []


def test_a_message_that_comes_in_crumbs_takes_no_more_room_than_a_whole_one() -> None:
    peer = Peer(HELLO)
    body = bytes(range(256)) * 1000
    data = message(b"a", body)
    tracemalloc.start()
    try:
        for at in range(0, len(data) - 2, 2):
            assert peer.say(data[at : at + 2]) == []
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * len(data)
    assert peer.say(data[-2:]) == [(b"a", body)]


def test_frames_without_end_end_it() -> None:
    many = [b""] * MOST_FRAMES
    peer = Peer(HELLO)
    assert peer.say(message(*many)) == [(b"", b"")]
    peer.say(frame(b"", MORE) * (MOST_FRAMES - 1))
    assert not peer.failed
    peer.say(frame(b"", MORE))
    assert peer.failed == f"a message of more than {MOST_FRAMES} frames"


def test_a_handshake_that_is_too_long_ends_it() -> None:
    peer = Peer(greeting(), bytes((COMMAND | LONG,)) + struct.pack(">Q", MOST_BYTES))
    assert peer.failed == f"a message of more than {MOST_BYTES} bytes"


def test_after_a_fault_there_is_nothing() -> None:
    peer = Peer(HELLO, message(b"a", b"{}") + b"\x80")
    before = peer.seen()
    assert peer.say(message(b"b", b"{}"), command(b"PING", b"\0\0"), HELLO, b"") == []
    assert peer.seen() == before


# Whatever comes.

bodies = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([*range(253, 259), 1000, 70_000]).map(lambda length: b"x" * length),
)
messages = st.lists(bodies, min_size=1, max_size=4)
commands = st.sampled_from([command(b"PING", b"\0\0context"), command(b"LATER"), ready()])
places = st.lists(st.integers(0, 2**20), max_size=30)


@settings(max_examples=200)
@given(
    sent=st.lists(st.one_of(messages, commands), max_size=12),
    within=places,
    tail=st.lists(st.integers(0, 400)),
)
def test_it_makes_no_difference_where_what_comes_is_cut(
    sent: list[list[bytes] | bytes], within: list[int], tail: list[int]
) -> None:
    data = HELLO + b"".join(one if isinstance(one, bytes) else message(*one) for one in sent)
    lists = [one for one in sent if isinstance(one, list)]
    peer = Peer(data)
    assert peer.found == [(one[0], one[1] if len(one) == 2 else b"") for one in lists]
    assert peer.stream.malformed == sum(len(one) != 2 for one in lists)
    assert len(peer.sent) == 2 + sent.count(command(b"PING", b"\0\0context"))
    assert not peer.failed
    # Anywhere, and where most is decided: in the handshake and after it.
    assert Peer(*cut(data, [*within, *tail])).seen() == peer.seen()


pieces_of_protocol = st.one_of(
    st.binary(max_size=20),
    st.integers(0, 9).map(lambda flags: bytes((flags,))),
    st.integers(0, 40).map(lambda length: struct.pack(">Q", length)),
    messages.map(lambda one: message(*one)),
    bodies.map(lambda one: frame(one, MORE)),
    bodies.map(lambda one: frame(one, COMMAND)),
    commands,
)
rubbish = st.lists(pieces_of_protocol, max_size=12).map(b"".join)


@settings(max_examples=300)
@given(start=st.sampled_from([HELLO, greeting(), greeting()[:10], b""]), data=rubbish, within=places)
def test_whatever_comes_it_ends_well_and_the_same_however_it_is_cut(
    start: bytes, data: bytes, within: list[int]
) -> None:
    data = start + data
    whole, parts = Peer(*cut(data, [])), Peer(*cut(data, within))
    assert parts.seen() == whole.seen()
    slow = Peer(*bytewise(data[:500]))
    assert slow.seen() == Peer(*cut(data[:500], [])).seen()
    assert sum(len(topic) + len(payload) for topic, payload in whole.found) <= len(data)
