"""``examples/production``, small: what it prints, what its status port says, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer
from urllib.request import urlopen

import pytest

from openalgo_ws.config import load
from tests.scale.clients import until
from tests.support.process import PEPPER, TIMEOUT, free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "production"
SIZES = {"instruments": 500, "busy": 50, "symbols": 20, "clients": 5, "seconds": 2}
SMALL = [*(f"--{name}={size}" for name, size in SIZES.items()), "--rates=200,400"]

#: Seconds after which a run is killed, so that a test ends whatever happens.
PATIENCE = 120.0

Run = Callable[..., "Example"]


class Example:
    """The example, in a session of its own: every process that it starts is known by it."""

    def __init__(self, folder: Path, *options: str, **environ: str) -> None:
        self.status_port = free_port()
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), *SMALL, *options],
            cwd=folder,
            env={
                **os.environ,
                "STATUS_PORT": str(self.status_port),
                "WEBSOCKET_PORT": "0",
                "TMPDIR": str(folder),
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._timer = Timer(PATIENCE, self.kill)
        self._timer.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """What a line of what it prints says; lines before it are read."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no line with {pattern!r}; there were: {self.lines}")

    def end(self) -> int:
        """Read to the end; the exit code."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout
        return self.process.wait(PATIENCE)

    def members(self) -> list[int]:
        """Its processes that live."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit():
                    state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                    if int(session) == self.process.pid and state != "Z":
                        found.append(int(entry.name))
        return found

    def kill(self) -> None:
        for pid in self.members():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self._timer.cancel()
        self.kill()
        self.process.wait(TIMEOUT)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def private() -> Iterator[Path]:
    """Where its temporary files are. Not in pytest's folder: its paths may be too long for sockets."""
    with tempfile.TemporaryDirectory(prefix="ow-") as folder:
        yield Path(folder)


@pytest.fixture
def example(private: Path) -> Iterator[Run]:
    """Start it. Its temporary files are in ``private``."""
    made: list[Example] = []

    def start(*options: str, **environ: str) -> Example:
        made.append(Example(private, *options, **environ))
        return made[-1]

    yield start
    for one in made:
        one.close()


def number(text: str) -> float:
    return float(text.replace(",", ""))


def rows_of(lines: list[str]) -> list[dict[str, float]]:
    """The table of rates."""
    title = next(index for index, line in enumerate(lines) if "deliveries/s" in line and "p99 ms" in line)
    names = re.split(r"\s{2,}", lines[title].strip())
    return [dict(zip(names, map(number, line.split()), strict=True)) for line in lines[title + 1 : title + 3]]


def test_it_runs_shows_everything_live_and_leaves_nothing(example: Run, private: Path) -> None:
    one = example("--stay")
    one.wait_for("it goes on with 200 ticks/s until Ctrl-C")
    with urlopen(f"http://127.0.0.1:{one.status_port}/api/status", timeout=TIMEOUT) as answer:
        status = json.load(answer)
    connections = [c for a in status["accounts"] for pool in a["pools"] for c in pool["connections"]]
    assert {connection["state"] for connection in connections} == {"live"}
    assert sum(connection["asked"] for connection in connections) == 500
    assert status["clients"] == 5
    assert len(status["workers"]) == 2
    # Itself, the broker, the feeds' process and two workers; multiprocessing has one more.
    assert len(one.members()) >= 5

    # As a terminal does at Ctrl-C: everybody gets it.
    os.killpg(one.process.pid, signal.SIGINT)
    assert one.end() == 0, one.lines
    until(lambda: not one.members())
    assert list(private.iterdir()) == []

    printed = "".join(one.lines)
    low, high = rows_of(one.lines)
    assert (low["offered"], high["offered"]) == (200, 400)
    for row in (low, high):
        assert min(row["ticks/s"], row["deliveries/s"]) > 0
        assert row["p99 ms"] >= row["p50 ms"]
    assert re.search(r"^carried with p99 below 10 ms: ", printed, re.MULTILINE)
    assert number(re.search(r"^memory of the server: ([\d,]+) MB", printed, re.MULTILINE)[1]) > 0
    assert "live: 500 of 500 instruments" in printed
    assert "last values missing: 0" in printed


def test_it_ends_by_itself(example: Run, private: Path) -> None:
    one = example(WS_WORKERS="1")
    assert one.end() == 0, one.lines
    assert "processes: 1" in "".join(one.lines)
    until(lambda: not one.members())
    assert list(private.iterdir()) == []


def test_sigterm_ends_what_has_been_started(example: Run, private: Path) -> None:
    one = example("--seconds=100")
    one.wait_for("^server: ")
    one.process.send_signal(signal.SIGTERM)
    assert one.end() == 130, one.lines
    until(lambda: not one.members())
    assert list(private.iterdir()) == []


def test_its_configuration_is_one(tmp_path: Path) -> None:
    # With the database where a test may look for it, and the secrets that a person fills in.
    given = {"API_KEY_PEPPER": PEPPER, "DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}
    loaded = load({}, given, EXAMPLE / "openalgo-ws.env")
    settings = loaded.settings
    assert (settings.workers, settings.status_port, settings.websocket_port) == (2, 8766, 8765)
    assert {rule.name for rule in settings.alerts} >= {"tick_age_s", "feed_down_s", "latency_p99_ms"}
    known = {name for name, source in loaded.sources.items() if source.endswith("openalgo-ws.env")}
    written = re.findall(r"^([A-Z_]+)=.+", (EXAMPLE / "openalgo-ws.env").read_text(), re.MULTILINE)
    assert len(known) == len(written)
