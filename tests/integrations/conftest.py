"""Flask applications in processes of their own, with a gateway on free ports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.support.process import PEPPER, TIMEOUT, free_port

FOLDER = Path(__file__).parent


class FlaskProcess:
    """A program that serves tests/integrations/app.py, and everything it prints."""

    def __init__(self, folder: Path, *command: str, **environ: str) -> None:
        self.port, self.gateway_port = free_port(), free_port()
        self.lines: list[str] = []
        self._arriving: Queue[str | None] = Queue()
        self._process = subprocess.Popen(
            [sys.executable, *(word.format(port=self.port) for word in command)],
            cwd=folder,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(("WS_", "ZMQ_", "FLASK_"))},
                "API_KEY_PEPPER": PEPPER,
                "DATABASE_URL": f"sqlite:///{folder}/server.db",
                "LOG_LEVEL": "INFO",
                "STATUS_PORT": "0",
                "WEBSOCKET_PORT": str(self.gateway_port),
                "ZMQ_PORT": str(free_port()),
                "TMPDIR": str(folder),
                "HOME": str(folder),
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": str(FOLDER),
                "APP_PORT": str(self.port),
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._arriving.put(line.rstrip("\n"))
        self._process.stdout.close()
        self._arriving.put(None)

    def wait_for(self, *patterns: str) -> None:
        """Read on until each of the patterns has been found, in any order."""
        missing = list(patterns)
        while missing:
            line = self._next()
            assert line is not None, f"it ended without {missing}; there were: {self.lines}"
            missing = [pattern for pattern in missing if not re.search(pattern, line)]

    def _next(self) -> str | None:
        try:
            line = self._arriving.get(timeout=TIMEOUT)
        except Empty:
            raise AssertionError(f"nothing more came; there were: {self.lines}") from None
        if line is not None:
            self.lines.append(line)
        return line

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the program, and wait until nobody holds its output any more: its children are gone too."""
        self._process.send_signal(number)
        until = time.monotonic() + TIMEOUT
        while self._next() is not None:
            assert time.monotonic() < until, f"it goes on; there were: {self.lines}"
        self._process.wait(TIMEOUT)

    def kill(self) -> None:
        """SIGKILL, if it still runs; a gateway ends with it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(TIMEOUT)

    def counted(self, pattern: str) -> int:
        """Lines until now in which the pattern is found."""
        return sum(re.search(pattern, line) is not None for line in self.lines)

    def get(self, path: str, opener: urllib.request.OpenerDirector | None = None) -> Any:
        """The answer to a request, as JSON."""
        url = f"http://127.0.0.1:{self.port}{path}"
        with (opener or urllib.request.build_opener()).open(url, timeout=TIMEOUT) as answer:
            return json.load(answer)

    def authenticate(self, key: str) -> Any:
        """What the gateway says to a client with this key."""
        with connect(f"ws://127.0.0.1:{self.gateway_port}", open_timeout=TIMEOUT) as socket:
            socket.send(json.dumps({"action": "authenticate", "api_key": key}))
            return json.loads(socket.recv(TIMEOUT))

    def gateway_is_up(self) -> bool:
        """Whether somebody listens where the gateway would."""
        try:
            with connect(f"ws://127.0.0.1:{self.gateway_port}", open_timeout=TIMEOUT):
                return True
        except (OSError, WebSocketException):
            return False


Run = Callable[..., FlaskProcess]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run an application; it is killed at the end if it still runs."""
    made: list[FlaskProcess] = []

    def start(*command: str, **environ: str) -> FlaskProcess:
        made.append(FlaskProcess(tmp_path, *command, **environ))
        return made[-1]

    yield start
    for program in made:
        program.kill()
