"""The gateway in a process of its own, which ends when its parent does: ``python -m`` this module.

Its standard input is a pipe that the parent holds open. Whichever way the parent ends, the pipe ends
with it, and that stops the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from logging import Logger
from threading import Thread
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from openalgo_ws.integrations.proxy import GatewayFailed

__all__ = ["ChildGateway"]

#: The server is down within five seconds of SIGTERM; the rest is for a busy machine.
_PATIENCE = 15.0


class ChildGateway:
    """``twistd openalgo-ws`` with these options and this environment, as a child process.

    What it logs goes where this process's standard output goes. It inherits the descriptors ``keep``:
    a lock among them is held until the child is gone too.
    """

    def __init__(
        self, options: Sequence[str], environ: Mapping[str, str], log: Logger, keep: Sequence[int] = ()
    ) -> None:
        self._command = [sys.executable, "-m", __name__, *options]
        self._environ = dict(environ)
        self._log = log
        self._keep = tuple(keep)
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def start(self) -> None:
        try:
            self._child = subprocess.Popen(
                self._command, env=self._environ, stdin=subprocess.PIPE, pass_fds=self._keep
            )
        except OSError as error:
            raise GatewayFailed(f"{sys.executable} can't be run: {error.strerror}") from None
        Thread(target=self._watch, args=(self._child,), name="openalgo-ws-child", daemon=True).start()

    def stop(self) -> None:
        child = self._child
        if child is None:
            return
        self._stopping = True
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        assert child.stdin is not None
        child.stdin.close()

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        code = child.wait()
        if not self._stopping:
            self._log.error("openalgo-ws: the gateway ended by itself (exit code %d)", code)


@implementer(IReadDescriptor)
class _Parent:
    """The end of the pipe that the parent holds the other end of."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def fileno(self) -> int:
        return 0

    def logPrefix(self) -> str:
        return "parent"

    def doRead(self) -> None:
        # Nothing is ever written into the pipe. What a reactor makes of its end is its own affair: epoll
        # loses the connection, others have it read.
        if not os.read(0, 1024):
            self._reactor.removeReader(self)
            self._stop()

    def connectionLost(self, reason: Failure) -> None:
        self._stop()

    def _stop(self) -> None:
        with suppress(ReactorNotRunning):
            self._reactor.stop()


def _main() -> None:
    from twisted.internet import reactor
    from twisted.scripts.twistd import run

    running: Any = reactor
    running.callWhenRunning(lambda: running.addReader(_Parent(running)))
    sys.argv = ["twistd", "-n", "--pidfile=", "openalgo-ws", *sys.argv[1:]]
    run()


if __name__ == "__main__":
    _main()
