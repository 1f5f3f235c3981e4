"""The simulated broker's server: upgrades, frames, calls, streams, and an end without remains."""

from __future__ import annotations

import json
import socket

import pytest
import pytest_twisted
from twisted.internet.error import CannotListenError
from twisted.logger import globalLogPublisher

from openalgo_ws.simulator.journal import Outcome
from tests.support.orders import ORDER


@pytest_twisted.ensureDeferred
async def test_upgrade_is_granted_and_the_broker_speaks_first(rig):
    client = await rig.client()
    client.upgrade("/feed?key=demo-key&x=%20y", "Sec-WebSocket-Protocol: json, other", "X-Kite-Version: 3")
    await client.until(lambda c: c.texts)
    assert client.status == 101
    assert b"Sec-WebSocket-Protocol: json" in client.head
    assert b"Sec-WebSocket-Extensions" not in client.head
    assert client.texts == ["welcome"]
    upgrade = rig.side.upgrades[0]
    assert (upgrade.host, upgrade.path) == ("ws.broker.example", "/feed")
    assert dict(upgrade.query) == {"key": "demo-key", "x": " y"}
    assert upgrade.subprotocols == ("json", "other")
    assert upgrade.headers["x-kite-VERSION"] == "3"
    assert "demo-key" not in repr(upgrade) + repr(upgrade.headers) + repr(rig.broker.connections)


@pytest_twisted.ensureDeferred
async def test_refusal_carries_status_headers_and_body(rig):
    client = await rig.client()
    client.upgrade("/?key=wrong")
    await client.until(lambda c: c.ended)
    assert client.status == 401
    assert b"X-Error: bad key" in client.head
    assert client.body == b'{"error":"key"}'
    attempt = rig.broker.journal.attempts[0]
    assert (attempt.outcome, attempt.status, attempt.path) == (Outcome.REFUSED, 401, "/")


@pytest_twisted.ensureDeferred
async def test_a_changed_token_counts_from_the_next_upgrade(rig):
    rig.broker.credentials["key"] = "fresh"
    old, new = await rig.client(), await rig.client()
    old.upgrade()
    new.upgrade("/?key=fresh")
    await old.until(lambda c: c.ended)
    await new.until(lambda c: c.texts)
    assert (old.status, new.status) == (401, 101)


@pytest_twisted.ensureDeferred
async def test_head_may_come_byte_by_byte_with_a_frame_in_its_tail(rig):
    client = await rig.client()
    client.transport.setTcpNoDelay(True)
    request = (
        b"GET /?key=demo-key HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    )
    request += b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    for byte in request[:-1]:
        client.write(bytes([byte]))
    client.write(request[-1:] + bytes([0x81, 0x80 | 12]) + bytes(4) + b'{"ping":"x"}')
    await client.until(lambda c: "pong" in c.texts)


@pytest_twisted.ensureDeferred
async def test_ticks_reach_who_holds_them(rig):
    client = await rig.subscriber(2)
    before = len(client.ticks)
    rig.pass_time(1.0)
    await client.until(lambda c: len(c.ticks) >= before + 20)
    assert {symbol for symbol, _, _ in client.ticks} == {"RELIANCE", "SBIN"}
    last = {symbol: (ltp, volume) for symbol, ltp, volume in client.ticks}
    first = rig.exchange.last(next(iter(rig.exchange.instruments())))
    assert last["RELIANCE"] == (first.ltp, first.volume)


@pytest_twisted.ensureDeferred
async def test_rate_is_kept(make_rig):
    rig = make_rig(rate=250.0)
    seen = []
    rig.broker.observers.append(seen.extend)
    rig.pass_time(4.0)
    assert len(seen) == pytest.approx(1000, abs=5)
    rig.broker.rate = 0.0
    rig.pass_time(4.0)
    assert len(seen) == pytest.approx(1000, abs=5)


@pytest_twisted.ensureDeferred
async def test_a_pause_is_not_caught_up_for_long(rig):
    seen = []
    rig.broker.observers.append(seen.append)
    rig.clock.advance(3600.0)
    assert sum(map(len, seen)) <= rig.broker.rate


@pytest_twisted.ensureDeferred
async def test_heartbeats_come_at_their_interval(rig):
    client = await rig.client()
    client.upgrade()
    await client.until(lambda c: c.texts)
    rig.pass_time(3.5)
    await client.until(lambda c: c.texts.count("heartbeat") >= 3)
    client.ask(ping="x")
    await client.until(lambda c: "pong" in c.texts)
    assert client.texts.count("heartbeat") == 3


@pytest_twisted.ensureDeferred
async def test_server_pings_and_drops_who_does_not_answer(rig):
    client = await rig.client()
    client.upgrade()
    await client.until(lambda c: c.texts)
    connection = rig.side.open[0]
    connection.ping_interval, connection.pong_timeout = 1.0, 2.5
    rig.pass_time(1.1)
    await client.until(lambda c: (9, b"") in c.frames)
    client.send(b"", opcode=10)
    client.ask(ping="x")
    await client.until(lambda c: "pong" in c.texts)
    rig.pass_time(2.0)
    assert rig.broker.connections
    rig.pass_time(1.0)
    await client.until(lambda c: c.ended)
    assert connection.is_closed


@pytest_twisted.ensureDeferred
async def test_binary_frames_and_any_close_code(rig):
    client = await rig.client()
    client.upgrade()
    client.ask(binary="00ff")
    client.ask(close=1008)
    await client.until(lambda c: c.frames and c.frames[-1][0] == 8)
    assert (2, b"\x00\xff") in client.frames
    assert client.frames[-1][1] == b"\x03\xf0as you wish"
    assert "never sent" not in client.texts
    client.send(b"\x03\xf0", opcode=8)
    await client.until(lambda c: c.ended)


@pytest_twisted.ensureDeferred
async def test_close_without_a_frame_and_close_nobody_answers(rig):
    bare, deaf = await rig.client(), await rig.client()
    for client, code in ((bare, 1006), (deaf, 4000)):
        client.upgrade()
        client.ask(close=code)
    await bare.until(lambda c: c.ended)
    assert [opcode for opcode, _ in bare.frames] == [1, 1]
    await deaf.until(lambda c: c.frames and c.frames[-1][0] == 8)
    rig.pass_time(1.9)
    assert rig.broker.sockets == 1
    rig.pass_time(0.2)
    await deaf.until(lambda c: c.ended)


@pytest_twisted.ensureDeferred
async def test_orders_reach_every_connection(rig):
    clients = [await rig.subscriber(1), await rig.subscriber(1)]
    rig.broker.order(ORDER, "1")
    for client in clients:
        await client.until(lambda c: '{"order": "7"}' in c.texts)


@pytest_twisted.ensureDeferred
async def test_calls_are_answered_and_push_frames(rig):
    client = await rig.client()
    client.upgrade()
    await client.until(lambda c: c.texts)
    caller = await rig.client()
    token, body = rig.tokens[1], b'{"a":1}'
    caller.write(
        b"POST /v1/buy/%s HTTP/1.1\r\nHost: api.broker.example\r\nAuthorization: token t\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (token.encode(), len(body), body)
    )
    await caller.until(lambda c: c.body.endswith(b'{"ok":true}'))
    assert caller.status == 202
    assert b"X-Broker: json" in caller.head
    await client.until(lambda c: c.ticks)
    assert client.ticks[0][0] == "SBIN"
    request = rig.side.requests[0]
    assert (request.method, request.url) == ("POST", f"https://api.broker.example/v1/buy/{token}")
    assert request.text == '{"a":1}'
    assert request.headers["authorization"] == "token t"
    # The same connection serves the next call: nothing of it is left when the server stops.
    caller.write(b"GET /other HTTP/1.1\r\nHost: 127.0.0.1:5\r\n\r\n")
    await caller.until(lambda c: c.data.count(b'{"ok":true}') == 2)
    assert rig.side.requests[1].url == "http://127.0.0.1:5/other"
    assert rig.side.requests[1].text is None
    assert rig.broker.journal.calls == {f"v1/buy/{token}": 1, "other": 1}


@pytest_twisted.ensureDeferred
async def test_stream_and_calls_share_a_port(make_rig):
    rig = make_rig(make_rig.json_stream)
    assert rig.broker.url == f"tcp://127.0.0.1:{rig.broker.port}"
    client, caller = await rig.client(), await rig.client()
    client.write(json.dumps({"hold": rig.tokens[:1]}).encode())
    await client.until(lambda c: b"welcome" in c.data and b"RELIANCE" in c.data)
    caller.write(b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    await caller.until(lambda c: c.status == 202)
    client.write(json.dumps({"close": 1000}).encode())
    await client.until(lambda c: c.ended)
    assert client.data.endswith(b"bye")


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"GET / HTTP/2.0\r\n\r\n", 400), (b"GET /\r\n\r\n", 400), (b"G" * 70_000, 431), (b"\x16\x03\x01", 0)],
)
@pytest_twisted.ensureDeferred
async def test_nonsense_is_refused(rig, data, status):
    client = await rig.client()
    client.write(data)
    await client.until(lambda c: c.ended)
    assert client.status == status


@pytest_twisted.ensureDeferred
async def test_who_says_nothing_is_dropped_in_the_end(rig):
    client = await rig.client()
    await client.until(lambda c: rig.broker.sockets or c.ended)
    rig.pass_time(31)
    await client.until(lambda c: c.ended)
    assert rig.broker.journal.outcomes == {Outcome.VANISHED: 1}


@pytest_twisted.ensureDeferred
async def test_a_client_that_does_not_read_is_dropped(make_rig):
    rig = make_rig(buffer_limit=50_000, rate=20_000.0)
    slow, quick = await rig.subscriber(50), await rig.subscriber(50)
    slow.transport.pauseProducing()
    for connection in rig.broker.connections:
        handle = connection._link.transport.getHandle()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    for _ in range(1_000):
        rig.pass_time(0.1)
        before = len(quick.data)
        await quick.until(lambda c, before=before: len(c.data) > before)
        if rig.broker.journal.dropped:
            break
    assert rig.broker.journal.dropped == 1
    assert len(rig.broker.connections) == 1
    slow.transport.resumeProducing()
    await slow.until(lambda c: c.ended)


@pytest_twisted.ensureDeferred
async def test_it_may_stop_and_listen_again_where_it_was(rig):
    client = await rig.subscriber()
    port, before = rig.broker.port, rig.exchange.last(next(iter(rig.exchange.instruments())))
    await rig.broker.stop()
    await client.until(lambda c: c.ended)
    with pytest.raises(RuntimeError):
        _ = rig.broker.port
    assert rig.clock.getDelayedCalls() == []
    rig.broker.listen(port)
    again = await rig.subscriber(1)
    assert again.ticks[0] == ["RELIANCE", before.ltp, before.volume]


@pytest_twisted.ensureDeferred
async def test_a_port_in_use_is_an_error(rig, make_rig):
    other = make_rig()
    await other.broker.stop()
    with pytest.raises(CannotListenError):
        other.broker.listen(rig.broker.port)
    assert other.clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_ticks_between_the_close_and_the_end_of_the_socket_are_dropped(rig):
    client, other = await rig.subscriber(), await rig.subscriber()
    rig.broker.connections[0]._link.dropConnection()
    before = len(other.ticks)
    rig.pass_time(3)
    await other.until(lambda c: len(c.ticks) > before)
    await client.until(lambda c: c.ended)


@pytest_twisted.ensureDeferred
async def test_a_side_that_fails_in_the_market_ends_the_server_loudly(rig):
    client = await rig.subscriber()

    def fail(ticks):
        raise ZeroDivisionError("a mistake in an adapter")

    rig.side.open[0].ticks = fail
    logged = []
    globalLogPublisher.addObserver(logged.append)
    try:
        rig.pass_time(0.1)
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert any(event.get("log_failure") and event["log_failure"].check(ZeroDivisionError) for event in logged)
    await client.until(lambda c: c.ended)


@pytest_twisted.ensureDeferred
async def test_a_side_that_fails_on_a_frame_ends_that_connection(rig):
    client, other = await rig.subscriber(), await rig.subscriber()
    client.send("this is not JSON")
    await client.until(lambda c: c.ended or c.frames[-1][0] == 8)
    before = len(other.ticks)
    rig.pass_time(3)
    await other.until(lambda c: len(c.ticks) > before)
    await client.until(lambda c: c.ended)
    assert len(rig.side.open) == 1


@pytest_twisted.ensureDeferred
async def test_a_call_with_an_endless_body_is_dropped(rig):
    client = await rig.client()
    client.write(b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    for _ in range(80):
        client.write(chunk)
    await client.until(lambda c: c.ended)
    assert client.data == b""
    assert rig.side.requests == []
