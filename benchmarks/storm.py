"""A minute of disconnects: does every client have the latest value of every symbol at the end?

    python benchmarks/storm.py [--seconds 60] [--every 5] [--clients 100] [--instruments 3000] [--rate 500]

A simulated Zerodha, the gateway (``twistd openalgo-ws``, default throttle) and all clients run in three
processes, over real sockets. The broker resets the feed's connection again and again. Then the storm
ends, the feed comes back, the market stops, and what each client saw last is compared with the
exchange. Exit code 1 if a symbol of a client is missing or old, or if the feed dialled more often than
it was disconnected.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import select
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
from latency import gateway

Name = tuple[str, str]
#: What is compared: the price, and the volume where there is one.
Value = tuple[float, int | None]

#: Seconds that what is under way may take at the end.
PATIENCE = 20.0


class Outcome(msgspec.Struct):
    """What the broker has to say at the end."""

    values: dict[Name, Value]
    disconnects: int
    attempts: int
    ticks: int


def simulator(pipe: Connection, asked: argparse.Namespace) -> None:
    """The broker's process: sends what it trades; storms when told, and sends an `Outcome`."""
    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall

    from openalgo_ws.feeds.environment import make_steady
    from openalgo_ws.registry import Registry
    from openalgo_ws.simulator.environment import SimulatedEnvironment
    from openalgo_ws.simulator.exchange import Exchange
    from openalgo_ws.simulator.server import SimulatedBroker
    from openalgo_ws.simulator.universe import localise, universe

    make_steady(reactor)
    adapter = Registry().load("zerodha")
    assert adapter.simulator is not None
    environment = SimulatedEnvironment(reactor, start=time.time() - reactor.seconds())
    listings = localise(universe(asked.instruments, environment.today(), set(adapter.exchanges)), adapter)
    exchange = Exchange(listings, environment.now)
    broker = SimulatedBroker(adapter.simulator, exchange, reactor, environment, rate=asked.rate)
    disconnects = 0

    def disconnect() -> None:
        nonlocal disconnects
        disconnects += len(broker.connections)
        broker.reset()

    def storm() -> None:
        resets = LoopingCall(disconnect)
        resets.clock = reactor
        resets.start(asked.every, now=False)
        reactor.callLater(asked.seconds, calm, resets)

    def calm(resets: LoopingCall) -> None:
        resets.stop()
        looks = LoopingCall(lambda: is_whole() and looks.stop())
        looks.clock = reactor
        looks.start(0.05).addCallback(lambda _: reactor.callLater(1.0, quiet))

    def is_whole() -> bool:
        return sum(served.connection.held() for served in broker.connections) == len(exchange)

    def quiet() -> None:
        broker.rate = 0.0
        states = (exchange.last(one) for one in exchange.instruments())
        values = {(s.instrument.symbol, s.instrument.exchange): (s.ltp, s.volume) for s in states}
        pipe.send(Outcome(values, disconnects, len(broker.journal.attempts), broker.journal.ticks))

    def obey() -> None:
        # It is told to storm, then to end; or whoever tells it is gone.
        with suppress(EOFError):
            pipe.recv()
            reactor.callFromThread(storm)
            pipe.recv()
        reactor.callFromThread(reactor.stop)

    broker.listen()
    pipe.send((broker.url, [listing.row for listing in listings], dict(broker.credentials)))
    reactor.callInThread(obey)
    reactor.run()


class _Data(msgspec.Struct):
    ltp: float = 0.0
    volume: int | None = None


class _Message(msgspec.Struct):
    type: str = ""
    symbol: str = ""
    exchange: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


_decode = msgspec.json.Decoder(_Message).decode


class Client:
    """A WebSocket client that does no more than it must, so that a hundred fit into one process."""

    def __init__(self, port: int, key: str, symbols: list[str]) -> None:
        self.last: dict[Name, Value] = {}
        self.messages = 0
        self.heard = time.monotonic()
        #: Seconds, the longest, between two messages, since everything has ticked once.
        self.silence = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port))
        head = (
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.socket.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.socket.recv(65536)
        self._rest = answer.partition(b"\r\n\r\n")[2]
        self._say({"action": "authenticate", "api_key": key})
        for start in range(0, len(symbols), 500):
            self._say({"action": "subscribe", "symbols": symbols[start : start + 500], "mode": "quote"})

    def _say(self, message: Any) -> None:
        self._send(1, json.dumps(message).encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
        # Masked with zeros.
        self.socket.sendall(bytes([0x80 | opcode]) + length + bytes(4) + payload)

    def read(self, count: bool) -> None:
        """Take what has arrived. ``count``: silence counts."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise RuntimeError("the gateway has closed a connection")
        now = time.monotonic()
        if count:
            self.silence = max(self.silence, now - self.heard)
        self.heard = now
        for opcode, payload in self._frames(data):
            if opcode == 9:
                self._send(10, payload)
            elif opcode == 1:
                message = _decode(payload)
                if message.type == "market_data":
                    self.messages += 1
                    self.last[message.symbol, message.exchange] = (message.data.ltp, message.data.volume)

    def _frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size, begin = data[at + 1], at + 2
            if size == 126:
                size, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if begin + size > end:
                break
            yield data[at] & 0x0F, data[begin : begin + size]
            at = begin + size
        self._rest = data[at:]

    def wrong(self, values: dict[Name, Value]) -> int:
        """How many symbols are missing or old."""
        return sum(self.last.get(name) != value for name, value in values.items())


def read_all(
    clients: list[Client], port: int, key: str, symbols: list[str], most: int, pipe: Connection
) -> None:
    """The clients' process: connects them, says when all have everything; reads until the values that
    it is sent then are those that everybody saw last, or for `PATIENCE`; sends the figures."""
    poll = select.epoll()
    by_number: dict[int, Client] = {}
    for _ in range(most):
        one = Client(port, key, symbols)
        by_number[one.socket.fileno()] = one
        poll.register(one.socket, select.EPOLLIN)
        clients.append(one)
        # The others go on reading, so that none of them falls behind before it begins.
        for number, _ in poll.poll(0):
            by_number[number].read(False)
    poll.register(pipe.fileno(), select.EPOLLIN)
    complete = False
    values: dict[Name, Value] | None = None
    end = float("inf")
    while time.monotonic() < end:
        ready = poll.poll(0.5)
        for number, _ in ready:
            if number in by_number:
                by_number[number].read(complete)
            else:
                values = pipe.recv()
                end = time.monotonic() + PATIENCE
        if not complete and all(len(one.last) == len(symbols) for one in clients):
            complete = True
            pipe.send(None)
        if values is not None and not any(one.wrong(values) for one in clients):
            break
    pipe.send(
        {
            "wrong": [one.wrong(values or {}) for one in clients],
            "messages": [one.messages for one in clients],
            "silence": max(one.silence for one in clients),
        }
    )


def clients_process(pipe: Connection, port: int, key: str, symbols: list[str], most: int) -> None:
    """`read_all`, and whatever happens the sockets are closed."""
    clients: list[Client] = []
    try:
        read_all(clients, port, key, symbols, most, pipe)
    finally:
        for one in clients:
            one.socket.close()


def cost(pid: int) -> tuple[float, float]:
    """A process's CPU seconds so far, and the most memory it had, in MB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    status = Path(f"/proc/{pid}/status").read_text()
    return seconds, int(status.partition("VmHWM:")[2].split()[0]) / 1024


def told(pipe: Connection, seconds: float) -> Any:
    """What comes through a pipe within so many seconds."""
    if not pipe.poll(seconds):
        raise SystemExit(f"nothing came for {seconds:g} s")
    return pipe.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=5, help="seconds between disconnects")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--instruments", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=500, help="ticks a second")
    asked = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    broker_end, broker_pipe = spawn.Pipe()
    client_end, client_pipe = spawn.Pipe()
    broker = spawn.Process(target=simulator, args=(broker_pipe, asked), daemon=True)
    broker.start()
    url, rows, credentials = told(broker_end, PATIENCE)
    with tempfile.TemporaryDirectory() as folder:
        server, port, key = gateway(folder, url, rows, credentials)
        # Nobody reads its log, and a full pipe would stop it.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        try:
            symbols = [f"{row.exchange}:{row.symbol}" for row in rows]
            reader = spawn.Process(
                target=clients_process, args=(client_pipe, port, key, symbols, asked.clients), daemon=True
            )
            reader.start()
            told(client_end, 3 * PATIENCE)
            before, _ = cost(server.pid)
            broker_end.send("storm")
            outcome: Outcome = told(broker_end, asked.seconds + 2 * PATIENCE)
            client_end.send(outcome.values)
            found = told(client_end, 2 * PATIENCE)
            seconds, memory = cost(server.pid)
            broker_end.send("enough")
            for process in (reader, broker):
                process.join(PATIENCE)
        finally:
            server.terminate()
            server.wait(PATIENCE)
    sys.exit(report(asked, outcome, found, seconds - before, memory))


def report(asked: argparse.Namespace, outcome: Outcome, found: Any, cpu: float, memory: float) -> int:
    """Print the table; the exit code."""
    wrong, messages = sum(found["wrong"]), sum(found["messages"])
    values = asked.clients * len(outcome.values)
    rows = [
        ("symbols × clients", f"{len(outcome.values)} × {len(found['wrong'])}"),
        ("disconnects in seconds", f"{outcome.disconnects} in {asked.seconds:g}"),
        ("attempts that the broker counted", f"{outcome.attempts} (at most {outcome.disconnects + 1})"),
        ("ticks of the exchange", f"{outcome.ticks}"),
        ("messages to clients", f"{messages} ({messages / asked.seconds:.0f} a second)"),
        ("fewest and most of a client", f"{min(found['messages'])} and {max(found['messages'])}"),
        ("longest silence of a client", f"{found['silence']:.2f} s"),
        ("gateway's CPU and memory", f"{cpu:.1f} s, {memory:.0f} MB"),
        ("latest values that clients have", f"{values - wrong} of {values}"),
    ]
    for name, value in rows:
        print(f"{name:34} {value}")
    return int(wrong > 0 or outcome.attempts > outcome.disconnects + 1)


if __name__ == "__main__":
    main()
