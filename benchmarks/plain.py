"""What the work itself costs: ticks from ZeroMQ to WebSocket clients in plain Python, without any feature.

    python benchmarks/plain.py BUS_PORT

No accounts, limits, throttle, last values, shared outboxes or metrics; whoever can't take what is sent is
waited for. `fanout.py --plain` puts the same load on it, so that the server's cost stands beside what
the machine lets Python do in the same minute.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import select
import socket
import sys

import msgspec
import zmq

#: Messages from the bus in a turn.
BATCH = 512

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NOBLOCK = int(zmq.NOBLOCK)
_MODES = {"ltp": 1, "quote": 2, "depth": 3}
_join = b"".join


class Checked(msgspec.Struct, gc=False):
    """What is looked at of a payload; the rest is validated as JSON. No number in it is beyond a float's
    range."""

    ltp: float


class Request(msgspec.Struct):
    """What the load generator's clients ask."""

    action: str
    symbols: list[str] = []
    mode: str = ""


_check = msgspec.json.Decoder(Checked).decode
_request = msgspec.json.Decoder(Request).decode


def header(size: int) -> bytes:
    """Of a text frame of less than 64 KiB."""
    return bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")


_HEADERS = [header(size) for size in range(8192)]


class Client:
    """A connection, and the frames of this turn."""

    def __init__(self, connection: socket.socket, index: Index) -> None:
        self.connection = connection
        self.frames: list[bytes] = []
        self._index = index
        self._data = bytearray()
        self._upgraded = False

    def read(self) -> bool:
        """Take what has come and answer it; False: it has ended."""
        data = self.connection.recv(1 << 20)
        self._data += data
        if not self._upgraded and b"\r\n\r\n" in self._data:
            head, _, rest = bytes(self._data).partition(b"\r\n\r\n")
            key = next(
                line[18:].strip() for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key:")
            )
            accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
            answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self.send(answer + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            self._data, self._upgraded = bytearray(rest), True
        while self._upgraded and (payload := self._payload()) is not None:
            if payload:
                self._answer(_request(payload))
        return bool(data)

    def _payload(self) -> bytes | None:
        """The next text frame's payload; of another frame nothing; None if there is none yet."""
        data = self._data
        if len(data) < 6:
            return None
        size, start = data[1] & 127, 2
        if size > 125:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[2:start], "big")
        end = start + 4 + size
        if len(data) < end:
            return None
        mask = data[start : start + 4] * (size // 4 + 1)
        payload = bytes(a ^ b for a, b in zip(data[start + 4 : end], mask, strict=False))
        text = data[0] & 15 == 1
        del data[:end]
        return payload if text else b""

    def _answer(self, request: Request) -> None:
        if request.action == "subscribe":
            for name in request.symbols:
                self._index.add(self, *name.split(":"), request.mode)
        kind = {"authenticate": "auth"}.get(request.action, request.action)
        body = msgspec.json.encode({"type": kind, "status": "success"})
        self.send(header(len(body)) + body)

    def send(self, data: bytes) -> None:
        """Send all of it, however long that takes."""
        while data:
            try:
                data = data[self.connection.send(data) :]
            except BlockingIOError:
                select.select([], [self.connection], [])


class Index:
    """Topic → what comes before a tick's text, and the lists of frames of those who hold it."""

    def __init__(self) -> None:
        self.held: dict[bytes, tuple[bytes, list[list[bytes]]]] = {}

    def add(self, client: Client, exchange: str, symbol: str, mode: str) -> None:
        """Give a client an instrument's ticks from now on."""
        number = _MODES[mode]
        envelope = {"type": "market_data", "symbol": symbol, "exchange": exchange, "mode": number}
        head = msgspec.json.encode({**envelope, "broker": "zerodha"})[:-1] + b',"data":'
        topic = f"{exchange}_{symbol}_{mode.upper()}".encode()
        self.held.setdefault(topic, (head, []))[1].append(client.frames)


async def serve(bus_port: int) -> None:
    """Serve until cancelled."""
    loop = asyncio.get_running_loop()
    bus = zmq.Context.instance().socket(zmq.SUB)
    bus.setsockopt(zmq.RCVHWM, 50_000)
    bus.bind(f"tcp://127.0.0.1:{bus_port}")
    bus.subscribe(b"")
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    index = Index()
    clients: dict[int, Client] = {}

    def accept() -> None:
        connection, _ = listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = clients[connection.fileno()] = Client(connection, index)
        loop.add_reader(connection, read, one)

    def read(one: Client) -> None:
        if not one.read():
            loop.remove_reader(one.connection)
            del clients[one.connection.fileno()]
            one.connection.close()

    def drain() -> None:
        recv, held = bus.recv, index.held
        more = True
        try:
            for _ in range(BATCH):
                topic, payload = recv(_NOBLOCK), recv(_NOBLOCK)
                found = held.get(topic)
                if found is None:
                    continue
                _check(payload)
                if not payload.isascii():
                    payload.decode()
                head, boxes = found
                frame = _join((_HEADERS[len(head) + len(payload) + 1], head, payload, b"}"))
                for frames in boxes:
                    frames.append(frame)
        except zmq.Again:
            more = False
        for one in clients.values():
            if one.frames:
                one.send(_join(one.frames))
                one.frames.clear()
        # The descriptor tells of what comes to an empty queue only.
        if more or bus.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            loop.call_soon(drain)

    loop.add_reader(listener, accept)
    loop.add_reader(bus.getsockopt(zmq.FD), drain)
    print(f"listening on (port={listener.getsockname()[1]})", flush=True)
    gc.freeze()
    gc.set_threshold(10_000, 10, 100)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
