"""The example of `docs/writing-an-adapter.md`, installed and used as somebody else's package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user, login
from tests.support.process import TIMEOUT, ServerProcess, free_port
from tests.support.vault import cheap_vault

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "adapter"
COMMAND = Path(sys.executable).parent / "openalgo-ws"
BLOCK = re.compile(r"^```(?:python|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
KEY = "the-key-of-the-examples-user"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed package, entry point and all. No network is needed."""
    folder = tmp_path_factory.mktemp("example")
    copy = folder / "source"
    copy.mkdir()
    for file in EXAMPLE.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            target = copy / file.relative_to(EXAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    )
    subprocess.run([*pip, "--target", folder / "site", copy], check=True, timeout=120, capture_output=True)
    return folder / "site"


def ours(package: Path, *arguments: str | Path, cwd: Path) -> str:
    ran = subprocess.run(
        [COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": str(package), "COLUMNS": "200"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_it_is_listed_with_the_others(package: Path, tmp_path: Path) -> None:
    assert "Example Broker" in ours(package, "adapters", cwd=tmp_path)


def test_its_vectors_pass(package: Path, tmp_path: Path) -> None:
    said = ours(package, "conformance", EXAMPLE / "vectors" / "example.json", cwd=tmp_path)
    assert said.rstrip().endswith("6 passed, 0 failed")


@pytest.fixture
def simulator(package: Path) -> Iterator[int]:
    """Its simulator, in a process of its own; the port."""
    port = free_port()
    options = ("--port", str(port), "--instruments", "10", "--duration", "60")
    process = subprocess.Popen(
        [COMMAND, "simulate", "example", *options],
        env={**os.environ, "PYTHONPATH": str(package)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "EXAMPLE_FEED_URL" in process.stdout.readline()
    yield port
    process.kill()
    process.wait(TIMEOUT)
    process.stdout.close()


def test_the_whole_way_of_a_tick(package: Path, simulator: int, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, PYTHONPATH=str(package), EXAMPLE_FEED_URL=f"ws://127.0.0.1:{simulator}")
    database, vault = Database(server.environ["DATABASE_URL"]), cheap_vault()
    database.prepare()

    def fill(connection) -> None:
        add_user(connection, vault, "user", "example", key=KEY)
        login(connection, vault, "user", "example", {"auth": "demo-access-token"})

    database.call(fill)
    database.stop()
    master = tmp_path / "instruments.csv"
    with urlopen(f"http://127.0.0.1:{simulator}/instruments.csv", timeout=TIMEOUT) as served:
        master.write_bytes(served.read())
    env = {name: server.environ[name] for name in ("API_KEY_PEPPER", "DATABASE_URL")}
    subprocess.run(
        [COMMAND, "symbols", "load", "example", master],
        env={**os.environ, "PYTHONPATH": str(package), **env},
        cwd=tmp_path,
        check=True,
        timeout=60,
        capture_output=True,
    )
    try:
        server.start()
        with connect(server.url) as client:
            client.send(json.dumps({"action": "authenticate", "api_key": KEY}))
            assert json.loads(client.recv(timeout=TIMEOUT))["broker"] == "example"
            client.send(json.dumps({"action": "subscribe", "symbols": ["NSE:RELIANCE"], "mode": "Depth"}))
            assert json.loads(client.recv(timeout=TIMEOUT))["status"] == "success"
            tick = json.loads(client.recv(timeout=TIMEOUT))
            assert (tick["symbol"], tick["mode"], tick["broker"]) == ("RELIANCE", 3, "example")
            assert len(tick["data"]["depth"]["buy"]) == 5
    finally:
        server.kill()


def test_the_page_quotes_the_example() -> None:
    source = "\n".join(file.read_text() for file in sorted(EXAMPLE.rglob("*.[pt][yo]*")) if file.is_file())
    quoted = BLOCK.findall((ROOT / "docs" / "writing-an-adapter.md").read_text())
    assert len(quoted) >= 4
    assert [block for block in quoted if block not in source] == []
