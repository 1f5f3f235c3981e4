"""100,000 random requests and frames at a server as users run it: it neither falls nor leaks nor tells."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import pytest
import zmq
from websockets.sync.client import connect

from tests.hostile.fuzz import Fuzz
from tests.hostile.wire import BINARY, TEXT, server_frames
from tests.server.conftest import alice
from tests.support.fixtures import process
from tests.support.process import ServerProcess, free_port

__all__ = ["alice", "process"]

pytestmark = pytest.mark.slow

SEED = 20241
AMOUNT = 100_000
#: Clients that throw at a time.
TOGETHER = 3
#: Messages of one connection, at the most.
LENGTH = 300
#: What a server may have grown by from the first half to the second (bytes): the allocator's breath.
BREATH = 16 * 1024 * 1024

#: How a connection ends that the server closed while more was being sent.
GONE = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)

#: What a client may be told that has not authenticated.
TOLD = {"pong", "error", "auth"}


def rss(server: ServerProcess) -> int:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def clients(port: int) -> int:
    """How many the server says it has."""
    with urlopen(f"http://127.0.0.1:{port}/api/status", timeout=10) as answer:
        count: int = json.load(answer)["clients"]
        return count


class Publisher:
    """Publishes ticks of one symbol as the platform's processes do, until it is stopped."""

    def __init__(self, port: int) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port,))
        self._thread.start()

    def _run(self, port: int) -> None:
        with zmq.Context() as context, context.socket(zmq.PUB) as bus:
            bus.linger = 0
            bus.connect(f"tcp://127.0.0.1:{port}")
            price = 0
            while not self._stop.wait(0.02):
                price += 1
                bus.send_multipart([b"NSE_SBIN_LTP", json.dumps({"ltp": price}).encode()])

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def talk(port: int, pieces: list[bytes]) -> bytes:
    """Send all, and give back all that comes until the server closes."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(b"".join(pieces))
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                received += data
        except OSError as error:
            # The server had closed before it had read everything.
            if error.errno not in GONE:
                raise
    return bytes(received)


def told(received: bytes) -> Iterator[dict[str, object]]:
    """The messages in what a server sent to a WebSocket."""
    head, _, body = received.partition(b"\r\n\r\n")
    if b" 101 " not in head.partition(b"\r\n")[0]:
        return
    for opcode, payload in server_frames(body, cut_off=True):
        assert opcode != BINARY
        if opcode == TEXT:
            yield json.loads(payload)


def throw(port: int, seed: int, amount: int) -> int:
    """Throw that many at the server; how many it answered."""
    fuzz = Fuzz(seed)
    answers = 0
    while amount > 0:
        pieces = list(fuzz.connection(LENGTH))
        amount -= len(pieces)
        for message in told(talk(port, pieces)):
            answers += 1
            assert message["type"] in TOLD, message
            assert message["type"] != "auth" or message["status"] == "error", message
            assert "ltp" not in message, message
    return answers


def throw_together(port: int, seed: int, amount: int) -> int:
    """The same from several clients at a time."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        seeds = range(seed, seed + TOGETHER)
        return sum(pool.map(lambda one: throw(port, one, amount // TOGETHER), seeds))


def test_a_hundred_thousand_random_requests_and_frames(process, alice: str) -> None:
    status = free_port()
    server: ServerProcess = process(
        "--feeds",
        "external",
        STATUS_PORT=str(status),
        WS_MAX_REQUESTS_PER_SECOND="1000000",
        WS_REQUEST_BURST="1000000",
        WS_MAX_FAILED_AUTHENTICATIONS="1000000",
        WS_FAILED_AUTHENTICATION_SECONDS="1",
    ).start()
    publisher = Publisher(server.zmq_port)
    try:
        with connect(server.url) as witness:
            witness.send(json.dumps({"action": "authenticate", "api_key": alice}))
            assert json.loads(witness.recv(timeout=10))["status"] == "success"
            witness.send(json.dumps({"action": "subscribe", "symbols": ["NSE:SBIN"], "mode": "LTP"}))
            assert json.loads(witness.recv(timeout=10))["status"] == "success"

            answers = throw_together(server.port, SEED, AMOUNT // 2)
            half, held = rss(server), descriptors(server)
            answers += throw_together(server.port, SEED + TOGETHER, AMOUNT // 2)
            # It was not turned away at the door: most of it was read, and answered.
            assert answers > AMOUNT // 2

            # No crash: the server is there, and serves.
            with connect(server.url) as other:
                other.send(json.dumps({"action": "ping"}))
                assert json.loads(other.recv(timeout=10))["type"] == "pong"
            before = json.loads(witness.recv(timeout=10))["data"]["ltp"]
            while json.loads(witness.recv(timeout=10))["data"]["ltp"] <= before:
                pass
            # No leak.
            assert rss(server) < half + BREATH
            assert descriptors(server) <= held + 1
            assert clients(status) == 1
    finally:
        publisher.stop()
    assert server.stop() == 0
    output = server.output()
    assert "Traceback" not in output
    assert "could not be carried out" not in output
    assert alice not in output
