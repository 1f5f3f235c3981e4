"""The snapshot that OpenAlgo's health page reads, as its own proxy leaves it: a small JSON file.

Source: the platform's issue 1301 (written every 10 seconds, whole or not at all, and not believed once
it is 60 seconds old; it tells of active connections to brokers, distinct symbols, clients and brokers).
The names of the members are not part of that, so they are ours (docs/openalgo.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.feeds.life import ConnectionState
from openalgo_ws.feeds.report import AccountReport
from openalgo_ws.gateway.session import Session
from openalgo_ws.log import RateLimitedLog

__all__ = ["INTERVAL", "Elsewhere", "ProxyStats", "proxy_stats"]

#: Seconds between two snapshots.
INTERVAL = 10.0


class Elsewhere(msgspec.Struct, frozen=True):
    """What worker processes serve; a symbol is an exchange and a name."""

    clients: int = 0
    symbols: set[tuple[str, str]] = set()
    brokers: set[str] = set()


def proxy_stats(
    clients: list[Session], accounts: list[AccountReport], now: float, workers: Elsewhere | None = None
) -> dict[str, Any]:
    """The snapshot at ``now`` (epoch seconds), with what ``workers`` serve."""
    elsewhere = workers or Elsewhere()
    connections = [one for account in accounts for pool in account.pools for one in pool.connections]
    symbols = {(held.hold.exchange, held.hold.symbol) for client in clients for held in client.holdings}
    symbols |= elsewhere.symbols
    brokers = {account.broker for account in accounts} | {one.broker for one in clients if one.broker}
    brokers |= elsewhere.brokers
    return {
        "timestamp": now,
        "active_connections": sum(one.state == ConnectionState.LIVE.value for one in connections),
        "total_symbols": len(symbols),
        "connected_clients": len(clients) + elsewhere.clients,
        "brokers": sorted(brokers),
    }


class ProxyStats(Service):
    """Writes what ``read`` gives to a file, now and every `INTERVAL` seconds."""

    log = Logger()
    name = "proxy stats"

    def __init__(self, reactor: Any, file: Path, read: Callable[[], dict[str, Any]]) -> None:
        self._reactor = reactor
        self._file = file
        self._read = read
        self._warn = RateLimitedLog(self.log, reactor, interval=3600.0)
        self._writing: Deferred[None] | None = None
        self._loop = LoopingCall(self._write)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]
        self._loop.start(INTERVAL)

    def stopService(self) -> Deferred[None] | None:
        """End; fires when nothing is written any more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()
        return self._writing

    def _write(self) -> Deferred[None]:
        text = msgspec.json.encode(self._read())
        pool = self._reactor.getThreadPool()
        self._writing = deferToThreadPool(self._reactor, pool, _replace, self._file, text)
        return self._writing.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        failure.trap(OSError)
        error = failure.value
        assert isinstance(error, OSError)
        self._warn.warn("can't write {file}: {error}", file=str(self._file), error=error.strerror)


def _replace(file: Path, text: bytes) -> None:
    beside = file.with_name(file.name + ".new")
    beside.write_bytes(text)
    os.replace(beside, file)
