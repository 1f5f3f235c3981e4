"""What the log of a server tells when its broker goes away and comes back, as docs/logs.md reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from tests.support.fixtures import Start
from tests.support.process import free_port

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).parent / "openalgo-ws")
CREDENTIALS = ("demo0000demo0000", "demo0000demo0000demo0000demo0000")
ALWAYS_OPEN = """
utc_offset = 330
[group.all]
exchanges = ["NSE"]
days = "all"
hours = ["00:00-24:00"]
"""

Broker = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def port() -> int:
    """Where the broker listens, and will listen again."""
    return free_port()


@pytest.fixture
def broker(port: int) -> Iterator[Broker]:
    """Start a simulated Zerodha; it is ended at the end, if the test has not."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        options = ["--port", str(port), "--instruments", "20", "--rate", "200", "--seed", "1"]
        process = subprocess.Popen(
            [COMMAND, "simulate", "zerodha", *options], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        # It is printed when it listens.
        assert "ZERODHA_FEED_URL" in process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def ask(client: Any, **request: Any) -> dict[str, Any]:
    client.send(json.dumps(request))
    answer: dict[str, Any] = json.loads(client.recv(timeout=20))
    return answer


def of_ours(output: str) -> list[dict[str, str]]:
    return [
        record
        for record in map(json.loads, output.splitlines())
        if record["logger"].startswith(("feeds", "gateway"))
    ]


def test_a_broker_that_goes_away_can_be_followed_by_one_number(
    process: Start, alice: str, broker: Broker, port: int, tmp_path: Path
) -> None:
    (tmp_path / "always.toml").write_text(ALWAYS_OPEN)
    server = process(
        LOG_LEVEL="WARNING",
        LOG_LEVELS="gateway=INFO",
        LOG_FORMAT="json",
        ZERODHA_FEED_URL=f"ws://127.0.0.1:{port}",
        WS_EXCHANGE_SESSIONS=str(tmp_path / "always.toml"),
    )
    there = broker()
    with urlopen(f"http://127.0.0.1:{port}/instruments", timeout=20) as master:
        (tmp_path / "instruments.csv").write_bytes(master.read())
    for words in (
        ["login", "alice", "--set", f"api_key={CREDENTIALS[0]}", "--set", f"access_token={CREDENTIALS[1]}"],
        ["symbols", "load", "zerodha", "instruments.csv"],
    ):
        subprocess.run(
            [COMMAND, *words],
            cwd=tmp_path,
            env=server.environ,
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )
    server.start()

    with connect(server.url) as client:
        assert ask(client, action="authenticate", api_key=alice)["status"] == "success"
        assert ask(client, action="subscribe", symbols=["NSE:RELIANCE"], mode="LTP")["status"] == "success"
        assert json.loads(client.recv(timeout=20))["symbol"] == "RELIANCE"
        there.kill()
        server.wait_for("backing off")
        broker()
        server.wait_for("live again after [0-9]+ s")
    server.wait_for("gone after")
    assert server.stop() == 0

    told = of_ours(server.output())
    assert not any(secret in server.output() for secret in (*CREDENTIALS, alice))
    feed = [one for one in told if "connection" in one]
    # Nothing below a warning: its room has no level of its own.
    assert {one["level"] for one in feed} == {"WARNING"}
    assert {(one["broker"], one["account"], one["feed"], one["connection"]) for one in feed} == {
        ("zerodha", "alice", "ticker", "1")
    }
    assert feed[0]["message"].startswith("backing off: ")
    assert feed[-1]["message"].startswith("live again after ")
    visitor = [
        (one["level"], one["message"].partition(" after")[0]) for one in told if one.get("client") == "1"
    ]
    assert visitor == [("INFO", "connected from 127.0.0.1"), ("INFO", "authenticated"), ("INFO", "gone")]
