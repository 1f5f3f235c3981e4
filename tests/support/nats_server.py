"""A real nats-server, on a port of its own, that can be killed and started again."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

__all__ = ["NATS_SERVER", "NatsServer"]

NATS_SERVER = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

#: It starts in hundredths of a second; this only ends a wait that would not end (seconds).
_PATIENCE = 20.0


class NatsServer:
    """Listens on loopback. `kill` and `start` keep port and JetStream's files (in ``folder``)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = -1
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again on the same port; returns when it listens."""
        assert NATS_SERVER is not None
        command = [NATS_SERVER, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        descriptor = self._process.stderr.fileno()
        until = time.monotonic() + _PATIENCE
        log = b""
        while b"Server is ready" not in log:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            read = os.read(descriptor, 4096) if ready else b""
            if not read:
                self.kill()
                raise AssertionError(f"nats-server did not start:\n{log.decode()}")
            log += read
        if self.port < 0:
            found = re.search(r"client connections on 127\.0\.0\.1:(\d+)", log.decode())
            assert found is not None, log
            self.port = int(found[1])

    def kill(self) -> None:
        """End it at once, as a machine that loses its power does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE)
            if self._process.stderr is not None:
                self._process.stderr.close()
            self._process = None
