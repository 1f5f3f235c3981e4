"""WebSocket clients for the load generator: they connect, authenticate and subscribe; then C reads."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

#: Symbols in a subscribe request, and clients that connect at a time.
CHUNK, ABREAST = 500, 16

_TICK = b'{"type":"market_data"'

_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(message: Any) -> bytes:
    """A request as a text frame, masked with zeros."""
    payload = json.dumps(message).encode()
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return b"\x81" + length + bytes(4) + payload


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """A server's frames (opcode and payload) and the rest."""
    found = []
    at = 0
    while len(data) - at >= 2:
        size, begin = data[at + 1] & 127, at + 2
        if size > 125:
            begin += 2 if size == 126 else 8
            if len(data) < begin:
                break
            size = int.from_bytes(data[at + 2 : begin], "big")
        if len(data) < begin + size:
            break
        found.append((data[at] & 15, data[begin : begin + size]))
        at = begin + size
    return found, data[at:]


class Refused(Exception):
    """The server did not take a client: its answer."""


class Client:
    """One connection. ``slow``: its buffers are those of a far client, so that they fill soon.

    ``times`` are when it began to connect and when each answer had come (`time.monotonic`): the upgrade's,
    then one for each request.
    """

    def __init__(
        self, port: int, key: str, names: Sequence[str], mode: str, options: Any, slow: bool
    ) -> None:
        self.socket = socket.socket()
        if slow:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.times = [time.monotonic()]
        self._requests = self._all_requests(key, names, mode, options)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(_UPGRADE)
        self._upgraded = False
        self._waits_for = ""

    @staticmethod
    def _all_requests(key: str, names: Sequence[str], mode: str, options: Any) -> Iterator[tuple[str, Any]]:
        yield "auth", {"action": "authenticate", "api_key": key, **options}
        for start in range(0, len(names), CHUNK):
            part = list(names[start : start + CHUNK])
            yield "subscribe", {"action": "subscribe", "symbols": part, "mode": mode}

    def read(self) -> bool:
        """Take what has arrived and ask for more; whether everything is done."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise Refused("it closed the connection")
        self.rest += data
        if not self._upgraded:
            answer, found, rest = self.rest.partition(b"\r\n\r\n")
            if not found:
                return False
            if b" 101 " not in answer:
                raise Refused(answer.decode("latin-1"))
            self._upgraded, self.rest = True, rest
            self.times.append(time.monotonic())
            return self._ask()
        frames, self.rest = split(self.rest)
        done = False
        for opcode, payload in frames:
            if opcode == 8:
                raise Refused(f"it closed with {payload!r}")
            if opcode != 1:
                continue
            if payload.startswith(_TICK):
                self.ticked(payload)
            else:
                done = self._heard(json.loads(payload)) or done
        return done

    def ticked(self, payload: bytes) -> None:
        """Ticks come already; most who measure have no time to look into them."""

    def _heard(self, message: Any) -> bool:
        kind = message.get("type")
        if kind == self._waits_for:
            if message.get("status") != "success":
                raise Refused(str(message)[:300])
            self.times.append(time.monotonic())
            return self._ask()
        if kind == "error":
            raise Refused(str(message)[:300])
        return False

    def _ask(self) -> bool:
        self._waits_for, request = next(self._requests, ("", None))
        if request is not None:
            self.socket.sendall(frame(request))
        return request is None


def connect_all(
    port: int,
    key: str,
    plans: Sequence[Sequence[str]],
    mode: str,
    options: Any,
    stalled: int = 0,
    *,
    abreast: int = ABREAST,
    done: Callable[[int, Client], None] | None = None,
    seconds: float = 120.0,
) -> list[Client]:
    """Connect a client for each list of symbols, ``abreast`` at a time; the last ``stalled`` are slow ones.
    ``done`` takes over the index and the client as soon as it has subscribed."""
    clients: list[Client] = []
    waiting = deque(enumerate(plans))
    under_way = 0
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        while waiting or under_way:
            while waiting and under_way < abreast:
                index, names = waiting.popleft()
                one = Client(port, key, names, mode, options, index >= len(plans) - stalled)
                clients.append(one)
                selector.register(one.socket, selectors.EVENT_READ, (index, one))
                under_way += 1
            for ready, _ in selector.select(1.0):
                index, one = ready.data
                if one.read():
                    under_way -= 1
                    selector.unregister(one.socket)
                    if done is not None:
                        done(index, one)
            if time.monotonic() > end:
                raise Refused(f"{len(clients)} of {len(plans)} clients after {seconds:g} s")
    return clients
