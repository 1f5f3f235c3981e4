"""Clients that exist already, unchanged, against the demo in a process of its own."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from openalgo_ws.demo import DEMO_KEY
from tests.clients.nodejs import node
from tests.support.certificates import Authority
from tests.support.process import ServerProcess, free_port

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


class DemoServer(ServerProcess):
    """The demo on ``ws://`` and ``wss://``."""

    def __init__(self, folder: Path) -> None:
        authority = Authority()
        self.ca = authority.write(folder)
        certificate, key = authority.valid("localhost").write(folder)
        self.secure_port = free_port()
        super().__init__(folder, "--demo")
        self.environ["WS_LISTEN"] = (
            f"tcp:{self.port}:interface=127.0.0.1 "
            f"ssl:{self.secure_port}:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
        )

    @property
    def secure_url(self) -> str:
        return f"wss://localhost:{self.secure_port}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    server = DemoServer(tmp_path_factory.mktemp("demo"))
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("secure", [False, True])
def test_websockets(demo: DemoServer, secure: bool) -> None:
    context = ssl.create_default_context(cafile=demo.ca) if secure else None
    with connect(demo.secure_url if secure else demo.url, ssl=context) as client:
        client.send(json.dumps({"action": "authenticate", "api_key": DEMO_KEY}))
        assert json.loads(client.recv(timeout=10))["status"] == "success"
        wanted = ["NSE:RELIANCE", "NSE_INDEX:NIFTY"]
        client.send(json.dumps({"action": "subscribe", "symbols": wanted, "mode": "Depth"}))
        assert json.loads(client.recv(timeout=10))["status"] == "success"
        seen: dict[str, dict] = {}
        while len(seen) < 2:
            message = json.loads(client.recv(timeout=10))
            if message["type"] == "market_data":
                seen[f"{message['exchange']}:{message['symbol']}"] = message["data"]
    assert len(seen["NSE:RELIANCE"]["depth"]["buy"]) == 5
    assert seen["NSE_INDEX:NIFTY"]["ltp"] > 0


def test_the_sdk_and_a_server_that_is_killed(demo: DemoServer) -> None:
    command = [sys.executable, str(HERE / "openalgo_sdk.py"), demo.url, DEMO_KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sdk:
        assert sdk.stdin is not None
        assert sdk.stdout is not None
        seen = json.loads(sdk.stdout.readline())
        demo.kill()
        demo.start()
        print("back", file=sdk.stdin, flush=True)
        after = json.loads(sdk.stdout.readline())
    assert seen["connected"] is True
    for mode, getter, book in (("ltp", "get_ltp", "ltp"), ("quote", "get_quotes", "quote")):
        assert seen[f"{mode} came"], mode
        assert seen[mode]["data"]["ltp"] > 0
        assert seen[getter][book]["NSE"]["RELIANCE"]["ltp"] > 0
    assert seen["quote"]["data"]["volume"] > 0
    assert len(seen["depth"]["data"]["depth"]["buy"]) == 5
    assert seen["get_depth"]["depth"]["NSE"]["RELIANCE"]["buyBook"]["1"]["qty"] > 0
    assert after == {"connected": True, "came": True}


@pytest.mark.parametrize("secure", [False, True])
def test_node(demo: DemoServer, secure: bool) -> None:
    command, environ = node()
    environ["NODE_EXTRA_CA_CERTS"] = str(demo.ca)
    url = demo.secure_url if secure else demo.url
    ran = subprocess.run(
        [*command, str(HERE / "node_client.cjs"), url, DEMO_KEY],
        capture_output=True,
        text=True,
        env=environ,
        timeout=40,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    message = json.loads(ran.stdout)
    assert (message["symbol"], message["mode"]) == ("RELIANCE", 2)
    assert message["data"]["volume"] >= 0
