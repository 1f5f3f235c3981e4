"""The small parts: addresses, the two heads of an upgrade, timers, the reactor's clock."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock

from openalgo_ws.adapter import Dial
from openalgo_ws.feeds.address import BadAddress, resolve
from openalgo_ws.feeds.environment import SystemEnvironment, make_steady, uniform
from openalgo_ws.feeds.link import Refused
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.feeds.upgrade import BadResponse, RefusalReader, request_head, split_head


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        ("wss://ws.kite.trade?a=1", None, (True, "ws.kite.trade", 443, "/?a=1", "ws.kite.trade")),
        ("ws://h", None, (False, "h", 80, "/", "h")),
        ("wss://h:444/x", None, (True, "h", 444, "/x", "h:444")),
        ("https://h:443/x", None, (True, "h", 443, "/x", "h")),
        ("tls://mqtt.x.example:8883", None, (True, "mqtt.x.example", 8883, "/", "mqtt.x.example:8883")),
        ("wss://h/p?q=1", "ws://127.0.0.1:9001", (False, "127.0.0.1", 9001, "/p?q=1", "h")),
        ("wss://h/p", "wss://[::1]:9001/", (True, "::1", 9001, "/p", "h")),
        ("https://h/p", "ws://localhost", (False, "localhost", 80, "/p", "h")),
        ("tls://h:8883", "tcp://127.0.0.1:1", (False, "127.0.0.1", 1, "/", "h:8883")),
        ("wss://[::1]:9/p", None, (True, "::1", 9, "/p", "[::1]:9")),
        ("wss://h/ä?b=ß|%7C", None, (True, "h", 443, "/%C3%A4?b=%C3%9F|%7C", "h")),
        ("wss://h/p#fragment", None, (True, "h", 443, "/p", "h")),
    ],
)
def test_addresses(url: str, base: str | None, expected: tuple[Any, ...]) -> None:
    address = resolve(url, base)
    found = (address.secure, address.host, address.port, address.resource, address.authority)
    assert found == expected


@given(st.text() | st.text().map(lambda tail: f"wss://h/{tail}"))
def test_an_address_is_safe_on_a_request_line_or_refused_without_a_word_of_it(url: str) -> None:
    try:
        address = resolve(url)
    except BadAddress as bad:
        said = str(bad)
    else:
        said = ""
    if said:
        assert len(url) < 12 or url not in said
        return
    line = f"{address.resource} {address.authority} {address.netloc}"
    assert line.isprintable()
    assert line.count(" ") == 2
    assert address.resource.isascii()


def test_an_address_does_not_show_its_query() -> None:
    assert "SECRET" not in repr(resolve("wss://h/p?token=SECRET"))


def test_a_header_of_the_dial_takes_the_place_of_our_own() -> None:
    dial = Dial(url="wss://h/", headers={"user-agent": "sdk/1", "Host": "other"}, subprotocols=("nats",))
    head = request_head(dial, resolve(dial.url), "KEY").decode()
    assert head.lower().count("user-agent:") == 1
    assert "Host: other\r\n" in head
    assert "Host: h\r\n" not in head
    assert "Sec-WebSocket-Protocol: nats\r\n" in head
    assert head.endswith("\r\n\r\n")


HEADS = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=300).map(lambda rest: b"HTTP/1.1 403 No\r\n" + rest),
    st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 403 No\r\nContent-Length: 7\r\n\r\n" + rest),
    st.lists(st.binary(min_size=1, max_size=20), max_size=5).map(
        lambda chunks: (
            b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
            + b"0\r\n\r\n"
        )
    ),
)


def read_whole(data: bytes) -> tuple[Refused, bool] | str | None:
    try:
        head = split_head(data)
    except BadResponse as bad:
        return str(bad)
    if head is None:
        return None
    status, headers, rest = head
    reader = RefusalReader(status, headers)
    reader.feed(rest)
    return reader.result(), reader.done


@given(HEADS, st.data())
@example(b"HTTP/1.1 403 No\r\nContent-Length: -1\r\n\r\n", None)
@example("HTTP/1.1 403 No\r\nContent-Length: ٣\r\n\r\nabc".encode(), None)
@example(b"HTTP/1.1 \xb2\xb2\xb2 x\r\n\r\n", None)
def test_any_bytes_in_any_pieces_are_read_alike(data: bytes, draw: Any) -> None:
    whole = read_whole(data)
    if draw is None or not isinstance(whole, tuple):
        return
    head = split_head(data)
    assert head is not None
    status, headers, rest = head
    reader = RefusalReader(status, headers)
    while rest:
        cut = draw.draw(st.integers(1, len(rest)))
        reader.feed(rest[:cut])
        rest = rest[cut:]
    assert (reader.result(), reader.done) == whole


@given(st.binary(max_size=200))
def test_a_chunked_body_is_put_together(body: bytes) -> None:
    reader = RefusalReader(403, {"transfer-encoding": "chunked"})
    for start in range(0, len(body), 7):
        piece = body[start : start + 7]
        reader.feed(b"%x\r\n%b\r\n" % (len(piece), piece))
    assert not reader.done
    reader.feed(b"0\r\n\r\n")
    assert reader.done
    assert reader.result().body == body


def test_timers_are_replaced_cancelled_and_cleared() -> None:
    clock, seen = Clock(), []
    timers = Timers(clock)
    timers.set("a", 1.0, lambda: seen.append("first"))
    timers.set("a", 2.0, lambda: seen.append("second"))
    timers.set("b", 1.0, lambda: seen.append("b"))
    timers.cancel("b")
    timers.cancel("never set")
    timers.set("past", -5.0, lambda: seen.append("past"))
    clock.advance(3)
    assert seen == ["past", "second"]
    timers.set("c", 1.0, lambda: timers.set("c", 1.0, lambda: None))
    clock.advance(1)
    assert timers.running("c")
    timers.clear()
    assert clock.getDelayedCalls() == []


def test_a_steady_reactor_does_not_care_for_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    reactor = SelectReactor()
    make_steady(reactor)
    fired = []
    reactor.callLater(0.0, fired.append, "due")
    reactor.callLater(3600.0, fired.append, "in an hour")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    reactor.runUntilCurrent()
    monkeypatch.setattr(time, "time", lambda: 1e12)
    reactor.runUntilCurrent()
    assert fired == ["due"]
    with pytest.raises(RuntimeError, match="timers already"):
        make_steady(reactor)
    for call in reactor.getDelayedCalls():
        call.cancel()
    reactor.removeAll()
    del reactor
    gc.collect()


@pytest.mark.parametrize("upper", [1.0, 60.0])
def test_draws_are_in_range_and_differ(upper: float) -> None:
    draws = [uniform(SystemEnvironment(), upper) for _ in range(50)]
    assert all(0 <= draw < upper for draw in draws)
    assert len(set(draws)) == 50


def test_the_environment_is_the_systems() -> None:
    environment = SystemEnvironment()
    assert abs(environment.now() - time.time()) < 5
    assert len(environment.random(16)) == 16
