"""The demand protocol and the lease on NATS: their tests in a process with asyncio's reactor."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.nats_server import NATS_SERVER

ROOT = Path(__file__).parents[2]

#: Seconds; it takes half a minute.
PATIENCE = 240


@pytest.mark.slow
@pytest.mark.skipif(NATS_SERVER is None, reason="there is no nats-server")
def test_the_demand_protocol_and_the_lease_on_nats() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.asyncio_reactor", "--reactor=asyncio"]
    command += ["-p", "no:cacheprovider", "tests/scale/on_asyncio"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) >= 8, done.stdout
