"""The snapshot for the platform's health page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.logger import LogEvent, globalLogPublisher

from openalgo_ws.bus.demand import FeedState
from openalgo_ws.feeds.report import AccountReport, ConnectionReport, PoolReport
from openalgo_ws.ops.proxy_stats import ProxyStats, proxy_stats
from tests.gateway.conftest import dial, serve, server

__all__ = ["dial", "serve", "server"]


def connection(state: str) -> ConnectionReport:
    return ConnectionReport(
        number=1,
        state=state,
        message="",
        instruments=2,
        asked=2,
        load=2,
        ticks=0,
        tick_age=None,
        login_age=None,
    )


@pytest_twisted.ensureDeferred
async def test_what_it_tells(server: Any, dial: Any) -> None:
    for modes in ((1, 2), (1,)):
        client = await dial(server, "alice-key")
        for mode in modes:
            await client.ask(action="subscribe", symbols=["NSE:SBIN", "BSE:SBIN"], mode=mode)
    await dial(server)
    connections = [connection(state) for state in ("live", "live", "dialling")]
    pool = PoolReport(feed="ticker", load=4, capacity=9000, limit=3, connections=connections)
    account = AccountReport(
        account="alice", broker="zerodha", state=FeedState.CONNECTED, message="", pools=[pool]
    )
    assert proxy_stats(server.gateway.clients(), [account], 1_700_000_000.0) == {
        "timestamp": 1_700_000_000.0,
        "active_connections": 2,
        "total_symbols": 2,
        "connected_clients": 3,
        "brokers": ["zerodha"],
    }


@pytest_twisted.ensureDeferred
async def test_it_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "ws_proxy_stats.json"
    file.write_text("older")
    service = ProxyStats(reactor, file, lambda: {"timestamp": 1.0})
    service.startService()
    await service.stopService()
    assert json.loads(file.read_text()) == {"timestamp": 1.0}
    assert os.listdir(tmp_path) == [file.name]


@pytest.mark.parametrize("gone", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_folder_that_is_gone_is_said_and_ends_nothing(tmp_path: Path, gone: bool) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    service = ProxyStats(reactor, folder / "stats.json", dict)
    if gone:
        folder.rmdir()
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        service.startService()
        await service.stopService()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert gone == any("can't write" in str(event.get("log_format")) for event in events)
