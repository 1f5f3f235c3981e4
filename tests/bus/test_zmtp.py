"""What one publisher sends, from bytes: no socket, no time."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.zmtp import GREETING, MOST_BYTES, MOST_FRAMES, PublisherStream

MORE, LONG, COMMAND = 1, 2, 4

#: Around the border between short and long frames.
BORDERS = [0, 1, 254, 255, 256, 257, 1000]

#: What subscribes to everything, as a message of ZMTP 3.0.
SUBSCRIBE = b"\x00\x01\x01"


def frame(body: bytes, flags: int = 0) -> bytes:
    """As libzmq writes it: a long one only where it must be."""
    if len(body) > 255:
        return bytes((flags | LONG,)) + struct.pack(">Q", len(body)) + body
    return bytes((flags, len(body))) + body


def message(*frames: bytes) -> bytes:
    return b"".join(frame(one, MORE) for one in frames[:-1]) + frame(frames[-1])


def command(name: bytes, body: bytes = b"") -> bytes:
    return frame(bytes((len(name),)) + name + body, COMMAND)


def item(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + struct.pack(">I", len(value)) + value


def greeting(mechanism: bytes = b"NULL", version: int = 3, minor: int = 1) -> bytes:
    return b"\xff" + bytes(8) + b"\x7f" + bytes((version, minor)) + mechanism.ljust(20, b"\0") + bytes(32)


def ready(kind: bytes = b"PUB", name: bytes = b"Socket-Type") -> bytes:
    return command(b"READY", item(name, kind) + item(b"Identity", b""))


HELLO = greeting() + ready()


class Peer:
    """A stream, and what it has sent and found."""

    def __init__(self, *pieces: bytes) -> None:
        self.sent: list[bytes] = []
        self.found: list[Message] = []
        self.stream = PublisherStream(self.sent.append)
        self.say(*pieces)

    def say(self, *pieces: bytes) -> list[Message]:
        before = len(self.found)
        for piece in pieces:
            self.found += self.stream.receive(piece)
        return self.found[before:]

    @property
    def failed(self) -> str:
        return "" if self.stream.failed is None else str(self.stream.failed)

    def seen(self) -> tuple[object, ...]:
        """All that can be seen of it."""
        return self.found, self.stream.malformed, self.failed, self.stream.subscribed, b"".join(self.sent)


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """In pieces, none of them empty."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges) if start < stop]


# Greeting and handshake.


def test_what_we_say_is_zmtp_3_0_without_security() -> None:
    assert greeting(minor=0) == GREETING


@pytest.mark.parametrize("kind", [b"PUB", b"XPUB"])
def test_a_publisher_is_asked_for_everything(kind: bytes) -> None:
    peer = Peer(greeting())
    assert peer.sent == [command(b"READY", item(b"Socket-Type", b"SUB"))]
    assert not peer.stream.subscribed
    peer.say(ready(kind))
    assert peer.sent[1:] == [SUBSCRIBE]
    assert peer.stream.subscribed
    assert not peer.failed


def test_a_handshake_that_comes_byte_by_byte_is_answered_once() -> None:
    peer = Peer(*bytewise(HELLO))
    assert peer.seen() == Peer(HELLO).seen()
    assert len(peer.sent) == 2


def test_nothing_is_said_before_the_whole_greeting_is_there() -> None:
    peer = Peer(*bytewise(greeting()[:-1]))
    assert (peer.sent, peer.failed) == ([], "")


def test_messages_may_come_with_the_handshake() -> None:
    assert Peer(HELLO + message(b"a", b"{}")).found == [(b"a", b"{}")]


@pytest.mark.parametrize("minor", [0, 1, 9])
def test_later_minor_versions_are_as_good(minor: int) -> None:
    assert Peer(greeting(minor=minor) + ready()).stream.subscribed


def test_later_major_versions_speak_ours() -> None:
    assert Peer(greeting(version=4) + ready()).stream.subscribed


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not ZMTP 2 or later"),
        (b"\x01\x00", "not ZMTP 2 or later"),  # ZMTP 1: a length, flags
        (b"\xff" + bytes(8) + b"\x00", "not ZMTP 2 or later"),  # ZMTP 1: a length of eight bytes, flags
        (b"\xff" + bytes(8) + b"\x02", "not ZMTP 2 or later"),
        (b"\xff" + bytes(8) + b"\x7f\x01", "ZMTP 2; libzmq 4.0 or later is needed"),  # libzmq 3
        (b"\xff" + bytes(8) + b"\x7f\x02", "ZMTP 2; libzmq 4.0 or later is needed"),
        (greeting(b"PLAIN"), "security mechanism 'PLAIN'; only NULL is there"),
        (greeting(b"CURVE"), "security mechanism 'CURVE'; only NULL is there"),
        (greeting(b"NULLS"), "security mechanism 'NULLS'; only NULL is there"),
    ],
)
def test_other_peers_are_refused_as_soon_as_they_are_known(data: bytes, reason: str) -> None:
    peer = Peer(*bytewise(data[:-1]))
    if data[:1] == b"\xff":
        assert not peer.failed
    peer.say(data[-1:])
    assert peer.failed == reason
    assert peer.sent == []


@pytest.mark.parametrize("name", [b"Socket-Type", b"socket-type", b"SOCKET-TYPE", b"sOCKET-tYPE"])
def test_names_of_properties_may_be_written_in_any_case(name: bytes) -> None:
    assert Peer(greeting(), ready(name=name)).stream.subscribed


@pytest.mark.parametrize("kind", [b"SUB", b"XSUB", b"PUSH", b"REQ", b"DEALER", b"pub", b""])
def test_only_publishers_may_come(kind: bytes) -> None:
    peer = Peer(greeting(), ready(kind) + message(b"a", b"{}"))
    assert peer.failed == f"a socket of type '{kind.decode()}'; only publishers may come here"
    assert (peer.found, peer.stream.subscribed, SUBSCRIBE in peer.sent) == ([], False, False)


@pytest.mark.parametrize(
    "properties",
    [
        b"",
        b"\xff",
        b"\x0bSocket-Type",
        b"\x0bSocket-Type\x00\x00\x00",
        b"\x0bSocket-Type\x00\x00\x00\x04PUB",
        b"\x0bSocket-Type\xff\xff\xff\xffPUB",
    ],
)
def test_a_property_that_is_missing_or_cut_off_is_none(properties: bytes) -> None:
    peer = Peer(greeting(), command(b"READY", properties))
    assert peer.failed == "a socket of type ''; only publishers may come here"


@pytest.mark.parametrize("first", [message(b"a", b"{}"), command(b"PING", b"\0\0"), frame(b"", COMMAND)])
def test_nothing_comes_before_ready(first: bytes) -> None:
    peer = Peer(greeting(), first + ready())
    assert peer.failed == "no READY after the greeting"
    assert peer.found == []


def test_what_a_publisher_that_refuses_says_is_told() -> None:
    refusal = command(b"ERROR", b"\x0bgo away now")
    assert Peer(greeting(), refusal).failed == "the publisher refuses: 'go away now'"
    peer = Peer(HELLO, message(b"a", b"{}") + refusal + message(b"b", b"{}"))
    assert peer.failed == "the publisher refuses: 'go away now'"
    assert peer.found == [(b"a", b"{}")]


def test_what_is_told_of_a_peer_is_short_and_one_line() -> None:
    peer = Peer(greeting(), command(b"ERROR", b"\xff" + b"\n\x1b\xff" * 80))
    assert len(peer.failed) < 500
    assert peer.failed.isascii()
    assert peer.failed.isprintable()


# Commands.


@pytest.mark.parametrize("length", [0, 1, 16])
def test_a_heartbeat_is_answered_with_its_context(length: int) -> None:
    context = bytes(range(length))
    peer = Peer(HELLO)
    assert peer.say(command(b"PING", b"\x00\x0a" + context)) == []
    assert peer.sent[2:] == [command(b"PONG", context)]


@pytest.mark.parametrize("length", [17, 240, 300])
def test_a_longer_context_is_cut(length: int) -> None:
    peer = Peer(HELLO)
    peer.say(command(b"PING", b"\x00\x0a" + b"x" * length))
    assert peer.sent[2:] == [command(b"PONG", b"x" * 16)]


@pytest.mark.parametrize("body", [b"", b"\x00"])
def test_a_heartbeat_that_is_cut_off_is_answered_all_the_same(body: bytes) -> None:
    peer = Peer(HELLO)
    peer.say(command(b"PING", body))
    assert peer.sent[2:] == [command(b"PONG")]


@pytest.mark.parametrize(
    "other",
    [
        command(b"PONG", b"context"),
        command(b"SUBSCRIBE", b"topic"),
        command(b"LATER", b"x" * 300),
        ready(),
        frame(b"", COMMAND),
        frame(b"\xffcut off", COMMAND),
        command(b""),
        command(b"ping", b"\0\0"),
    ],
)
def test_other_commands_are_passed_over(other: bytes) -> None:
    peer = Peer(HELLO)
    assert peer.say(message(b"a", b"1") + other + message(b"b", b"2")) == [(b"a", b"1"), (b"b", b"2")]
    assert (peer.failed, peer.stream.malformed, len(peer.sent)) == ("", 0, 2)


# Messages.


@pytest.mark.parametrize("topic", BORDERS)
@pytest.mark.parametrize("payload", BORDERS)
def test_frames_of_any_length(topic: int, payload: int) -> None:
    one = b"t" * topic, b"p" * payload
    peer = Peer(HELLO)
    assert peer.say(message(*one) + message(b"next", b"{}")) == [one, (b"next", b"{}")]
    assert peer.say(*bytewise(message(*one))) == [one]
    assert peer.stream.malformed == 0


def test_a_short_frame_may_be_written_as_a_long_one() -> None:
    peer = Peer(HELLO)
    long_topic = bytes((MORE | LONG,)) + struct.pack(">Q", 1) + b"a"
    long_payload = bytes((LONG,)) + struct.pack(">Q", 2) + b"{}"
    for topic, payload in itertools.product([frame(b"a", MORE), long_topic], [frame(b"{}"), long_payload]):
        assert peer.say(topic + payload) == [(b"a", b"{}")]


@pytest.mark.parametrize(
    "frames", [[b"alone"], [b""], [b"a", b"b", b"c"], [b"a" * 300, b"", b"", b"b" * 300]]
)
def test_a_message_that_does_not_have_two_frames_is_its_topic_and_nothing(frames: list[bytes]) -> None:
    peer = Peer(HELLO)
    whole = message(b"x", b"1") + message(*frames) + message(b"y", b"2")
    assert peer.say(whole) == [(b"x", b"1"), (frames[0], b""), (b"y", b"2")]
    assert peer.stream.malformed == 1


def test_what_has_not_come_as_a_whole_is_kept_until_it_has() -> None:
    whole = message(b"a", b"x" * 1000)
    peer = Peer(HELLO)
    assert peer.say(message(b"b", b"1") + whole[:-1]) == [(b"b", b"1")]
    assert peer.say(whole[-1:] + whole[:5]) == [(b"a", b"x" * 1000)]
    assert peer.say(whole[5:]) == [(b"a", b"x" * 1000)]


# Faults.


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
