"""``twistd openalgo-ws --workers 2``: ticks, deaths, renewal, limits, and the end of it all."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.sync.client import connect

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import replace_key
from openalgo_ws.bus.segment import folder
from openalgo_ws.demo import DEMO_KEY
from tests.scale.clients import (
    PATIENCE,
    Faithful,
    alive,
    ask,
    close_code,
    entered,
    on_both,
    pids,
    rings,
    status,
    until,
)
from tests.support.process import ServerProcess
from tests.support.vault import cheap_vault

pytestmark = pytest.mark.slow

EXTERNAL = ("--feeds", "external")

#: The ways from the feed process to its workers.
both_ways = pytest.mark.parametrize("bus", ["zmq", "shm"])


def ways(server: ServerProcess, bus: str) -> bool:
    """Whether each worker has a ring, or none where they have pipes."""
    return rings(server) == (sorted(status(server)["workers"]) if bus == "shm" else [])


def next_of(client, kind: str) -> dict:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        message = json.loads(client.recv(timeout=20))
        if message["type"] == kind:
            return message
    raise AssertionError(f"no {kind} has come")


@both_ways
def test_clients_of_all_workers_get_ticks(workers, keys, publisher, bus) -> None:
    server = workers(*EXTERNAL, "--bus", bus)
    clients = on_both(server, keys["alice"])
    first, *others = clients
    assert ask(first, action="subscribe", symbols=["NSE:SBIN"], mode="LTP")["status"] == "success"
    ticks = publisher(server)
    ticks.arrives(first, "SBIN", 842.3)
    # What was published again and again until it arrived is through when the next one is.
    ticks.send("NSE_SBIN_LTP", ltp=842.35)
    while next_of(first, "market_data")["data"]["ltp"] != 842.35:
        pass
    # Who comes later, wherever to, begins with the last value.
    for client in others:
        assert ask(client, action="subscribe", symbols=["NSE:SBIN"], mode="LTP")["status"] == "success"
        tick = next_of(client, "market_data")
        assert (tick["symbol"], tick["data"]["ltp"], tick["snapshot"]) == ("SBIN", 842.35, True)
    ticks.send("NSE_SBIN_LTP", ltp=842.4)
    for client in clients:
        while next_of(client, "market_data")["data"]["ltp"] != 842.4:
            pass

    # Order updates are the user's own, on whichever worker.
    bob = entered(server, keys["bob"])
    for client in (*clients, bob):
        assert ask(client, action="subscribe_orders")["status"] == "success"
    for user in ("alice", "bob"):
        ticks.send(f"ZERODHA_{user}_orders", type="order_update", user_id=user, orderid="1", status="open")
    for client in clients:
        assert next_of(client, "order_update")["user_id"] == "alice"
    assert next_of(bob, "order_update")["user_id"] == "bob"

    # All together on the status port.
    until(lambda: status(server)["deliveries"] >= 2 * len(clients))
    # Workers list their clients in reports of every second; bob came a moment ago.
    until(lambda: len(status(server)["connections"]) > len(clients))
    found = status(server)
    assert found["clients"] == len(found["connections"]) == len(clients) + 1
    assert sum(worker["clients"] for worker in found["workers"].values()) == found["clients"]
    assert status(server, "/readyz") == {"ok": True, "feeds": {}, "workers": {"0": "ready", "1": "ready"}}
    metrics = status(server, "/metrics")
    assert f"openalgo_ws_connections_opened_total {len(clients) + 1}.0" in metrics
    assert 'openalgo_ws_connections{format="openalgo",worker="' in metrics
    assert metrics.count("# TYPE openalgo_ws_event_loop_lag_seconds histogram") == 1

    # A key that is withdrawn ends its sessions on all workers.
    database = Database(f"sqlite:///{server.folder}/server.db")
    assert database.call(lambda connection: replace_key(connection, cheap_vault(), "alice"))
    database.stop()
    ticks.send("CACHE_INVALIDATE_AUTH_alice", user_id="alice")
    for client in clients:
        assert close_code(client) == 4401
    assert ask(bob, action="ping")["status"] == "success"
    for client in (*clients, bob):
        client.close()
    assert ways(server, bus)
    assert server.stop() == 0
    assert not rings(server)


@both_ways
def test_a_demo_with_workers(workers, bus) -> None:
    server = workers("--demo", "--bus", bus)
    server.wait_for("openalgo-ws is up")
    clients = on_both(server, DEMO_KEY)
    for client in clients:
        reply = ask(client, action="subscribe", symbols=["NSE:RELIANCE"], mode="depth")
        assert reply["status"] == "success", reply
        assert next_of(client, "market_data")["data"]["depth"]["buy"]
    info = ask(clients[0], action="get_broker_info")
    assert (info["broker"], info["adapter_status"]) == ("zerodha", "connected")
    # The status page has the same prices.
    with connect(f"ws://127.0.0.1:{server.environ['STATUS_PORT']}/api/live?user=demo") as page:
        assert next_of(page, "server_status")["clients"] == len(clients)
        page.send(json.dumps({"action": "subscribe", "symbols": ["NSE:RELIANCE"], "mode": "LTP"}))
        assert next_of(page, "market_data")["data"]["ltp"] > 0
    # What is asked for in two workers is one subscription of the broker.
    (feed,) = status(server)["feeds"]
    assert feed["held"] == 1
    for client in clients:
        client.close()
    workers_pids = pids(server)
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 5
    assert not any(alive(pid) for pid in workers_pids)
    assert not list((Path(server.environ["TMPDIR"])).iterdir())
    assert not rings(server)


@both_ways
def test_a_worker_is_killed_while_twenty_clients_hold_subscriptions(workers, keys, publisher, bus) -> None:
    server = workers(*EXTERNAL, "--bus", bus)
    symbols = [f"S{number}" for number in range(50)]
    clients = [Faithful(server, keys["alice"], [f"NSE:{one}" for one in symbols]) for _ in range(20)]
    for client in clients:
        client.start()
    until(lambda: all(client.subscribed for client in clients))
    ticks = publisher(server)
    with entered(server, keys["bob"]) as bob:
        ask(bob, action="subscribe", symbols=["NSE:S0"], mode="LTP")
        ticks.arrives(bob, "S0", 1.0)
    last = {symbol: 100.0 + number for number, symbol in enumerate(symbols)}
    for symbol, price in last.items():
        ticks.send(f"NSE_{symbol}_LTP", ltp=price)
    until(lambda: all(client.last == last for client in clients))

    victim, other = pids(server)
    before = [client.subscribed for client in clients]
    for client in clients:
        client.last.clear()
    os.kill(victim, signal.SIGKILL)
    # Those of the victim come back, to the other worker or to the new one, and are told everything anew.
    until(lambda: sum(client.subscribed for client in clients) > sum(before))
    until(lambda: victim not in pids(server) and len(pids(server)) == 2)
    gone = [client for client, count in zip(clients, before, strict=True) if client.codes]
    assert gone
    assert len(gone) < len(clients)
    until(lambda: all(client.last == last for client in gone))
    # And everybody goes on.
    for symbol, price in last.items():
        last[symbol] = price + 1000
        ticks.send(f"NSE_{symbol}_LTP", ltp=price + 1000)
    until(lambda: all(client.last == last for client in clients))
    assert other in pids(server)
    assert "openalgo_ws_worker_deaths_total 1.0" in status(server, "/metrics")
    until(lambda: status(server, "/readyz")["ok"])
    assert ways(server, bus)
    for client in clients:
        client.leave()


@both_ways
def test_all_workers_are_renewed_while_ticks_flow(workers, keys, publisher, bus) -> None:
    server = workers(*EXTERNAL, "--bus", bus)
    symbols = [f"S{number}" for number in range(10)]
    clients = [Faithful(server, keys["alice"], [f"NSE:{one}" for one in symbols]) for _ in range(8)]
    for client in clients:
        client.start()
    until(lambda: all(client.subscribed for client in clients))
    old = pids(server)
    ticks = publisher(server)
    price = 0.0

    def tick() -> None:
        nonlocal price
        price += 1.0
        for symbol in symbols:
            ticks.send(f"NSE_{symbol}_LTP", ltp=price)

    def renewed() -> bool:
        tick()
        # Somebody can always connect, if only to a worker that is about to leave.
        try:
            entered(server, keys["bob"]).close()
        except ConnectionClosedOK as sent_away:
            if sent_away.rcvd is None or sent_away.rcvd.code != 1001:
                raise
        now = status(server)["workers"]
        return len(now) == 2 and not {worker["pid"] for worker in now.values()} & set(old)

    os.kill(server.pid, signal.SIGHUP)
    until(renewed)
    server.wait_for("all workers are new")
    tick()
    until(lambda: all(client.last == dict.fromkeys(symbols, price) for client in clients))
    for client in clients:
        # Each was sent away in order, at least once; nobody was refused or dropped.
        assert client.codes
        assert set(client.codes) == {1001}
        client.leave()
    assert not any(alive(pid) for pid in old)
    assert ways(server, bus)
    assert "openalgo_ws_worker_deaths_total 0.0" in status(server, "/metrics")


#: For a demo at any hour.
ALWAYS = """
utc_offset = 330
[group.all]
exchanges = ["NSE"]
days = "all"
hours = ["00:00-24:00"]
"""


def test_an_alert_reaches_clients_of_all_workers_that_want_notices(workers, keys, tmp_path) -> None:
    (tmp_path / "always.toml").write_text(ALWAYS)
    server = workers(
        "--demo",
        # Raised as soon as the feed has something to do, cleared when it has nothing any more.
        WS_ALERTS="tick_age_s<1000:0s>2000:0s",
        WS_UNSUBSCRIBE_LINGER_SECONDS="0",
        WS_EXCHANGE_SESSIONS=str(tmp_path / "always.toml"),
    )
    server.wait_for("openalgo-ws is up")
    clients = on_both(server, DEMO_KEY, notices=True)
    without = entered(server, DEMO_KEY)
    clients[0].send(json.dumps({"action": "subscribe", "symbols": ["NSE:RELIANCE"], "mode": "LTP"}))
    assert next_of(clients[0], "subscribe")["status"] == "success"
    for client in clients:
        told = next_of(client, "alert")
        assert (told["name"], told["status"], told["broker"]) == ("tick_age_s", "raised", "zerodha")
        assert told["threshold"] == 1000
    assert [alert["feed"] for alert in status(server)["alerts"]] == ["demo"]
    clients[0].send(json.dumps({"action": "unsubscribe_all"}))
    for client in clients:
        told = next_of(client, "alert")
        assert (told["status"], told["value"]) == ("cleared", None)
    # Who did not ask for notices is told of nothing.
    assert ask(without, action="ping")["type"] == "pong"
    for client in (*clients, without):
        client.close()


def test_workers_end_with_their_supervisor(workers, keys) -> None:
    server = workers(*EXTERNAL)
    running = until(lambda: pids(server) if len(pids(server)) == 2 else None)
    with entered(server, keys["alice"]) as client:
        server.kill()
        assert close_code(client) == 1001
    until(lambda: not any(alive(pid) for pid in running))


def test_the_next_server_removes_the_rings_of_one_that_was_killed(workers, keys) -> None:
    killed = workers(*EXTERNAL, "--bus", "shm")
    running = until(lambda: pids(killed) if len(pids(killed)) == 2 else None)
    killed.kill()
    until(lambda: not any(alive(pid) for pid in running))
    assert len(rings(killed)) == 2
    server = workers(*EXTERNAL, "--bus", "shm")
    until(lambda: ways(server, "shm"))
    assert not list(folder().glob(f"openalgo-ws.{killed.pid}.*"))
    assert server.stop() == 0
    assert not list(folder().glob(f"openalgo-ws.{server.pid}.*"))


def test_limits_hold_over_all_workers(workers, keys) -> None:
    server = workers(
        *EXTERNAL,
        WS_MAX_CONNECTIONS_PER_USER="3",
        WS_MAX_CONNECTIONS="8",
        WS_MAX_FAILED_AUTHENTICATIONS="2",
    )
    held = []

    def settled() -> bool:
        return status(server)["clients"] == len(held)

    for _ in range(3):
        held.append(entered(server, keys["alice"]))
        until(settled)
    refused = [entered_or_code(server, keys["alice"]) for _ in range(4)]
    assert refused == [4429] * 4
    held.append(entered(server, keys["bob"]))
    until(settled)
    # Failures count together as well: two of them, wherever.
    codes = [entered_or_code(server, "x" * 64) for _ in range(6)]
    assert 4403 in codes
    for client in held:
        client.close()


def entered_or_code(server, key: str) -> int | str:
    """The close code of a client that may not stay; else what it was told."""
    try:
        with connect(server.url) as client:
            reply = ask(client, action="authenticate", api_key=key)
            return reply["status"]
    except ConnectionClosed as closed:
        return closed.rcvd.code


def test_an_address_in_use_ends_the_server_with_one_line(tmp_path, process_of) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = process_of("--workers", "2", WEBSOCKET_PORT=str(taken.getsockname()[1]))
        assert server.end() == 1
    assert "can't listen on 127.0.0.1:" in server.output()
