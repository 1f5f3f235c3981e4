"""The client's reading of the binary format."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openalgo_ws.client import Batch, ClientCore, Malformed, MarketData, Named
from openalgo_ws.config import Secret
from openalgo_ws.encoding.binary import BinaryMarketData, BinaryMarketDataBatch
from openalgo_ws.tick import Mode

AUTH = {"type": "auth", "status": "success", "broker": "zerodha", "user_id": "alice"}
HELD = {
    "symbol": "SBIN",
    "exchange": "NSE",
    "status": "success",
    "mode": "LTP",
    "depth": 5,
    "broker": "zerodha",
}
SUBSCRIBED = {"type": "subscribe", "subscriptions": [{**HELD, "id": 7, "price_scale": 2, "qty_scale": 0}]}


def frame(id: int = 7, mode: int = 1, flags: int = 0) -> bytes:
    return BinaryMarketDataBatch.pack([BinaryMarketData(id, mode, 2, 0, flags, 1_000, 84235).pack()])


@pytest.fixture
def make(secret: Callable[[str], str]) -> Callable[..., ClientCore]:
    def connected(**options: Any) -> ClientCore:
        core = ClientCore(Secret(secret("key-of-the-binary-client")), **options)
        core.opened()
        core.received(json.dumps(AUTH))
        core.received(json.dumps(SUBSCRIBED))
        return core

    return connected


def test_it_asks_for_the_format(make) -> None:
    asked = [json.loads(make(binary=binary).to_send()[0]) for binary in (True, False)]
    assert [each.get("format") for each in asked] == ["binary", None]


def test_the_events_are_those_of_json(make) -> None:
    core = make(binary=True)
    data = {"ltp": 842.35, "timestamp": 1}
    assert core.received_binary(frame()) == [MarketData("SBIN", "NSE", Mode.LTP, "zerodha", data, False)]
    assert core.received_binary(frame(flags=1)) == [
        MarketData("SBIN", "NSE", Mode.LTP, "zerodha", data, True)
    ]


def test_a_batch_as_it_came(make) -> None:
    core = make(batches=True)
    (event,) = core.received_binary(frame())
    assert isinstance(event, Batch)
    (row,) = event.records.array()
    assert (core.names[int(row["id"])], int(row["ltp"])) == (Named("SBIN", "NSE", "zerodha"), 84235)


def test_ids_are_those_of_the_connection(make) -> None:
    core = make(binary=True)
    core.closed()
    core.opened()
    assert [type(event) for event in core.received_binary(frame())] == [Malformed]


def test_an_id_or_mode_that_is_not_known(make) -> None:
    core = make(binary=True)
    for odd in (frame(id=8), frame(mode=0), frame(mode=4), b"", b"OA"):
        assert [type(event) for event in core.received_binary(odd)] == [Malformed]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([64, 128, 160]).flatmap(lambda size: st.binary(min_size=size - 5, max_size=size - 5)))
def test_no_record_raises(make, rest: bytes) -> None:
    core = make(binary=True)
    record = b"\x07\x00\x00\x00" + b"\x03" + rest
    assert [type(event) for event in core.received_binary(BinaryMarketDataBatch.pack([record]))] == [
        MarketData
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_no_frame_raises(make, data: bytes) -> None:
    make(binary=True).received_binary(data)
