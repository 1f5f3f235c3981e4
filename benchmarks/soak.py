"""More than the machine can take: is memory flat, is every client's last value right, are pings answered?

    python benchmarks/soak.py [--seconds 60] [--symbols 1000] [--factors 2 5 20]

What the machine can take is found first: the rate of ticks at which the gateway begins to keep only the
latest of each instrument. Then a publisher from outside offers multiples of it, each for a while, to the
gateway (``twistd openalgo-ws``, default throttle) with fast clients, slow ones and one that only asks for
pongs. After each flood every client must come to have the last value of each of its symbols. Exit code 1 if
one does not, if memory grows, or if a ping is not answered. ``build/bench/soak.json`` and ``soak.svg`` keep
the figures and the memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import select
import socket
import statistics
import sys
import threading
import time
import urllib.request
from multiprocessing.connection import Connection
from typing import Any

import figures
from load import names_of
from loadgen import OUTPUT
from market import Publisher, symbols, tick_order
from server import Server, cores, free_port
from storm import Client, Name, Value, told

from clients import frame, split

#: Seconds that what is under way may take after a flood, and that a ping may.
PATIENCE = 30.0
#: Symbols of a client, and clients that read as they should and slowly.
EACH, FAST, SLOW = 50, 10, 4
#: A slow client's buffer (bytes), and how often it reads 64 KB (seconds).
BUFFER, PAUSE = 262_144, 0.5
#: Where the search for the machine's rate begins (ticks a second), by how much it goes on, and how often.
FIRST, STEP, STEPS = 5_000.0, 1.4, 16
#: Seconds of the greatest flood before memory is looked at.
WARM = 5.0
#: Memory may grow by so much while a flood lasts (MB), from its second quarter to its last.
GROWTH = 12.0


def metric(port: int, name: str) -> float:
    """A metric of the server, summed over its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.partition(" ")[0].partition("{")[0] == f"openalgo_ws_{name}"]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def read_all(port: int, key: str, plans: list[list[str]], pipe: Connection) -> None:
    """The clients' process. Reads until it is sent the values that are right; says how many of each client's
    came to be wrong in the end, and goes on."""
    clients = [Client(port, key, plan) for plan in plans]
    fast, slow = clients[:FAST], clients[FAST:]
    for one in slow:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    poll = select.epoll()
    by_number = {one.socket.fileno(): one for one in fast}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    poll.register(pipe.fileno(), select.EPOLLIN)
    pipe.send("ready")
    values: dict[Name, Value] | None = None
    end = sip = 0.0
    while True:
        for number, _ in poll.poll(0.05):
            if number in by_number:
                by_number[number].read(False)
            elif (asked := pipe.recv()) is None:
                return
            else:
                values, end = asked, time.monotonic() + PATIENCE
        now = time.monotonic()
        if values is not None or now >= sip:
            sip = now + PAUSE
            for one in slow:
                while select.select([one.socket], [], [], 0)[0]:
                    one.read(False)
                    if values is None:
                        break
        if values is not None:
            wrong = [one.wrong({name: values[name] for name in one.last}) for one in clients]
            missing = [len(set(plan)) - len(one.last) for plan, one in zip(plans, clients, strict=True)]
            if not (any(wrong) or any(missing)) or now > end:
                pipe.send({"wrong": wrong, "missing": missing, "messages": [one.messages for one in clients]})
                values = None


class Pinger(threading.Thread):
    """Asks for a pong twenty times a second; `latencies` in ms. `late`: one did not come in time."""

    def __init__(self, port: int, key: str) -> None:
        super().__init__(daemon=True)
        self._client = Client(port, key, [])
        self._client.socket.settimeout(PATIENCE)
        self._ended = threading.Event()
        self.latencies: list[float] = []
        self.late = False

    def run(self) -> None:
        rest, number = b"", 0
        while not self._ended.wait(0.05):
            number += 1
            began = time.monotonic()
            self._client.socket.sendall(frame({"action": "ping", "_pingId": number}))
            answered = False
            while not answered:
                try:
                    data = self._client.socket.recv(65536)
                except TimeoutError:
                    data = b""
                if not data:
                    self.late = True
                    return
                found, rest = split(rest + data)
                answered = any(b'"_pingId":%d' % number in text for _, text in found)
            self.latencies.append((time.monotonic() - began) * 1000)

    def take(self) -> list[float]:
        """Those since this was last asked."""
        taken, self.latencies = self.latencies, []
        return taken

    def end(self) -> None:
        self._ended.set()
        self.join(PATIENCE)
        self._client.socket.close()


class Memory(threading.Thread):
    """Looks at the server's memory four times a second: (seconds, MB) in `samples`."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._ended = threading.Event()
        self._began = time.monotonic()
        self.samples: list[tuple[float, float]] = []

    def run(self) -> None:
        while not self._ended.wait(0.25):
            self.samples.append((time.monotonic() - self._began, self._server.memory()[0]))

    def end(self) -> None:
        self._ended.set()
        self.join(PATIENCE)


def capacity(source: Publisher, status: int) -> float:
    """The rate (ticks a second) that the gateway just keeps up with, without conflating before it routes."""
    rate = FIRST
    for _ in range(STEPS):
        before = metric(status, "intake_conflated_total")
        _, sent = source.run(None, rate, 0, 1.0)
        if sent < 0.9 * rate or metric(status, "intake_conflated_total") > before:
            break
        rate *= STEP
    return rate


def last_values(listed: list[Name], order: list[int], first: int, sent: int) -> dict[Name, Value]:
    """What each symbol's last tick said, of those with these numbers."""
    last = {
        order[number % len(order)]: number
        for number in range(max(1, first + sent - len(order)), first + sent)
    }
    return {
        listed[symbol]: (float(f"{1000 + symbol % 3000}.{5 * (number % 20):02d}"), 1_000_000 + number)
        for symbol, number in last.items()
    }


def growth(samples: list[float]) -> float:
    """MB from the median of the second quarter to that of the last: in the first, buffers get their sizes."""
    quarter = max(1, len(samples) // 4)
    return statistics.median(samples[-quarter:]) - statistics.median(
        samples[quarter : 2 * quarter] or samples
    )


def plot(samples: list[tuple[float, float]], floods: list[tuple[float, float, str]]) -> str:
    """An SVG drawing of memory over time, the floods shaded."""
    width, height, left, bottom = 800, 320, 60, 40
    end, top = samples[-1][0], 1.2 * max(size for _, size in samples)

    def x(at: float) -> float:
        return left + at / end * (width - left - 10)

    def y(size: float) -> float:
        return height - bottom - size / top * (height - bottom - 30)

    shades = "".join(
        f'<rect x="{x(begin):.1f}" y="30" width="{x(over) - x(begin):.1f}" height="{height - bottom - 30}" '
        f'fill="#f3e3d0"/><text x="{x(begin) + 3:.1f}" y="44">{name}</text>'
        for begin, over, name in floods
    )
    line = " ".join(f"{x(at):.1f},{y(size):.1f}" for at, size in samples)
    marks = "".join(
        f'<text x="{left - 4}" y="{y(size):.1f}" text-anchor="end">{size:.0f} MB</text>'
        for size in (0, top / 2, top)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{left}" y="20" font-size="14">resident memory of the gateway, {end:.0f} s</text>{shades}'
        f'{marks}<polyline points="{line}" fill="none" stroke="#1f5fbf" stroke-width="1.5"/></svg>\n'
    )


class Soak:
    """One server under all floods."""

    def __init__(self, asked: argparse.Namespace, server: Server, status: int) -> None:
        self._asked = asked
        self._server = server
        self._status = status
        self._listed = symbols(asked.symbols)
        self._order = tick_order(asked.symbols)
        names = names_of(self._listed)
        self._plans = [[names[(37 * n + i) % len(names)] for i in range(EACH)] for n in range(FAST + SLOW)]
        self._memory = Memory(server)
        self.floods: list[tuple[float, float, str]] = []
        self.results: list[dict[str, Any]] = []

    def run(self) -> list[dict[str, Any]]:
        """All floods; their figures."""
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        arguments = (self._server.port, self._server.key, self._plans, there)
        reader = spawn.Process(target=read_all, args=arguments, daemon=True)
        reader.start()
        told(here, PATIENCE)
        source = Publisher(self._server.bus, self._listed, "quote", self._order)
        pinger = Pinger(self._server.port, self._server.key)
        try:
            pinger.start()
            able = capacity(source, self._status)
            print(f"  the gateway keeps up with {able:,.0f} ticks a second", flush=True)
            # A process takes what it needs under load once; that it takes no more is what is looked for.
            source.run(None, max(self._asked.factors) * able, 0, WARM)
            self._memory.start()
            for factor in self._asked.factors:
                self.results.append(self._flood(factor, able, source, here, pinger))
                title = f"{factor:g} times that, for {self._asked.seconds:g} s"
                print(figures.lines(title, self.results[-1]), flush=True)
        finally:
            pinger.end()
            if self._memory.ident is not None:
                self._memory.end()
            source.close()
            here.send(None)
            reader.join(PATIENCE)
        return self.results

    def _flood(
        self, factor: float, able: float, source: Publisher, pipe: Connection, pinger: Pinger
    ) -> dict[str, Any]:
        pinger.take()
        before = {
            name: metric(self._status, name) for name in ("intake_conflated_total", "intake_messages_total")
        }
        skip = len(self._memory.samples)
        began, cpu = time.monotonic(), self._server.cpu()
        first, sent = source.run(None, factor * able, 0, self._asked.seconds)
        took = time.monotonic() - began
        cpu = self._server.cpu() - cpu
        sizes = [size for _, size in self._memory.samples[skip:]]
        pipe.send(last_values(self._listed, self._order, first, sent))
        end = told(pipe, 2 * PATIENCE)
        start = self._memory.samples[skip][0] if len(self._memory.samples) > skip else 0.0
        self.floods.append((start, start + took, f"{factor:g}×"))
        pongs = sorted(pinger.take())
        after = {name: metric(self._status, name) for name in before}
        changed = {name: after[name] - before[name] for name in before}
        return {
            "offered_per_second": factor * able,
            "sent_per_second": sent / took,
            "conflated_before_routing": changed["intake_conflated_total"]
            / max(1.0, changed["intake_messages_total"]),
            "server_busy": cpu / took,
            "ping_p50_ms": figures.percentile(pongs, 0.5) if pongs else None,
            "ping_p99_ms": figures.percentile(pongs, 0.99) if pongs else None,
            "pings_unanswered": int(pinger.late or not pongs),
            "memory_growth_mb": growth(sizes),
            "memory_most_mb": max(sizes),
            "wrong_at_the_end": sum(end["wrong"]) + sum(end["missing"]),
            "settled_seconds": time.monotonic() - began - took,
        }

    def write(self) -> None:
        """The figures and the plot."""
        OUTPUT.mkdir(parents=True, exist_ok=True)
        (OUTPUT / "soak.json").write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        (OUTPUT / "soak.svg").write_text(plot(self._memory.samples, self.floods), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each flood")
    parser.add_argument("--symbols", type=int, default=1000)
    parser.add_argument("--factors", type=float, nargs="+", default=[2, 5, 20])
    asked = parser.parse_args()
    machine = figures.machine()
    server_core, load_core = cores()
    os.sched_setaffinity(0, {load_core})
    status = free_port()
    # Of its own accord the server pings nobody here: a slow client is long in finding the ping.
    settings = {"STATUS_PORT": str(status)}
    print(machine + (", server and load on one core" if server_core == load_core else ""), flush=True)
    with Server(server_core, settings) as server:
        soak = Soak(asked, server, status)
        results = soak.run()
        soak.write()
    failures = [
        f"{name}: {result[name]:.3g} at {result['offered_per_second']:,.0f} ticks/s"
        for result in results
        for name, most in (("wrong_at_the_end", 0), ("memory_growth_mb", GROWTH), ("pings_unanswered", 0))
        if result[name] > most
    ]
    print("\n".join(failures) or "memory flat, every last value right, every ping answered")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
