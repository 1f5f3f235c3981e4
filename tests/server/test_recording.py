"""``record`` and ``replay`` as a user runs them, with a server in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect

from openalgo_ws.client import MarketData
from openalgo_ws.recording import Recorder, Recording
from openalgo_ws.tick import Mode
from tests.support.fixtures import Start
from tests.support.process import TIMEOUT, ServerProcess, free_port

pytestmark = pytest.mark.slow


def command() -> list[str]:
    """The command, as it is installed."""
    return [str(Path(sys.executable).parent / "openalgo-ws")]


def openalgo_ws(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [*command(), *words],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=TIMEOUT * 2,
        check=False,
    )


def test_what_is_recorded_can_be_read(process: Start, tmp_path: Path) -> None:
    server = process("--demo").start()

    ran = openalgo_ws(
        tmp_path,
        "record",
        "out.jsonl.gz",
        "NSE:RELIANCE",
        "NSE_INDEX:NIFTY",
        "--url",
        server.url,
        "--count=20",
    )

    assert ran.returncode == 0
    assert ran.stderr.endswith("\n20 ticks in out.jsonl.gz\n")
    recording = Recording(tmp_path / "out.jsonl.gz")
    ticks = list(recording)
    recording.close()
    assert recording.damage is None
    assert len(ticks) == 20
    assert {one.tick.symbol for one in ticks} <= {"RELIANCE", "NIFTY"}
    assert all(one.tick.mode is Mode.QUOTE and one.tick.broker == "zerodha" for one in ticks)


def test_a_full_disk_ends_it_and_leaves_what_there_was_room_for(process: Start, tmp_path: Path) -> None:
    server = process("--demo").start()
    # A limit on the size of files, as a disk that is full: writing fails in the middle.
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 1; exec "$@"', "bash", *command()]

    ran = subprocess.run(
        [*limited, "record", "out.jsonl.gz", "NSE:RELIANCE", "--mode", "depth", "--url", server.url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT * 3,
        check=False,
    )

    assert ran.returncode == 1
    assert "File too large" in ran.stderr
    assert "Traceback" not in ran.stderr
    recording = Recording(tmp_path / "out.jsonl.gz")
    ticks = list(recording)
    recording.close()
    assert ticks
    assert recording.damage is not None


def test_a_gateway_serves_what_is_replayed(process: Start, alice: str, tmp_path: Path) -> None:
    server: ServerProcess = process("--feeds", "external").start()
    recorder = Recorder(tmp_path / "in.jsonl.gz")
    for n in range(200):
        data = {"ltp": 100 + n / 100, "timestamp": 1_700_000_000_000 + n}
        recorder.write(MarketData("RELIANCE", "NSE", Mode.LTP, "zerodha", data, False), n * 1000)
    recorder.close()

    with connect(server.url) as socket:
        socket.send(json.dumps({"action": "authenticate", "api_key": alice}))
        socket.recv(TIMEOUT)
        request = {"action": "subscribe", "symbols": ["NSE:RELIANCE"], "mode": "LTP", "throttle_ms": 0}
        socket.send(json.dumps(request))
        socket.recv(TIMEOUT)
        ran = openalgo_ws(tmp_path, "replay", "in.jsonl.gz", "--speed", "1000", ZMQ_PORT=str(server.zmq_port))
        got = [json.loads(socket.recv(TIMEOUT))["data"]["ltp"] for _ in range(200)]

    assert (ran.returncode, ran.stderr) == (0, "200 ticks\n")
    assert got == [100 + n / 100 for n in range(200)]


def test_without_a_gateway_it_says_so(tmp_path: Path) -> None:
    Recorder(tmp_path / "in.jsonl.gz").close()
    port = free_port()

    ran = openalgo_ws(tmp_path, "replay", "in.jsonl.gz", "--wait", "0.1", ZMQ_PORT=str(port))

    assert ran.returncode == 1
    assert f"no gateway takes ticks at tcp://127.0.0.1:{port}" in ran.stderr
