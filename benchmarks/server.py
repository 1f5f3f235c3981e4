"""The server under test: ``twistd openalgo-ws`` in a process of its own, on a core of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PEPPER = "only for measuring, thirty-two characters"

#: Seconds that the server has to end.
PATIENCE = 10.0
#: Seconds that it has to start, on a machine that may have a lot else to do.
START = 60.0
#: Of the log of a server that doesn't.
LAST_LINES = 50


@cache
def cores() -> tuple[int, int]:
    """The server's core and the load generator's; the same where there is one only. To be asked for the
    first time before this process confines itself to one of them."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A fresh database with one user, and the server on it, until the context ends.

    It runs on one core, or with None on any, its worker processes included.
    ``feed``: a simulated broker's URL, instruments and credentials; without one, ticks come from the bus.
    """

    def __init__(
        self,
        core: int | None,
        settings: Mapping[str, str],
        feed: tuple[str, Sequence[Any], Any] | None = None,
    ) -> None:
        self._core = core
        self._feed = feed
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory()
        self.bus = free_port()
        self._settings = {
            "API_KEY_PEPPER": PEPPER,
            "DATABASE_URL": f"sqlite:///{self._folder.name}/bench.db",
            "LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
            "STATUS_PORT": "0",
            "WEBSOCKET_PORT": "0",
            # The receiving side answers no pings.
            "WS_PING_INTERVAL": "3600",
            "WS_PING_TIMEOUT": "3600",
            "WS_FEEDS": "external" if feed is None else "own",
            "ZMQ_PORT": str(self.bus),
            **settings,
        }
        if feed is not None:
            self._settings["ZERODHA_FEED_URL"] = feed[0]

    def __enter__(self) -> Self:
        try:
            self.key = self._prepare()
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def _prepare(self) -> str:
        from openalgo_ws.accounts.crypto import Vault
        from openalgo_ws.accounts.database import Database
        from openalgo_ws.accounts.store import add_user, login
        from openalgo_ws.registry import Registry
        from openalgo_ws.symbols.store import replace

        database = Database(self._settings["DATABASE_URL"])
        database.prepare()
        vault = Vault(PEPPER)
        key = database.call(lambda c: add_user(c, vault, "bench", "zerodha"))
        if self._feed is not None:
            _, rows, credentials = self._feed
            columns = Registry().load("zerodha").row_for(credentials)
            database.call(lambda c: login(c, vault, "bench", "zerodha", columns))
            database.call(lambda c: replace(c, "zerodha", rows))
        database.stop()
        return str(key)

    def _command(self) -> list[str]:
        return [str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile=", "openalgo-ws"]

    def _start(self) -> None:
        # The child inherits the core, so that whatever counts cores counts one.
        before = os.sched_getaffinity(0)
        if self._core is not None:
            os.sched_setaffinity(0, {self._core})
        try:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._folder.name,
                env={**os.environ, **self._settings},
                stdout=subprocess.PIPE,
                text=True,
            )
        finally:
            os.sched_setaffinity(0, before)
        assert self._process.stdout is not None
        log: deque[str] = deque(maxlen=LAST_LINES)
        # Ending it ends its log, too.
        limit = threading.Timer(START, self._process.kill)
        limit.start()
        try:
            for line in self._process.stdout:
                log.append(line)
                if "listening on" in line:
                    self.port = int(line.rpartition("port=")[2].split(")")[0])
                    break
            else:
                raise RuntimeError("the server did not start:\n" + "".join(log))
        finally:
            limit.cancel()
        # Nobody reads its log, and a full pipe would stop it.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()

    def processes(self) -> list[int]:
        """The server's own process, then its workers', as they were started."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *sorted(map(int, children))]

    def cpu(self) -> float:
        """CPU seconds so far, of all threads of all processes."""
        return sum(map(cpu_of, self.processes()))

    def waited(self) -> float:
        """Seconds so far that the main threads of its processes could have run, but had no core."""
        texts = [Path(f"/proc/{pid}/schedstat").read_text() for pid in self.processes()]
        return sum(int(text.split()[1]) for text in texts) / 1e9

    def forget_peak(self) -> None:
        """Begin anew to look for the most memory it has: a start takes more than it needs afterwards."""
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def memory(self) -> tuple[float, float]:
        """Resident memory of all its processes now, and the most each of them had, in MB. What they share
        is counted for each."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.processes()]

        def total(name: str) -> float:
            return sum(int(text.partition(name)[2].split()[0]) for text in texts) / 1024

        return total("VmRSS:"), total("VmHWM:")


class PlainServer(Server):
    """`plain.py` in the server's place: it takes any key, and ticks from the bus only."""

    def _prepare(self) -> str:
        return "any"

    def _command(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("plain.py")), str(self.bus)]
