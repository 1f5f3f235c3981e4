"""In the place of the platform's proxy: started in its folder, on its `.env`, database and bus."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from queue import Queue
from typing import IO, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from openalgo_ws.registry import Registry
from openalgo_ws.simulator.universe import localise, universe
from tests.support.openalgo import Installation, Publisher
from tests.support.process import PEPPER, ServerProcess

pytestmark = pytest.mark.slow

KEY, NEW_KEY = "platform-key-of-rajan", "platform-key-after-the-change"
GOOD = "demo0000demo0000:demo0000demo0000demo0000demo0000"
OLD = "demo0000demo0000:yesterdays0token00000000000000000"
#: What the environment of a test must not decide: the installation's `.env` does.
OF_THE_FILE = ("API_KEY_PEPPER", "DATABASE_URL", "LOG_LEVEL", "WEBSOCKET_PORT", "ZMQ_PORT")


class Site:
    """An installation, our server in its folder, and a process that publishes."""

    def __init__(self, folder: Path, salt: str, feed_url: str) -> None:
        options = [] if feed_url else ["--feeds", "external"]
        environ = {"ZERODHA_FEED_URL": feed_url} if feed_url else {}
        (folder / "log").mkdir()
        environ["WS_PROXY_STATS_FILE"] = "log/ws_proxy_stats.json"
        self.server = ServerProcess(folder, *options, **environ)
        for name in OF_THE_FILE:
            del self.server.environ[name]
        ports = (self.server.port, self.server.zmq_port)
        self.installation = Installation(folder, PEPPER, salt, *ports)
        self.platform = Publisher(self.server.zmq_port)

    def close(self) -> None:
        self.platform.close()
        self.server.kill()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Make a site; ended at the end."""
    sites: list[Site] = []

    def make(salt: str = "", feed_url: str = "") -> Site:
        sites.append(Site(tmp_path, salt, feed_url))
        return sites[-1]

    yield make
    for one in sites:
        one.close()


def read_into(lines: Queue[str], stream: IO[str]) -> None:
    for line in stream:
        lines.put(line)


@pytest.fixture
def broker() -> Iterator[str]:
    """A simulated Zerodha in a process of its own; where it listens."""
    command = [str(Path(sys.executable).parent / "openalgo-ws"), "simulate", "zerodha"]
    command += ["--instruments", "50", "--rate", "500", "--seed", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: Queue[str] = Queue()
    assert process.stdout is not None
    reader = threading.Thread(
        target=lambda stream: [lines.put(line) for line in stream], args=[process.stdout]
    )
    reader.start()
    found = re.match(r"export ZERODHA_FEED_URL=(\S+)", lines.get(timeout=20))
    assert found is not None
    yield found[1]
    process.terminate()
    process.wait(20)
    reader.join()
    process.stdout.close()


def ask(client: ClientConnection, **request: Any) -> dict[str, Any]:
    client.send(json.dumps(request))
    answer: dict[str, Any] = json.loads(client.recv(timeout=20))
    return answer


def published(site: Site, client: ClientConnection, topic: str, **payload: Any) -> dict[str, Any]:
    """Publish until the client gets something (a PUB socket joins when it joins); what it gets."""
    for _ in range(400):
        site.platform.publish(topic, **payload)
        try:
            message: dict[str, Any] = json.loads(client.recv(timeout=0.05))
        except TimeoutError:
            continue
        return message
    raise AssertionError("nothing came")


@pytest.mark.parametrize("salt", ["", "00112233445566778899aabbccddeeff"], ids=["static salt", "own salt"])
def test_in_the_place_of_the_proxy(site: Callable[..., Site], salt: str) -> None:
    here = site(salt)
    here.installation.give_key("rajan", KEY)
    here.installation.give_key("other", "platform-key-of-another")
    here.installation.login("rajan", "zerodha", GOOD)
    before = here.installation.tables()
    here.server.start()

    with connect(here.server.url) as client, connect(here.server.url) as other:
        assert ask(other, action="authenticate", api_key="platform-key-of-another")["broker"] is None
        assert ask(client, action="authenticate", api_key="no-such-key")["status"] == "error"
        answer = ask(client, action="authenticate", api_key=KEY)
        assert (answer["status"], answer["user_id"], answer["broker"]) == ("success", "rajan", "zerodha")

        # Ticks of the platform's own adapters.
        subscribed = ask(client, action="subscribe", symbol="NIFTY", exchange="NSE_INDEX", mode=2)
        assert subscribed["status"] == "success"
        tick = published(here, client, "NSE_INDEX_NIFTY_QUOTE", ltp=25000.5, volume=7)
        assert (tick["exchange"], tick["symbol"], tick["mode"]) == ("NSE_INDEX", "NIFTY", 2)
        assert (tick["data"]["ltp"], tick["data"]["volume"]) == (25000.5, 7)
        ask_quietly(client, action="unsubscribe_all")

        # Orders of the user, and of no other.
        for one in (client, other):
            ask_quietly(one, action="subscribe_orders")
        order = {"type": "order_update", "user_id": "rajan", "orderid": "1", "status": "open"}
        here.platform.publish("ZERODHA_rajan_orders", **order)
        assert json.loads(client.recv(timeout=20)) == order
        here.platform.publish("ZERODHA_rajan_positions", user_id="rajan")
        assert ask(other, action="ping")["type"] == "pong"

        # The key is replaced on the platform's page.
        here.installation.give_key("rajan", NEW_KEY)
        invalidation = {"action": "invalidate", "user_id": "rajan", "cache_type": "ALL"}
        here.platform.publish("CACHE_INVALIDATE_ALL_rajan", **invalidation)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        assert ask(other, action="ping")["type"] == "pong"
    with connect(here.server.url) as client:
        assert ask(client, action="authenticate", api_key=KEY)["status"] == "error"
        assert ask(client, action="authenticate", api_key=NEW_KEY)["status"] == "success"

    assert here.server.stop() == 0
    assert here.installation.tables() == before
    assert "timestamp" in json.loads((here.installation.folder / "log" / "ws_proxy_stats.json").read_text())
    output = here.server.output()
    assert "Traceback" not in output
    for secret in (KEY, NEW_KEY, GOOD, PEPPER):
        assert secret not in output


def ask_quietly(client: ClientConnection, **request: Any) -> None:
    """Ask, and pass over ticks and orders that come before the answer."""
    answer = ask(client, **request)
    while answer["type"] != request["action"] and not answer["type"].startswith("unsubscribe"):
        answer = json.loads(client.recv(timeout=20))


def test_the_morning_after(site: Callable[..., Site], broker: str) -> None:
    """Yesterday's token is refused; the platform's login brings ticks without anybody's doing."""
    adapter = Registry().load("zerodha")
    rows = [listing.row for listing in localise(universe(50, date.today()), adapter)]
    here = site(feed_url=broker)
    here.installation.give_key("rajan", KEY)
    here.installation.login("rajan", "zerodha", OLD)
    here.installation.download_master(rows)
    before = here.installation.tables()
    mode = stat.S_IMODE(here.installation.database.stat().st_mode)
    here.server.start()

    with connect(here.server.url) as client:
        assert ask(client, action="authenticate", api_key=KEY, notices=True)["broker"] == "zerodha"
        symbols = [f"{row.exchange}:{row.symbol}" for row in rows[:20]]
        client.send(json.dumps({"action": "subscribe", "symbols": symbols, "mode": "LTP"}))
        states: set[str] = set()
        while "auth_failed" not in states:
            message = json.loads(client.recv(timeout=20))
            states.add(message.get("status", ""))
        here.installation.login("rajan", "zerodha", GOOD)
        invalidation = {"action": "invalidate", "user_id": "rajan", "cache_type": "AUTH"}
        here.platform.publish("CACHE_INVALIDATE_AUTH_rajan", **invalidation)
        seen: set[str] = set()
        while len(seen) < len(symbols):
            message = json.loads(client.recv(timeout=20))
            if message["type"] == "market_data":
                seen.add(f"{message['exchange']}:{message['symbol']}")
        assert seen == set(symbols)

    assert here.server.stop() == 0
    assert here.installation.tables() == before
    assert stat.S_IMODE(here.installation.database.stat().st_mode) == mode
    output = here.server.output()
    assert "Traceback" not in output
    for token in (OLD, GOOD):
        assert token.partition(":")[2] not in output
