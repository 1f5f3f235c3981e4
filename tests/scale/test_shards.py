"""``twistd openalgo-ws --feed-shards 3``: instruments and connections divided, a death, and the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import login
from openalgo_ws.adapter import Limits, MasterRow
from openalgo_ws.bus.demand import Denied, Granted
from openalgo_ws.feeds.bounds import Bounds
from openalgo_ws.feeds.interfaces import FeedSettings
from openalgo_ws.registry import Registry
from openalgo_ws.scale.partitioner import SymbolPartitioner
from openalgo_ws.scale.server import DemandServer
from openalgo_ws.scale.shards import ShardDemand
from openalgo_ws.symbols.store import replace
from tests.scale.clients import PATIENCE, alive, ask, entered, on_both, status, until
from tests.scale.support import CountingDemand, Link, hold, want
from tests.support.process import ServerProcess, free_port
from tests.support.vault import cheap_vault

INSTRUMENTS = 300

Start = Callable[..., ServerProcess]


@pytest.fixture
def feed(tmp_path: Path, keys: dict[str, str]) -> Iterator[str]:
    """Where a simulated Zerodha listens; alice has logged in, and its instruments are loaded."""
    master = tmp_path / "master.json"
    command = [str(Path(sys.executable).parent / "openalgo-ws"), "simulate", "zerodha"]
    command += ["--instruments", str(INSTRUMENTS), "--rate", "600", "--seed", "1", "--master", str(master)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip().partition("ZERODHA_FEED_URL=")[2]
    assert url
    adapter = Registry().load("zerodha")
    assert adapter.simulator is not None
    columns = adapter.row_for(adapter.simulator.demo_credentials)
    rows = [MasterRow(**row) for row in json.loads(master.read_text())]
    database = Database(f"sqlite:///{tmp_path}/server.db")
    try:
        database.call(lambda connection: login(connection, cheap_vault(), "alice", "zerodha", columns))
        database.call(lambda connection: replace(connection, "zerodha", rows))
    finally:
        database.stop()
    yield url
    process.kill()
    process.wait(PATIENCE)
    process.stdout.close()


@pytest.fixture
def sharded(tmp_path: Path, private: Path, feed: str) -> Iterator[Start]:
    """Start a server at that broker; killed at the end if it still runs."""
    made: list[ServerProcess] = []

    def start(*options: str) -> ServerProcess:
        more = {"STATUS_PORT": str(free_port()), "TMPDIR": str(private), "ZERODHA_FEED_URL": feed}
        # A test reads one client after the other, and the others are no slow ones.
        more["WS_SLOW_CLIENT_SECONDS"] = "600"
        made.append(ServerProcess(tmp_path, *options, **more))
        return made[-1]

    yield start
    for server in made:
        server.kill()


def instruments(folder: Path) -> list[tuple[str, str]]:
    return [(row["symbol"], row["exchange"]) for row in json.loads((folder / "master.json").read_text())]


def ticking(client: Any, names: set[tuple[str, str]], *, fresh: bool = False) -> None:
    """Read until each of these has ticked; ``fresh``: a snapshot of what was there before doesn't count."""
    missing = set(names)
    deadline = time.monotonic() + PATIENCE
    while missing:
        assert time.monotonic() < deadline, sorted(missing)[:5]
        message = json.loads(client.recv(timeout=PATIENCE))
        if message["type"] == "market_data" and not (fresh and message.get("snapshot")):
            missing.discard((message["symbol"], message["exchange"]))


def children(server: ServerProcess) -> list[int]:
    return [int(one) for one in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


def carried(server: ServerProcess) -> list[int]:
    """How many instruments the broker was asked for on each connection of the account."""
    return sorted(
        connection["asked"]
        for account in status(server)["accounts"]
        for pool in account["pools"]
        for connection in pool["connections"]
    )


def counted(server: ServerProcess, name: str) -> float:
    """A counter, summed over its labels."""
    lines = [
        line for line in status(server, "/metrics").splitlines() if line.startswith(f"openalgo_ws_{name}")
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.slow
def test_instruments_and_connections_are_divided_and_a_shard_that_dies_is_replaced(
    private: Path, sharded: Start, keys: dict[str, str], tmp_path: Path
) -> None:
    statistics = tmp_path / "statistics.json"
    server = sharded("--feed-shards", "3", "--proxy-stats-file", str(statistics)).start()
    names = instruments(tmp_path)
    client = entered(server, keys["alice"])
    symbols = [{"symbol": symbol, "exchange": exchange} for symbol, exchange in names]
    reply = ask(client, action="subscribe", symbols=symbols, mode="LTP")
    assert reply["status"] == "success"
    ticking(client, set(names))

    # Each process has one of the three connections, with what it owns.
    partitioner = SymbolPartitioner(["feed-0", "feed-1", "feed-2"])
    owners = {name: partitioner.owner(*name) for name in names}
    shares = sorted(Counter(owners.values()).values())
    until(lambda: carried(server) == shares)
    (account,) = status(server)["accounts"]
    assert (account["pools"][0]["limit"], account["pools"][0]["capacity"]) == (3, 9000)
    assert status(server)["feeds"][0]["held"] == INSTRUMENTS
    assert ask(client, action="get_broker_info")["adapter_status"] == "connected"
    until(lambda: status(server, "/readyz")["ok"])

    # What is counted is counted over all three, in the statistics for OpenAlgo too.
    until(lambda: json.loads(statistics.read_text())["active_connections"] == 3)
    until(lambda: counted(server, "broker_logins_total") == 3)
    assert counted(server, "reconnects_total") == 0
    before = children(server)
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    server.wait_for("feed process .* ended by itself")
    until(lambda: len(children(server)) == 2 and before[0] not in children(server))
    until(lambda: carried(server) == shares)
    ticking(client, set(names))
    # What the dead one had counted is still counted.
    until(lambda: counted(server, "broker_logins_total") == 4)
    published = counted(server, "ticks_in_total")
    assert published >= INSTRUMENTS
    (feed,) = status(server)["feeds"]
    assert feed["ticks"] >= published

    # A subscription that is given back is given back to its shard.
    ask(client, action="unsubscribe_all")
    until(lambda: carried(server) == [] or sum(carried(server)) == 0)
    client.close()
    pids = children(server)
    assert server.stop() == 0
    assert not any(alive(pid) for pid in pids)
    assert not list(private.iterdir())


@pytest.mark.slow
def test_shards_are_renewed_while_clients_stay(
    private: Path, sharded: Start, keys: dict[str, str], tmp_path: Path
) -> None:
    # The shards of a server are as many as there were at its start.
    (tmp_path / ".env").write_text("WS_FEED_SHARDS=3\n")
    server = sharded().start()
    names = instruments(tmp_path)
    client = entered(server, keys["alice"])
    symbols = [{"symbol": symbol, "exchange": exchange} for symbol, exchange in names]
    assert ask(client, action="subscribe", symbols=symbols, mode="LTP")["status"] == "success"
    until(lambda: counted(server, "broker_logins_total") == 3)
    shares = until(lambda: carried(server) if sum(carried(server)) == INSTRUMENTS else None)
    before = children(server)
    assert len(shares) == 3
    (tmp_path / ".env").write_text("WS_FEED_SHARDS=1\n")
    os.kill(server.pid, signal.SIGHUP)
    server.wait_for("all feed processes are new")
    # It is the same client, on the same connection, and it goes on.
    ticking(client, set(names), fresh=True)
    assert len(children(server)) == 2
    assert not set(children(server)) & set(before)
    assert not any(alive(pid) for pid in before)
    until(lambda: carried(server) == shares)
    (account,) = status(server)["accounts"]
    assert (account["pools"][0]["limit"], account["pools"][0]["capacity"]) == (3, 9000)
    # Each of the new ones found its place at the broker free.
    until(lambda: counted(server, "broker_logins_total") == 5)
    assert counted(server, "broker_dials_total") == 5
    assert "ended by itself" not in server.output()
    client.close()
    assert server.stop() == 0
    assert not list(private.iterdir())


@pytest.mark.slow
def test_ticks_of_every_shard_come_through_every_worker(
    private: Path, sharded: Start, keys: dict[str, str], tmp_path: Path
) -> None:
    server = sharded("--workers", "2", "--feed-shards", "2").start()
    names = instruments(tmp_path)
    partitioner = SymbolPartitioner(["feed-0", "feed-1"])
    shares = Counter(partitioner.owner(*name) for name in names)
    assert set(shares) == {"feed-0", "feed-1"}
    clients = on_both(server, keys["alice"])
    symbols = [{"symbol": symbol, "exchange": exchange} for symbol, exchange in names]
    for client in clients:
        assert ask(client, action="subscribe", symbols=symbols, mode="LTP")["status"] == "success"

    # The broker is asked for each instrument once, by the shard that owns it, for all clients.
    until(lambda: carried(server) == sorted(shares.values()))
    for client in clients:
        ticking(client, set(names), fresh=True)

    # It is given back when the last client of the last worker has given it back.
    first, *others = clients
    for client in others:
        client.close()
    until(lambda: status(server)["clients"] == 1)
    assert ask(first, action="ping")["status"] == "success"
    ticking(first, set(names), fresh=True)
    assert carried(server) == sorted(shares.values())
    first.close()
    until(lambda: sum(carried(server)) == 0)
    pids = children(server)
    assert server.stop() == 0
    assert not any(alive(pid) for pid in pids)
    assert not list(private.iterdir())


@pytest.mark.slow
def test_the_shards_end_with_a_server_that_is_killed(sharded: Start) -> None:
    server = sharded("--feed-shards", "2").start()
    pids = until(lambda: children(server))
    server.kill()
    until(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.slow
def test_more_shards_than_connections_are_refused_with_one_line(sharded: Start) -> None:
    server = sharded("--feed-shards", "4")
    server.spawn()
    assert server.end() == 1
    lines = [line for line in server.output().splitlines() if "WS_FEED_SHARDS" in line]
    assert len(lines) == 1
    assert "4 feed shards can't share the 3 connections that Zerodha allows" in lines[0]


@pytest.mark.parametrize(
    ("limits", "shards", "bounds"),
    [
        (Limits(per_connection=3000, connections=3), 3, Bounds(3000, 1, 3000)),
        (Limits(per_connection=3000, connections=3), 2, Bounds(3000, 1, 3000)),
        (Limits(per_connection=1000, connections=5, per_account=3000), 2, Bounds(1000, 2, 1500)),
        (Limits(per_connection=1000, connections=1), 2, Bounds(1000, 0, 0)),
    ],
)
def test_each_shard_has_its_part_of_the_limits(limits: Limits, shards: int, bounds: Bounds) -> None:
    assert Bounds.of(limits, FeedSettings(shards=shards)) == bounds


def test_who_asks_while_a_shard_is_renewed_waits_for_the_new_one() -> None:
    clock, server = Clock(), CountingDemand()
    shard = ShardDemand(clock, gateway="server", generation="1", beat=300.0)
    link = Link(DemandServer(clock, server, generation="a"), shard)
    link.run()
    answers: list[Any] = []
    shard.subscribe("alice", [want("SBIN")]).addCallback(answers.extend)
    link.run()
    served: list[None] = []
    shard.relieved().addCallback(served.append)
    link.cut()
    shard.subscribe("alice", [want("INFY")]).addCallback(answers.extend)
    assert (len(answers), served) == (1, [])
    after = CountingDemand()
    link = Link(DemandServer(clock, after, generation="b"), shard)
    link.run()
    assert served == [None]
    assert [type(answer) for answer in answers] == [Granted, Granted]
    assert set(after.held) == {hold("SBIN"), hold("INFY")}
    # The next one that goes was not expected to: it is as if it had died.
    link.cut()
    shard.subscribe("alice", [want("TCS")]).addCallback(answers.extend)
    assert isinstance(answers[2], Denied)
    assert answers[2].code == "BROKER_CONNECTION_ERROR"


def test_a_feed_for_orders_alone_is_not_divided() -> None:
    assert Bounds.of(Limits(connections=1), FeedSettings(shards=3), market=False).connections == 1
