"""The unit: systemd understands it, it keeps little open, and the server needs nothing that it forbids."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from openalgo_ws.options import Options
from tests.deploy.conftest import first_tick
from tests.support.process import TIMEOUT

#: Of ten; systemd calls what is below 2 “OK” and what is above 5 “medium”.
MOST_EXPOSED = 1.5


@pytest.fixture
def unit(deploy: Path) -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(deploy / "openalgo-ws.service")
    return parser


@pytest.fixture
def installed(deploy: Path, tmp_path: Path) -> Path:
    """The unit as it would be on a machine that has the program."""
    text, count = re.subn(
        r"/opt/openalgo-ws/bin/twistd", "/bin/true", (deploy / "openalgo-ws.service").read_text()
    )
    assert count == 1
    file = tmp_path / "openalgo-ws.service"
    file.write_text(text)
    return file


def test_systemd_finds_nothing_wrong(tool: Any, passes: Any, installed: Path) -> None:
    said = passes(tool("systemd-analyze"), "verify", "--man=no", installed)

    # It says what it does not understand, and goes on.
    assert installed.name not in said


def test_a_wrong_line_would_be_found(tool: Any, installed: Path) -> None:
    installed.write_text(installed.read_text().replace("WatchdogSec=15", "WatchdogSec=often"))

    ran = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", installed],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "often" in ran.stderr


def test_little_of_the_machine_is_open_to_it(tool: Any, passes: Any, installed: Path) -> None:
    most = str(round(MOST_EXPOSED * 10))

    said = passes(
        tool("systemd-analyze"), "security", "--offline=true", f"--threshold={most}", "--no-pager", installed
    )

    assert "Overall exposure level" in said


def test_the_command_has_options_that_there_are(unit: RawConfigParser) -> None:
    words = unit["Service"]["ExecStart"].split()
    before, after = words[: words.index("openalgo-ws")], words[words.index("openalgo-ws") + 1 :]

    assert before == ["/opt/openalgo-ws/bin/twistd", "-n", "--pidfile=", "--logfile=-"]
    assert after == ["--config", "/etc/openalgo-ws.env"]
    assert "config" in Options({}).synonyms


def test_the_server_has_time_to_say_goodbye(unit: RawConfigParser) -> None:
    service = unit["Service"]

    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    # Five seconds are what a server may take (tests/server).
    assert int(service["TimeoutStopSec"]) > 5
    assert int(service["WatchdogSec"]) >= 10


def _allowed(analyze: str) -> set[str]:
    """The system calls that the unit's filter lets through."""
    listed = subprocess.run(
        [analyze, "syscall-filter", "--no-pager"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    sets: dict[str, set[str]] = {}
    for line in listed.splitlines():
        word = line.strip()
        if line.startswith("@"):
            current = sets.setdefault(word, set())
        elif word and not word.startswith("#") and line.startswith(" "):
            current.add(word)

    def resolve(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        return set().union(*(resolve(one) for one in sets[name]))

    allowed: set[str] = set()
    for line in (Path(__file__).parents[2] / "deploy/openalgo-ws.service").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "SystemCallFilter":
            named = set().union(*(resolve(one) for one in value.removeprefix("~").split()))
            allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [(), ("--workers", "2"), ("--bus", "shm")],
    ids=["one process", "workers", "shared memory"],
)
def test_the_server_makes_no_call_that_the_filter_forbids(
    tool: Any, process: Any, tmp_path: Path, options: tuple[str, ...]
) -> None:
    allowed, strace = _allowed(tool("systemd-analyze")), tool("strace")
    # The tracer may end after the server; a pipe tells when it has.
    trace, lines = tmp_path / "trace", list[str]()
    os.mkfifo(trace)

    def read() -> None:
        with trace.open() as pipe:
            lines.extend(pipe)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    server = process("--demo", *options)
    # The tracer is beside the server, not its parent: signals reach the server itself.
    server.command = [
        strace,
        "-D",
        "-f",
        "-qq",
        "-e",
        "signal=none",
        "-o",
        str(trace),
        *server.command,
    ]
    server.start()
    with connect(server.url) as client:
        assert first_tick(client)["symbol"] == "RELIANCE"
    assert server.stop() == 0

    reader.join(TIMEOUT)
    assert not reader.is_alive()
    made = {found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line))}

    assert {"accept4", "sendto"} <= made
    # SQLite gives a file to its folder's owner, when it is run by root, which the service is not.
    assert made - allowed - {"fchown"} == set()
