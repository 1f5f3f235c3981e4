"""What a tick costs on NATS: the feeds' process that publishes it, the NATS server, and each gateway.

    python benchmarks/machines.py [--seconds S] [--rate TICKS] [--instruments N] [--gateways N]
                                  [--loop asyncio|uvloop]

A NATS server of its own, a publisher and as many gateways, each a process. A gateway is the bus' end alone:
what comes is counted, and not routed to clients. Every gateway wants every instrument. Printed are CPU
microseconds a tick in each process over the measured seconds, and how many ticks came; where that is fewer
than were published, the rate is more than this machine takes, and the subscriber conflated the rest.
Bounded: about S + 15 seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import figures
from rich.table import Table
from server import cpu_of, free_port
from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater, react

from openalgo_ws import event_loop
from openalgo_ws.bus.nats import NatsBus
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.bus.records import TickRecord, unpack
from openalgo_ws.tick import Mode

FEED = "bench"
#: Seconds between two batches of the publisher: the turns of a feed that is busy.
TURN = 0.005
#: No wait is longer (seconds).
PATIENCE = 30.0
#: Before the measured seconds.
WARM = 2.0
BODY = b'{"ltp":1234.5,"open":1230.0,"high":1240.1,"low":1228.3,"close":1231.0,"volume":%d,"timestamp":1}'
HEAD = 13


def symbols(count: int) -> list[str]:
    return [f"S{number}" for number in range(count)]


async def gateway(reactor: Any, asked: argparse.Namespace) -> None:
    """Take everything until the process is told to end, then say how much came."""
    link = NatsLink(reactor, [asked.url])
    count = 0

    def receive(messages: list[tuple[bytes, bytes]]) -> None:
        nonlocal count
        for _, payload in messages:
            count += len(unpack(payload))

    subscriber = NatsBus(link).subscriber(receive, everything=False)
    for symbol in symbols(asked.instruments):
        subscriber.want(FEED, symbol, "NSE")
    while link.client is None:
        await deferLater(reactor, 0.01)
    await deferLater(reactor, 1)
    say("ready")
    await ended(reactor)
    say(str(count))
    await link.stop()


async def feeds(reactor: Any, asked: argparse.Namespace) -> None:
    """Publish at the rate for as long as asked, and say how much that was."""
    link = NatsLink(reactor, [asked.url])
    publisher = NatsBus(link).publisher()
    names = symbols(asked.instruments)
    while link.client is None:
        await deferLater(reactor, 0.01)
    say("ready")
    began = reactor.seconds()
    sent = 0

    def turn() -> None:
        nonlocal sent
        due = int((reactor.seconds() - began) * asked.rate)
        while sent < due:
            body = BODY % sent
            name, end = names[sent % len(names)], len(body) - 1
            record = TickRecord(name, "NSE", Mode.QUOTE, 0, sent, HEAD, end, body)
            publisher.publish(FEED, record)
            sent += 1

    loop = LoopingCall(turn)
    loop.start(TURN)
    await ended(reactor)
    loop.stop()
    while publisher.backlog():
        await deferLater(reactor, 0.01)
    say(str(sent))
    await link.stop()


def ended(reactor: Any) -> Deferred[None]:
    """Fires at SIGTERM."""
    told: Deferred[None] = Deferred()
    signal.signal(signal.SIGTERM, lambda number, frame: reactor.callFromThread(told.callback, None))
    return told


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Part:
    """A process of the run."""

    def __init__(self, role: str, url: str, asked: argparse.Namespace) -> None:
        options = [f"--role={role}", f"--url={url}", f"--rate={asked.rate}"]
        options += [f"--instruments={asked.instruments}", f"--loop={asked.loop}"]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def count(self) -> int:
        """End it; what it has counted."""
        self._process.send_signal(signal.SIGTERM)
        count = int(self.line())
        self._process.wait(PATIENCE)
        return count

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)


class NatsProcess:
    """A NATS server with its files in a folder that goes with it."""

    def __init__(self) -> None:
        program = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise SystemExit("there is no nats-server")
        port = free_port()
        self.url = f"nats://127.0.0.1:{port}"
        # It listens in hundredths of a second; its clients try until it does.
        self._process = subprocess.Popen(
            [program, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL
        )
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)


def run(asked: argparse.Namespace) -> None:
    """All processes, and what each has taken of the processor in the measured seconds."""
    parts: list[Any] = [NatsProcess()]
    url = parts[0].url
    try:
        gateways = [Part("gateway", url, asked) for _ in range(asked.gateways)]
        parts += gateways
        for part in gateways:
            part.line()
        publisher = Part("feeds", url, asked)
        parts.append(publisher)
        publisher.line()
        time.sleep(WARM)
        before = [cpu_of(part.pid) for part in parts]
        time.sleep(asked.seconds)
        took = [cpu_of(part.pid) - then for part, then in zip(parts, before, strict=True)]
        sent = publisher.count()
        came = [part.count() for part in gateways]
    finally:
        for part in parts:
            part.kill()
    table = Table(title=f"{asked.rate} ticks/s of {asked.instruments} instruments, {asked.gateways} gateways")
    for column in ("process", "CPU µs a tick", "ticks"):
        table.add_column(column, justify="right" if column != "process" else "left")
    names = ["NATS server", *(f"gateway {number + 1}" for number in range(asked.gateways)), "feeds"]
    for name, seconds, count in zip(names, took, [None, *came, sent], strict=True):
        cost = seconds / (asked.rate * asked.seconds) * 1e6
        table.add_row(name, f"{cost:.1f}", "" if count is None else f"{count:,}")
    figures.console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--instruments", type=int, default=1_000)
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--role", choices=("feeds", "gateway"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.role is None:
        run(asked)
        return
    (event_loop if asked.loop == "uvloop" else asyncioreactor).install()
    role = {"feeds": feeds, "gateway": gateway}[asked.role]
    react(lambda reactor: Deferred.fromCoroutine(role(reactor, asked)))


if __name__ == "__main__":
    main()
