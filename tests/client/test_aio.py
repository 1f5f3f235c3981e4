"""The client on asyncio against a server on a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from openalgo_ws.client import (
    Authenticated,
    AuthenticationFailed,
    Connected,
    Disconnected,
    MarketData,
    Subscribed,
)
from openalgo_ws.client.aio import AsyncClient
from openalgo_ws.encoding.binary import BinaryMarketData, BinaryMarketDataBatch
from openalgo_ws.tick import Mode
from tests.support.process import TIMEOUT, free_port

TICK = {"type": "market_data", "symbol": "A", "exchange": "NSE", "mode": 3, "data": {"ltp": 7.25}}


class Server:
    """Answers as the gateway does, and notes what it was asked."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.closed: list[int | None] = []
        #: Connections that are cut off after their first tick.
        self.cut = 0

    async def handle(self, connection: ServerConnection) -> None:
        async for frame in connection:
            request = json.loads(frame)
            self.asked.append(request)
            if request["action"] != "authenticate":
                await connection.send(json.dumps(TICK))
                if self.cut:
                    self.cut -= 1
                    connection.transport.abort()
            elif request["api_key"] == self.key:
                await connection.send(json.dumps({"type": "auth", "status": "success", "user_id": "u"}))
            else:
                await connection.send(json.dumps({"type": "auth", "status": "error"}))
        await connection.wait_closed()
        self.closed.append(connection.protocol.close_code)


@asynccontextmanager
async def serving(key: str) -> AsyncIterator[Server]:
    server = Server(key)
    async with serve(server.handle, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}"
        yield server


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, TIMEOUT))


@pytest.fixture
def key(secret: Callable[[str], str]) -> str:
    return secret("the-right-key-1")


def quick(attempt: int) -> float:
    return 0.001


def test_events_come_in_a_loop_and_the_end_is_clean(key: str) -> None:
    async def main() -> None:
        async with serving(key) as server:
            events = []
            async with AsyncClient(server.url, key) as client:
                await client.subscribe(["NSE:A"], Mode.DEPTH)
                async for event in client:
                    events.append(event)
                    if isinstance(event, MarketData):
                        await client.close()
        assert [type(event) for event in events] == [Connected, Authenticated, MarketData, Disconnected]
        assert events[2] == MarketData("A", "NSE", Mode.DEPTH, None, {"ltp": 7.25}, False)
        assert server.closed == [1000]

    run(main())


def test_it_subscribes_again_when_the_connection_was_lost(key: str) -> None:
    async def main() -> None:
        async with serving(key) as server:
            server.cut = 2
            kinds = []
            async with AsyncClient(server.url, key, retry=quick) as client:
                await client.subscribe(["NSE:A"])
                async for event in client:
                    kinds.append(type(event))
                    if kinds.count(MarketData) == 3:
                        break
        assert kinds.count(Disconnected) == 2
        assert [request["action"] for request in server.asked] == ["authenticate", "subscribe"] * 3
        assert server.closed[-1] == 1000

    run(main())


def test_what_is_subscribed_meanwhile_is_sent_at_once(key: str) -> None:
    async def main() -> None:
        async with serving(key) as server, AsyncClient(server.url, key) as client:
            async for event in client:
                if isinstance(event, Authenticated):
                    await client.subscribe(["NSE:A"])
                elif isinstance(event, MarketData):
                    break
        assert [request["action"] for request in server.asked] == ["authenticate", "subscribe"]

    run(main())


def test_a_refused_key_is_not_tried_again(secret: Callable[[str], str]) -> None:
    async def main() -> None:
        wrong = secret("the-wrong-key-1")
        async with serving("the-right-key-1") as server, AsyncClient(server.url, wrong) as client:
            events = [event async for event in client]
        assert [type(event) for event in events] == [Connected, AuthenticationFailed, Disconnected]
        assert len(server.asked) == 1

    run(main())


def test_a_server_that_is_not_there_is_reported_and_tried_again(key: str) -> None:
    async def main() -> None:
        attempts = []
        async with AsyncClient(f"ws://127.0.0.1:{free_port()}", key, retry=quick) as client:
            async for event in client:
                assert isinstance(event, Disconnected)
                attempts.append(event)
                if len(attempts) == 3:
                    await client.close()

        assert len(attempts) == 3

    run(main())


def test_no_key_is_logged_even_when_everything_is(key: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving(key) as server, AsyncClient(server.url, key) as client:
            async for event in client:
                if isinstance(event, Authenticated):
                    await client.close()

    # The server of the test logs what it is sent, as any library may; it is not what is looked at.
    logging.getLogger("websockets.server").setLevel(logging.INFO)
    with caplog.at_level(logging.DEBUG):
        run(main())

    assert key not in caplog.text


def test_binary_frames_become_the_same_events(key: str) -> None:
    record = BinaryMarketData(
        id=7, mode=1, price_scale=2, qty_scale=0, flags=0, timestamp_us=1_000_000, ltp=725
    )

    async def handle(connection: ServerConnection) -> None:
        request = json.loads(await connection.recv())
        assert request["format"] == "binary"
        await connection.send(json.dumps({"type": "auth", "status": "success"}))
        entry = {"symbol": "A", "exchange": "NSE", "status": "success", "mode": "LTP", "id": 7}
        await connection.send(json.dumps({"type": "subscribe", "subscriptions": [entry]}))
        await connection.send(BinaryMarketDataBatch.pack([record.pack()]))
        await connection.wait_closed()

    async def main() -> None:
        async with serve(handle, "127.0.0.1", 0) as listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            async with AsyncClient(f"ws://127.0.0.1:{port}", key, binary=True) as client:
                events = []
                async for event in client:
                    events.append(event)
                    if isinstance(event, MarketData):
                        break
        assert events[2] == Subscribed("A", "NSE", Mode.LTP, None, False)
        assert (events[3].symbol, events[3].data["ltp"]) == ("A", 7.25)

    run(main())


@pytest.mark.parametrize("url", ["http://127.0.0.1", "ws://", "127.0.0.1:8765", ""])
def test_another_kind_of_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        AsyncClient(url, "a key of a test")
