"""The server as a user starts it: twistd in a process of its own, on free ports of loopback."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from queue import Empty, Queue

PEPPER = "only for tests, more than thirty-two characters"
#: Bounds every wait (seconds): a start of a process on a busy machine is the longest.
TIMEOUT = 60.0


class Ports:
    """Ports of loopback at which nobody listens, and that nobody else is given by chance for a while.

    Between the choice of a port and the start of the process that it is for lie seconds, in which other tests
    open hundreds of ports. So each is held by a socket that is bound and does not listen: connections are
    refused, nobody who asks for any port gets it, and who asks for this one and allows that others had it
    before (SO_REUSEADDR), as servers do, may listen there.
    """

    #: As many are held; the first is let go when there is one more.
    MOST = 128

    def __init__(self) -> None:
        self._held: deque[socket.socket] = deque()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def take(self) -> int:
        """One more."""
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        self._held.append(holder)
        if len(self._held) > self.MOST:
            self._held.popleft().close()
        port: int = holder.getsockname()[1]
        return port

    def release(self) -> None:
        """Let go of all."""
        while self._held:
            self._held.popleft().close()


_ports = Ports()
atexit.register(_ports.release)
#: A port for a process that is about to be started.
free_port = _ports.take


class ServerProcess:
    """``twistd -n openalgo-ws`` with options and environment; ended by `stop` or `kill`."""

    def __init__(self, folder: Path, *options: str, **environ: str) -> None:
        self.port = free_port()
        self.zmq_port = free_port()
        self.folder = folder
        #: What is run; another program may be put before it, or another twistd in its place.
        self.command = [str(Path(sys.executable).parent / "twistd")]
        self._options = options
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("WS_", "ZMQ_", "BROKER_"))},
            "API_KEY_PEPPER": PEPPER,
            "DATABASE_URL": f"sqlite:///{folder}/server.db",
            "LOG_LEVEL": "INFO",
            "STATUS_PORT": "0",
            "WEBSOCKET_PORT": str(self.port),
            "ZMQ_PORT": str(self.zmq_port),
            "PYTHONUNBUFFERED": "1",
            **environ,
        }
        self.lines: list[str] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def start(self) -> ServerProcess:
        """Start, and wait until it listens."""
        self.spawn()
        self.wait_for("listening on")
        return self

    def spawn(self) -> None:
        """Start, and wait for nothing."""
        self._arriving: Queue[str] = Queue()
        self._process = subprocess.Popen(
            [*self.command, "-n", "--pidfile=", "openalgo-ws", *self._options],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(self._process, self._arriving), daemon=True).start()

    @staticmethod
    def _read(process: subprocess.Popen[str], arriving: Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            arriving.put(line.rstrip("\n"))
        process.stdout.close()

    def wait_for(self, pattern: str) -> str:
        """The first line, from now on, in which the pattern is found."""
        while True:
            try:
                line = self._arriving.get(timeout=TIMEOUT)
            except Empty:
                raise AssertionError(f"no line with {pattern!r}; there were: {self.lines}") from None
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def output(self) -> str:
        """Everything printed until now."""
        while not self._arriving.empty():
            self.lines.append(self._arriving.get())
        return "\n".join(self.lines)

    def end(self) -> int:
        """Wait for the process to end by itself; its exit code."""
        return self._process.wait(TIMEOUT)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.end()

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(TIMEOUT)
