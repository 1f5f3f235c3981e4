"""What is checked, and the tools that check it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.connection import Connection

from openalgo_ws.demo import DEMO_KEY
from tests.support.fixtures import process

__all__ = ["process"]

DEPLOY = Path(__file__).parents[2] / "deploy"

Tool = Callable[[str], str]


@pytest.fixture
def deploy() -> Path:
    """The folder of what is checked."""
    return DEPLOY


@pytest.fixture
def tool() -> Tool:
    """The path of a program, from this Python's environment or the system; the test is skipped without."""

    def find(name: str) -> str:
        beside = str(Path(sys.executable).parent)
        found = shutil.which(name, path=beside) or shutil.which(name) or shutil.which(name, path="/usr/sbin")
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find


@pytest.fixture
def passes() -> Callable[..., str]:
    """Run a linter, which must find nothing; what it printed."""

    def run(*command: str | Path) -> str:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    return run


def first_tick(client: Connection) -> dict[str, Any]:
    """Authenticate with the demo's key, subscribe to a symbol, and wait for its price."""
    for request in (
        {"action": "authenticate", "api_key": DEMO_KEY},
        {"action": "subscribe", "symbols": ["NSE:RELIANCE"], "mode": "LTP"},
    ):
        client.send(json.dumps(request))
        answer = json.loads(client.recv(timeout=10))
        assert answer["status"] == "success", answer
    tick: dict[str, Any] = json.loads(client.recv(timeout=10))
    assert tick["data"]["ltp"] > 0
    return tick
