"""The server with the bus in shared memory."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from openalgo_ws.bus.segment import folder
from openalgo_ws.demo import DEMO_KEY
from tests.support.process import ServerProcess

pytestmark = pytest.mark.slow


def ticks(url: str, count: int) -> list[float]:
    """So many prices of one share."""
    with connect(url) as client:
        ask(client, action="authenticate", api_key=DEMO_KEY)
        ask(client, action="subscribe", symbols=["NSE:RELIANCE"], mode="LTP")
        prices = []
        while len(prices) < count:
            message = json.loads(client.recv(timeout=20))
            if message["type"] == "market_data":
                prices.append(message["data"]["ltp"])
        return prices


def ask(client: ClientConnection, **request: object) -> None:
    client.send(json.dumps(request))
    assert json.loads(client.recv(timeout=20))["status"] == "success"


def segments(server: ServerProcess) -> list[Path]:
    return sorted(folder().glob(f"openalgo-ws.{server.pid}*"))


@pytest.mark.parametrize(
    ("option", "strategy"),
    [("--bus=shm", "yielding"), ("--bus=shm", "blocking"), ("--disruptor-high-performance", "busy_spin")],
)
def test_prices_come_through_shared_memory(
    process: Callable[..., ServerProcess], option: str, strategy: str
) -> None:
    server = process("--demo", option, "--disruptor-wait-strategy", strategy).start()
    (ring, bell, *_) = segments(server)
    assert stat.S_IMODE(ring.stat().st_mode) == 0o600
    assert stat.S_ISFIFO(bell.stat().st_mode)
    # One slot is 256 bytes, and the default is 65,536 of them.
    assert ring.stat().st_size > 65_536 * 256
    assert len(ticks(server.url, 5)) == 5
    assert server.stop() == 0
    assert segments(server) == []


def test_without_it_there_is_none(process: Callable[..., ServerProcess]) -> None:
    server = process("--demo", "--bus", "zmq", "--disruptor-high-performance").start()
    assert ticks(server.url, 1)
    assert segments(server) == []
    assert server.stop() == 0


def test_what_a_killed_server_left_is_removed_by_the_next(process: Callable[..., ServerProcess]) -> None:
    killed = process("--demo", "--bus", "shm", "--disruptor-buffer-size", "1024").start()
    assert segments(killed)
    killed.kill()
    assert segments(killed)
    server = process("--demo", "--bus", "shm").start()
    assert segments(killed) == []
    assert segments(server)
    assert ticks(server.url, 1)
    assert server.stop() == 0
