"""One feed process and one gateway on NATS: publishers outside, the status port, what is refused."""

from __future__ import annotations

import json

import pytest

from tests.scale.clients import Publisher, ask, close_code, entered, status, until
from tests.scale.nats.conftest import Cluster
from tests.support.process import ServerProcess, free_port

pytestmark = pytest.mark.slow

LEADS = "this process serves the feeds"


def test_publishers_outside_reach_gateways_elsewhere(cluster: Cluster, publisher) -> None:
    feeds = cluster.start("feeds", "--feeds", "external")
    gateway = cluster.start("gateway")
    gateway.wait_for("connected to the feed process")
    alice, bob = (entered(gateway, cluster.keys[name]) for name in ("alice", "bob"))
    assert ask(alice, action="subscribe", symbols=["NSE:SBIN"], mode="LTP")["status"] == "success"
    for client in (alice, bob):
        assert ask(client, action="subscribe_orders")["status"] == "success"
    ticks: Publisher = publisher(feeds)
    ticks.arrives(alice, "SBIN", 842.35)
    ticks.send("NSE_INFY_LTP", ltp=1500.0)
    ticks.send("ZERODHA_bob_orders", type="order_update", user_id="bob", orderid="1", status="open")
    order = json.loads(bob.recv(timeout=20))
    assert (order["type"], order["orderid"]) == ("order_update", "1")
    ticks.arrives(alice, "SBIN", 843.0)
    cluster.renew("alice")
    ticks.send("CACHE_INVALIDATE_AUTH_alice", user_id="alice")
    assert close_code(alice) == 4401
    bob.close()


def test_the_status_port_of_each_process(cluster: Cluster) -> None:
    ports = [str(free_port()) for _ in range(3)]
    gateway = cluster.start("gateway", STATUS_PORT=ports[0])
    gateway.wait_for("listening on")
    # Alone it can't serve anybody, and a load balancer is told so.
    assert status(gateway, "/readyz") == {"ok": False, "feeds": {}, "served": False}
    leader = cluster.start("feeds", STATUS_PORT=ports[1])
    leader.wait_for(LEADS)
    standby = cluster.start("feeds", STATUS_PORT=ports[2])
    standby.wait_for("connected to the feed process")
    ready = {"ok": True, "feeds": {}, "served": True}
    for process in (gateway, leader, standby):
        until(lambda process=process: status(process, "/readyz") == ready)
    with entered(gateway, cluster.keys["alice"]) as client:
        one = cluster.instruments[0]
        ask(client, action="subscribe", symbols=[f"{one.exchange}:{one.symbol}"], mode="LTP")
        until(lambda: status(gateway)["clients"] == 1)
        (feed,) = status(leader)["feeds"]
        assert feed["held"] == 1
        assert status(standby)["feeds"] == []
        assert "openalgo_ws_bus_backlog" in status(leader, "/metrics")
        assert "openalgo_ws_intake_messages_total" in status(gateway, "/metrics")


def test_the_status_port_shows_every_partition_that_a_process_serves(cluster: Cluster) -> None:
    environ = {"WS_FEED_PARTITIONS": "2", "STATUS_PORT": str(free_port())}
    gateway = cluster.start("gateway", WS_FEED_PARTITIONS="2")
    feeds = cluster.start("feeds", **environ)
    gateway.wait_for("listening on")
    gateway.wait_for("connected to the feed process")
    gateway.wait_for("connected to the feed process")
    clients = [entered(gateway, cluster.keys[name]) for name in ("alice", "bob")]
    one = cluster.instruments[0]
    for client in clients:
        reply = ask(client, action="subscribe", symbols=[f"{one.exchange}:{one.symbol}"], mode="LTP")
        assert reply["status"] == "success"
    shown = status(feeds)
    assert sorted(feed["tag"] for feed in shown["feeds"]) == ["alice", "bob"]
    assert sorted(account["account"] for account in shown["accounts"]) == ["alice", "bob"]
    ready = status(feeds, "/readyz")["feeds"]
    assert sorted(ready) == ["alice", "bob"]
    for name in ("alice", "bob"):
        assert f'account="{name}"' in status(feeds, "/metrics")
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "WS_ROLE"),
        (["--role", "gateway", "--workers", "2"], "WS_WORKERS"),
        (["--role", "feeds"], "twistd --reactor=asyncio"),
    ],
)
def test_one_clear_line_and_exit_code_1(tmp_path, options: list[str], said: str) -> None:
    server = ServerProcess(tmp_path, "--bus", "nats://user:hunter2@127.0.0.1:1", *options)
    server.spawn()
    try:
        assert server.end() == 1
    finally:
        server.kill()
    (line,) = [line for line in server.output().splitlines() if line.startswith("openalgo-ws:")]
    assert said in line
    assert "hunter2" not in server.output()
    assert "Traceback" not in server.output()


def test_a_server_that_is_not_there_is_waited_for(cluster: Cluster) -> None:
    cluster.nats.kill()
    secret = cluster.nats.url.replace("nats://", "nats://user:hunter2@")
    gateway = cluster.start("gateway", WS_BUS=secret)
    gateway.wait_for("NATS can't be reached")
    with entered(gateway, cluster.keys["alice"]) as client:
        reply = ask(client, action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
        assert reply["subscriptions"][0]["code"] == "BROKER_CONNECTION_ERROR"
    assert gateway.stop() == 0
    assert "hunter2" not in gateway.output()
