"""``openalgo-ws simulate`` in its own process."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

from openalgo_ws.cli import main
from tests.support.certificates import Authority

COMMAND = [sys.executable, "-c", "from openalgo_ws.cli import main; main()", "simulate", "zerodha"]


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


@pytest.mark.slow
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path):
    master = tmp_path / "master.json"
    process = start("--instruments", "20", "--seed", "1", "--master", str(master), "--fault", "no-pong")
    try:
        assert process.stdout is not None
        url = re.fullmatch(r"export ZERODHA_FEED_URL=(ws://127\.0\.0\.1:\d+)\n", process.stdout.readline())
        assert url is not None
        assert "20 instruments" in process.stdout.readline()
        login = dict(re.findall(r"--set (\w+)=(\S+)", process.stdout.readline()))
        assert set(login) == {"api_key", "access_token"}
        assert process.stdout.readline() == "# fault: no-pong\n"

        rows = json.loads(master.read_text("utf-8"))
        assert len(rows) == 20
        assert rows[0]["symbol"] == "RELIANCE"
        query = "&".join(f"{name}={value}" for name, value in login.items())
        with connect(f"{url[1]}/?{query}", compression=None, open_timeout=10) as client:
            client.send(json.dumps({"a": "subscribe", "v": [int(rows[0]["token"])]}))
            frame = client.recv(timeout=10)
            assert isinstance(frame, bytes)
            assert int.from_bytes(frame[4:8], "big") == 738561
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output, errors) == (0, "", "")


@pytest.mark.slow
def test_it_ends_after_its_duration(tmp_path: Path):
    certificate, key = Authority().valid().write(tmp_path)
    master = tmp_path / "master.csv"
    process = start(
        *("--instruments", "5", "--duration", "0.1", "--master", str(master)),
        *("--certificate", str(certificate), "--key", str(key)),
    )
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("export ZERODHA_FEED_URL=wss://127.0.0.1:")
    with master.open(encoding="utf-8", newline="") as file:
        assert [row["symbol"] for row in csv.DictReader(file)] == ["RELIANCE", "SBIN", "INFY", "TCS", "NIFTY"]


@pytest.mark.slow
def test_a_port_in_use_is_one_line():
    first = start("--instruments", "1")
    try:
        assert first.stdout is not None
        port = first.stdout.readline().strip().rpartition(":")[2]
        second = start("--instruments", "1", "--port", port)
        output, errors = second.communicate(timeout=20)
    finally:
        first.kill()
        first.communicate()
    assert (second.returncode, output) == (1, "")
    assert re.fullmatch(r"Error: .*Couldn't listen on 127\.0\.0\.1:\d+.*\n", errors)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path):
    certificate, _ = Authority().valid().write(tmp_path, "one")
    _, key = Authority().valid().write(tmp_path, "two")
    arguments = ["simulate", "zerodha", "--certificate", str(certificate), "--key", str(key)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "are no certificate with its key" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "there is no adapter 'nobody'"),
        (["zerodha", "--fault", "gremlins"], "no such fault: 'gremlins'"),
        (["zerodha", "--fault", "refuse=abc"], "refuse takes an HTTP status"),
        (["zerodha", "--instruments", "0"], "0 is not in the range"),
        (["zerodha", "--certificate", __file__], "--certificate and --key go together"),
        (["zerodha", "--certificate", __file__, "--key", __file__], "are no certificate with its key"),
    ],
)
def test_mistakes_are_told_in_plain_words(arguments: list[str], said: str):
    result = CliRunner().invoke(main, ["simulate", *arguments])
    assert result.exit_code != 0
    assert said in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
