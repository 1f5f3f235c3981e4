"""The gateway as a part of another program: started once, stopped with the program."""

from __future__ import annotations

import atexit
import os
from enum import Enum
from logging import Logger
from threading import Lock, Thread
from typing import Protocol

from openalgo_ws.integrations.turn import Turn

__all__ = ["Gateway", "GatewayFailed", "State", "WebSocketProxy"]


class GatewayFailed(Exception):
    """The gateway could not be started; the message says why and holds no secret."""


class Gateway(Protocol):
    """A way to run the gateway. Both methods block, and `stop` is harmless when nothing runs."""

    def start(self) -> None:
        """Start it. Raises `GatewayFailed`."""

    def stop(self) -> None:
        """Stop it, and return when it is down."""


class State(Enum):
    """What this process has to do with the gateway."""

    RUNNING = "running"
    STANDBY = "standby"
    NOT_HERE = "not here"
    STOPPED = "stopped"


class WebSocketProxy:
    """The gateway of a program that may consist of several processes.

    The first process that begins runs it. The others say so and stand by: when the first one ends,
    one of them takes over. It stops with the process that runs it.
    """

    def __init__(self, gateway: Gateway, turn: Turn, log: Logger) -> None:
        self._gateway = gateway
        self._turn = turn
        self._log = log
        self._lock = Lock()
        self._process = os.getpid()
        self._state = State.NOT_HERE

    @property
    def state(self) -> State:
        """What this process has to do with the gateway now."""
        # A process that was forked off inherits the object, and not the gateway.
        return self._state if os.getpid() == self._process else State.NOT_HERE

    def begin(self) -> None:
        """Run the gateway if nobody does, else stand by. Raises `GatewayFailed`."""
        atexit.register(self.stop)
        with self._lock:
            if self._turn.take():
                self._run()
                return
            self._state = State.STANDBY
        self._log.warning(
            "openalgo-ws: process %s runs the gateway already; process %d stands by",
            self._turn.holder() or "of another worker",
            self._process,
        )
        Thread(target=self._take_over, name="openalgo-ws-standby", daemon=True).start()

    def stop(self) -> None:
        """Stop the gateway if it runs here, and don't take over any more."""
        if os.getpid() != self._process:
            return
        with self._lock:
            before, self._state = self._state, State.STOPPED
            if before is State.RUNNING:
                self._gateway.stop()
                self._turn.give_back()

    def _take_over(self) -> None:
        self._turn.wait()
        with self._lock:
            if self._state is State.STOPPED:
                self._turn.give_back()
                return
            self._log.warning("openalgo-ws: process %d takes the gateway over", self._process)
            try:
                self._run()
            except GatewayFailed as error:
                self._log.error("openalgo-ws: %s", error)

    def _run(self) -> None:
        try:
            self._gateway.start()
        except GatewayFailed:
            self._state = State.STOPPED
            self._turn.give_back()
            raise
        self._state = State.RUNNING
