"""Requests that are no upgrade, too long an upgrade, or too slow."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.gateway.protocol import ClientProtocol
from tests.hostile.wire import (
    ACCEPT,
    KEY,
    TEXT,
    Received,
    chopped,
    close,
    exchange,
    raw_client,
    text,
    upgrade,
)


async def answer(port: int, *sent: bytes) -> Received:
    """What the server says to a request before it closes."""
    client = await raw_client(port)
    for one in sent:
        client.transport.write(one)
    return await client.end()


@pytest_twisted.ensureDeferred
async def test_an_upgrade_as_it_should_be(port: int) -> None:
    received = await answer(port, upgrade(), close(1000))
    lines = received.head.decode().lower().split("\r\n")
    assert received.status == 101
    assert f"sec-websocket-accept: {ACCEPT}".lower() in lines
    assert "upgrade: websocket" in lines
    assert "connection: upgrade" in lines


@pytest.mark.parametrize(
    "request_",
    [
        upgrade(Upgrade="WebSocket", Connection="keep-alive, UPGRADE"),
        upgrade(path="/ws/any/path?apikey=ignored&x=%ff"),
        upgrade(path="ws://127.0.0.1/absolute"),
        upgrade(Sec_WebSocket_Protocol="unknown, openalgo.flat"),
        upgrade(Sec_WebSocket_Extensions="x-unknown; a=1, permessage-deflate; client_max_window_bits"),
        upgrade(Cookie="a=b; c=d", X_Forwarded_For="not an address"),
    ],
    ids=[
        "other case",
        "a path and a query",
        "an absolute path",
        "subprotocols",
        "extensions",
        "other headers",
    ],
)
@pytest_twisted.ensureDeferred
async def test_upgrades_that_are_accepted(port: int, request_: bytes) -> None:
    received = await answer(port, request_ + text("Hello") + close(1000))
    assert received.status == 101
    assert received.messages == [(TEXT, b"Hello")]


@pytest_twisted.ensureDeferred
async def test_an_upgrade_by_the_byte_with_frames_right_behind(port: int) -> None:
    client = await raw_client(port)
    for piece in chopped(upgrade() + text("Hello") + close(1000)):
        client.transport.write(piece)
    received = await client.end()
    assert received.messages == [(TEXT, b"Hello")]


REFUSED: dict[str, bytes] = {
    "no Host": upgrade(without="Host"),
    "two Hosts": upgrade().replace(b"Host:", b"Host: other\r\nHost:"),
    "a Host with a port that is none": upgrade(Host="127.0.0.1:nonsense"),
    "no Upgrade": upgrade(without="Upgrade"),
    "an Upgrade to something else": upgrade(Upgrade="h2c"),
    "no Connection": upgrade(without="Connection"),
    "a Connection that stays": upgrade(Connection="keep-alive"),
    "no key": upgrade(without="Sec-WebSocket-Key"),
    "two keys": upgrade().replace(b"Sec-WebSocket-Key:", b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Key:"),
    "a short key": upgrade(Sec_WebSocket_Key=KEY[:-4]),
    "a key that is no Base64": upgrade(Sec_WebSocket_Key="!" * 22 + "=="),
    "no version": upgrade(without="Sec-WebSocket-Version"),
    "a future version": upgrade(Sec_WebSocket_Version="14"),
    "a version that is none": upgrade(Sec_WebSocket_Version="thirteen"),
    "a subprotocol twice": upgrade(Sec_WebSocket_Protocol="a, a"),
    "extensions that are none": upgrade(Sec_WebSocket_Extensions='permessage-deflate; a="'),
    "an origin that is none": upgrade(Origin="nonsense"),
    "another method": upgrade().replace(b"GET", b"POST"),
    "an older HTTP": upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a version of HTTP that is none": upgrade().replace(b"HTTP/1.1", b"HTTP/nonsense"),
    "a fragment in the path": upgrade(path="/#fragment"),
    "a request line of one word": b"nonsense\r\n\r\n",
    "a header without a colon": upgrade().replace(b"Host: 127.0.0.1", b"nonsense"),
    "nothing but ends of lines": b"\r\n\r\n",
    "a greeting in TLS": bytes.fromhex("1603010200010001fc0303") + b"\x00" * 500 + b"\r\n\r\n",
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest_twisted.ensureDeferred
async def test_what_is_no_upgrade_is_refused(serve: Any, name: str) -> None:
    server = serve()
    received = await answer(server.port, REFUSED[name])
    # An HTTP error or nothing at all, and no WebSocket.
    assert not received.head or 400 <= received.status < 600
    assert b"Traceback" not in received.head + received.body
    assert not server.gateway.clients()
    # The next one is served.
    assert (await exchange(server.port, text("on") + close(1000))).messages == [(TEXT, b"on")]


@pytest_twisted.ensureDeferred
async def test_a_request_without_an_end_is_not_waited_for(port: int) -> None:
    begun = b"GET / HTTP/1.1\r\nX: "
    assert (await answer(port, begun + b"x" * 16_384)).status == 431
    received = await answer(port, begun + b"x" * 500_000)
    assert not received.head or received.status == 431


@pytest_twisted.ensureDeferred
async def test_a_long_request_that_ends_is_served(port: int) -> None:
    received = await answer(port, upgrade(Cookie="x" * 15_000) + text("Hello") + close(1000))
    assert received.messages == [(TEXT, b"Hello")]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"], ids=["nothing", "a half"])
@pytest_twisted.ensureDeferred
async def test_a_slow_upgrade_is_dropped(serve: Any, sent: bytes) -> None:
    server = serve()
    server.gateway.factory.setProtocolOptions(openHandshakeTimeout=0.05)
    received = await answer(server.port, sent)
    assert not received.head or received.status >= 400
    assert not server.gateway.clients()


@pytest_twisted.ensureDeferred
async def test_a_flood_of_halves_is_turned_away(serve: Any) -> None:
    """Connections that are still in their handshake are bounded as well."""
    server = serve(connections=1)
    clients = [await raw_client(server.port) for _ in range(300)]
    gone = [client for client in clients if client.lost.called]
    clients[-1].transport.write(b"x")
    await clients[-1].end()
    assert server.gateway.factory.countConnections <= 1 + 256
    for client in clients:
        if not client.lost.called:
            client.transport.abortConnection()
            await client.end()
    assert len(gone) < len(clients)


@pytest_twisted.ensureDeferred
async def test_refusals_repeat_no_secret(port: int, secret: Any) -> None:
    """What a client put into its path or its headers does not come back, nor into a log."""
    key = secret("0123456789abcdef-a-key-in-the-path")
    for request in (
        upgrade(path=f"/?apikey={key}", without="Upgrade"),
        upgrade(Authorization=key, Host="x:y"),
    ):
        received = await answer(port, request)
        assert key.encode() not in received.head + received.body


@pytest_twisted.ensureDeferred
async def test_the_gateway_itself_answers_to_raw_bytes(serve: Any) -> None:
    """Not the echo: the protocol class as it is."""
    server = serve()
    server.gateway.factory.protocol = ClientProtocol
    received = await exchange(server.port, text('{"action":"ping"}') + text("{") + close(1000))
    replies = [json.loads(payload) for _, payload in received.messages]
    assert [reply["type"] for reply in replies] == ["pong", "error"]
