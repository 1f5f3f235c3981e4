"""From the broker's send to the client's receipt: the whole way of a tick, in three processes.

    python benchmarks/latency.py [--rate 1000] [--instruments 100] [--seconds 10] [--mode quote]

A simulated Zerodha, the gateway (``twistd openalgo-ws``) and a client run in processes of their own.
The simulator notes when it sent each tick, the client when it received it; both read the same
monotonic clock. A tick is known by its symbol, its volume and its place among those with the same
volume. ``throttle_ms`` is 0, so every tick counts. Ticks that never came are counted as lost.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PEPPER = "only for measuring, thirty-two characters"
Key = tuple[str, int]


def simulator(pipe: Connection, rate: float, instruments: int) -> None:
    """The broker's process: sends its URL and instruments, then (on request) when it sent what."""
    from twisted.internet import reactor

    from openalgo_ws.feeds.environment import make_steady
    from openalgo_ws.registry import Registry
    from openalgo_ws.simulator.environment import SimulatedEnvironment
    from openalgo_ws.simulator.exchange import Exchange
    from openalgo_ws.simulator.server import SimulatedBroker
    from openalgo_ws.simulator.universe import localise, universe

    make_steady(reactor)
    adapter = Registry().load("zerodha")
    environment = SimulatedEnvironment(reactor, start=time.time() - reactor.seconds())
    listings = localise(universe(instruments, environment.today(), ["NSE", "NFO"]), adapter)
    assert adapter.simulator is not None
    broker = SimulatedBroker(
        adapter.simulator,
        Exchange(listings, environment.now),
        reactor,
        environment,
        rate=rate,
        interval=0.001,
    )
    sent: dict[Key, list[int]] = {}

    def note(ticks: Any) -> None:
        now = time.monotonic_ns()
        for tick in ticks:
            sent.setdefault((tick.instrument.symbol, tick.volume), []).append(now)

    def answer() -> None:
        pipe.recv()
        pipe.send(sent)
        reactor.callFromThread(reactor.stop)

    broker.observers.append(note)
    broker.listen()
    pipe.send((broker.url, [listing.row for listing in listings], dict(broker.credentials)))
    reactor.callInThread(answer)
    reactor.run()


def gateway(folder: str, url: str, rows: list[Any], credentials: dict[str, str]) -> tuple[Any, int, str]:
    """Start the server on a database with one user; its process, port and API key."""
    from openalgo_ws.accounts.crypto import Vault
    from openalgo_ws.accounts.database import Database
    from openalgo_ws.accounts.store import add_user, login
    from openalgo_ws.registry import Registry
    from openalgo_ws.symbols.store import replace

    database = Database(f"sqlite:///{folder}/bench.db")
    database.prepare()
    vault = Vault(PEPPER)
    key = database.call(lambda c: add_user(c, vault, "bench", "zerodha"))
    columns = Registry().load("zerodha").row_for(credentials)
    database.call(lambda c: login(c, vault, "bench", "zerodha", columns))
    database.call(lambda c: replace(c, "zerodha", rows))
    database.stop()
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile=", "openalgo-ws"],
        cwd=folder,
        env={
            **os.environ,
            "API_KEY_PEPPER": PEPPER,
            "DATABASE_URL": f"sqlite:///{folder}/bench.db",
            "ZERODHA_FEED_URL": url,
            "WEBSOCKET_PORT": "0",
            "ZMQ_PORT": str(_free_port()),
            "LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "listening on" in line:
            return process, int(line.rpartition("port=")[2].split(")")[0]), key
    raise RuntimeError("the gateway did not start")


def client(pipe: Connection, port: int, key: str, symbols: list[str], mode: str, seconds: float) -> None:
    """The client's process: when it received what."""
    from websockets.sync.client import connect

    received: list[tuple[str, int, int]] = []
    with connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None) as socket:
        socket.send(json.dumps({"action": "authenticate", "api_key": key, "throttle_ms": 0}))
        assert json.loads(socket.recv())["status"] == "success"
        socket.send(json.dumps({"action": "subscribe", "symbols": symbols, "mode": mode}))
        raw: list[tuple[int, str | bytes]] = []
        end = time.monotonic() + 2 + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                text = socket.recv(timeout=left)
            except TimeoutError:
                break
            raw.append((time.monotonic_ns(), text))
    for at, text in raw:
        message = json.loads(text)
        if message.get("type") == "market_data" and not message.get("snapshot"):
            received.append((message["symbol"], message["data"]["volume"], at))
    pipe.send(received)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000, help="ticks a second")
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--mode", choices=("quote", "depth"), default="quote")
    asked = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    broker_end, broker_pipe = spawn.Pipe()
    client_end, client_pipe = spawn.Pipe()
    broker = spawn.Process(target=simulator, args=(broker_pipe, asked.rate, asked.instruments))
    broker.start()
    url, rows, credentials = broker_end.recv()
    with tempfile.TemporaryDirectory() as folder:
        server, port, key = gateway(folder, url, rows, credentials)
        symbols = [f"{row.exchange}:{row.symbol}" for row in rows]
        reader = spawn.Process(
            target=client, args=(client_pipe, port, key, symbols, asked.mode, asked.seconds)
        )
        reader.start()
        received = client_end.recv()
        broker_end.send("enough")
        sent = broker_end.recv()
        for process in (reader, broker):
            process.join()
        server.terminate()
        server.wait()
    report(sent, received, asked)


def report(sent: dict[Key, list[int]], received: list[tuple[str, int, int]], asked: Any) -> None:
    """Print what was measured; the first second (connecting, first packets) does not count."""
    begin = received[0][2] + 1_000_000_000
    end = received[-1][2] - 100_000_000
    waiting = {key: [at for at in times if begin < at < end] for key, times in sent.items()}
    due = sum(map(len, waiting.values()))
    delays = []
    for symbol, volume, at in received:
        times = waiting.get((symbol, volume))
        if times and times[0] < at:
            delays.append((at - times.pop(0)) / 1e6)
    delays.sort()
    rate = due / ((end - begin) / 1e9)
    print(
        f"{asked.mode}, {asked.instruments} instruments, {rate:.0f} ticks/s: "
        f"{due} ticks, {due - len(delays)} lost"
    )
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)):
        print(f"  {name:6} {delays[int(share * (len(delays) - 1))]:8.3f} ms")
    print(f"  {'worst':6} {delays[-1]:8.3f} ms")


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
