"""What one publisher sends, from bytes: no socket, no time."""

from __future__ import annotations

import itertools
import struct

import pytest

from openalgo_ws.bus.zmtp import GREETING
from tests.bus.zmtp.wire import (
    COMMAND,
    HELLO,
    LONG,
    MORE,
    SUBSCRIBE,
    Peer,
    bytewise,
    command,
    frame,
    greeting,
    item,
    message,
    ready,
)

#: Around the border between short and long frames.
BORDERS = [0, 1, 254, 255, 256, 257, 1000]


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
