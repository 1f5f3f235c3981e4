"""Clients of a server with worker processes, and a publisher for them."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import zmq
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import ClientConnection, connect

from openalgo_ws.bus.segment import folder
from tests.support.process import ServerProcess

#: Bounds every wait here (seconds): a start of a process on a busy machine is the longest.
PATIENCE = 60.0


def until(condition: Callable[[], Any]) -> Any:
    """Wait until it is so, and return what it gave."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def ask(client: ClientConnection, **request: Any) -> dict[str, Any]:
    """The reply to a request of its own type; market data in between is left out."""
    client.send(json.dumps(request))
    while True:
        reply = json.loads(client.recv(timeout=PATIENCE))
        if reply["type"] != "market_data":
            return reply


def entered(server: ServerProcess, key: str, **more: Any) -> ClientConnection:
    """A client that has authenticated, with ``more`` in its request.

    It sends no pings: their answers wait behind ticks that a test reads later, perhaps too late. For the same
    reason it does not wait long for the answer to its close.
    """
    client = connect(server.url, open_timeout=PATIENCE, ping_interval=None, close_timeout=1).__enter__()
    assert ask(client, action="authenticate", api_key=key, **more)["status"] == "success"
    return client


def close_code(client: ClientConnection) -> int | None:
    """Take what comes until the server closes the connection; the code of its close frame."""
    try:
        while True:
            client.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code


def status(server: ServerProcess, path: str = "/api/status") -> Any:
    """What the status port says."""
    url = f"http://127.0.0.1:{server.environ['STATUS_PORT']}{path}"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as refusal:
        text = refusal.read().decode()
    return text if path == "/metrics" else json.loads(text)


def rings(server: ServerProcess) -> list[str]:
    """The workers that a server has rings in shared memory for."""
    begin = f"openalgo-ws.{server.pid}."
    names = (path.name for path in folder().glob(f"{begin}*"))
    return sorted(name.removeprefix(begin) for name in names if not name.endswith((".bell", ".wake")))


def pids(server: ServerProcess) -> list[int]:
    """The processes of the workers."""
    return [worker["pid"] for worker in status(server)["workers"].values()]


def alive(pid: int) -> bool:
    """Whether there is such a process, other than one that only waits to be noticed."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def on_both(server: ServerProcess, key: str, **more: Any) -> list[ClientConnection]:
    """Clients, of which each of two workers has at least one."""
    clients = []
    for _ in range(64):
        clients.append(entered(server, key, **more))
        count = len(clients)
        until(lambda count=count: status(server)["clients"] == count)
        if all(worker["clients"] for worker in status(server)["workers"].values()):
            return clients
    raise AssertionError("64 connections went to one worker")


class Publisher:
    """A publisher outside, as the platform has them."""

    def __init__(self, port: int) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.connect(f"tcp://127.0.0.1:{port}")

    def send(self, topic: str, **payload: Any) -> None:
        self._socket.send_multipart([topic.encode(), json.dumps(payload).encode()])

    def arrives(self, client: ClientConnection, symbol: str, ltp: float) -> None:
        """Publish a price until the client has it: a PUB socket is connected when it is."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.send(f"NSE_{symbol}_LTP", ltp=ltp)
            try:
                message = json.loads(client.recv(timeout=0.1))
            except TimeoutError:
                continue
            if message.get("data", {}).get("ltp") == ltp:
                return
        raise AssertionError("it does not arrive")

    def close(self) -> None:
        self._context.destroy(linger=0)


class Faithful(threading.Thread):
    """A client that holds symbols, and comes back when it is sent away. Ends with `leave`."""

    def __init__(self, server: ServerProcess, key: str, symbols: list[str]) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._key = key
        self._symbols = symbols
        self._leaving = False
        self.last: dict[str, float] = {}
        self.codes: list[int | None] = []
        self.subscribed = 0
        #: What went wrong, other than the end of a connection.
        self.problem: str | None = None

    def run(self) -> None:
        while not self._leaving:
            try:
                self._serve()
            except ConnectionClosed as closed:
                self.codes.append(closed.rcvd.code if closed.rcvd else None)
            except (InvalidMessage, ConnectionResetError, EOFError):
                # In the middle of the handshake.
                self.codes.append(None)
            except OSError as error:
                self.problem = repr(error)
                return

    def _serve(self) -> None:
        with connect(self._server.url, open_timeout=PATIENCE) as client:
            client.send(json.dumps({"action": "authenticate", "api_key": self._key}))
            client.send(
                json.dumps({"action": "subscribe", "symbols": self._symbols, "mode": "LTP", "throttle_ms": 0})
            )
            while not self._leaving:
                try:
                    message = json.loads(client.recv(timeout=0.2))
                except TimeoutError:
                    continue
                if message["type"] == "subscribe":
                    assert message["status"] == "success", message
                    self.subscribed += 1
                elif message["type"] == "market_data":
                    self.last[message["symbol"]] = message["data"]["ltp"]

    def leave(self) -> None:
        self._leaving = True
        self.join(PATIENCE)
        assert self.problem is None, self.problem
