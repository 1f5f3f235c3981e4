"""The binary format: over real sockets, and in shared outboxes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.bus.records import pack, topic_for
from openalgo_ws.encoding.binary import BinaryMarketData, BinaryMarketDataBatch, Kind
from openalgo_ws.encoding.exact import data_of
from openalgo_ws.gateway.channel import ChannelKey
from openalgo_ws.tick import Mode
from tests.gateway.support import Rig, record

BINARY = ("openalgo.binary.v1",)


@pytest_twisted.ensureDeferred
async def test_replies_are_json_and_name_the_ids(server, dial) -> None:
    client = await dial(server, "alice-key", subprotocols=BINARY)
    answer = await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:NOSUCH", "NSE:TCS"], mode="Quote")
    sbin, nosuch, tcs = answer["subscriptions"]
    assert (sbin["price_scale"], sbin["qty_scale"]) == (2, 0)
    assert sbin["id"] != tcs["id"]
    assert "id" not in nosuch
    again = await client.ask(action="subscribe", symbols=["NSE:TCS", "NSE:SBIN"], mode="LTP")
    assert [entry["id"] for entry in again["subscriptions"]] == [tcs["id"], sbin["id"]]


@pytest_twisted.ensureDeferred
async def test_every_mode_says_what_json_says(server, dial) -> None:
    text = await dial(server, "alice-key")
    client = await dial(server)
    assert (await client.ask(action="authenticate", api_key="alice-key", format="binary"))[
        "status"
    ] == "success"
    assert (await client.ask(action="server_info"))["format"] == "binary"
    for mode, kind in ((Mode.LTP, Kind.HEAD), (Mode.QUOTE, Kind.FULL), (Mode.DEPTH, Kind.DEPTH)):
        for each in (text, client):
            await each.ask(action="subscribe", symbols=["NSE:SBIN"], mode=int(mode))
        server.publish(842.35, mode=Mode.DEPTH)
        message, batch = await text.next(), await client.next()
        (told,) = batch
        data = data_of(told)
        for name in ("bid_price", "bid_size", "ask_price", "ask_size"):
            if mode is Mode.QUOTE:
                message["data"].pop(name)
        assert (data, batch.kind, told.mode) == (message["data"], kind, mode)
        for each in (text, client):
            await each.ask(action="unsubscribe_all")
            await each.all_said()


@pytest_twisted.ensureDeferred
async def test_many_ticks_of_a_turn_come_in_one_message(server, dial) -> None:
    client = await dial(server, "alice-key", subprotocols=BINARY)
    symbols = [f"S{n}" for n in range(50)]
    answer = await client.ask(action="subscribe", symbols=[f"NSE:{each}" for each in symbols], mode="LTP")
    ids = {entry["id"]: entry["symbol"] for entry in answer["subscriptions"]}
    records = [record(float(n), symbol) for n, symbol in enumerate(symbols, 1)]
    server.gateway.receive([(topic_for("zerodha.alice"), pack(records))])
    batch = await client.next()
    assert {ids[each.id]: each.ltp for each in batch} == {
        symbol: n * 100 for n, symbol in enumerate(symbols, 1)
    }
    assert batch.array()["mode"].tolist() == [1] * 50


@pytest_twisted.ensureDeferred
async def test_the_last_value_is_marked(server, dial) -> None:
    first = await dial(server, "alice-key", subprotocols=BINARY)
    await first.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
    server.publish(1.0)
    (told,) = await first.next()
    assert not told.snapshot
    second = await dial(server, "alice-key", subprotocols=BINARY)
    await second.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
    (last,) = await second.next()
    assert (last.snapshot, last.id, last.ltp) == (True, told.id, 100)


@pytest.mark.parametrize("compression", [False, True])
@pytest_twisted.ensureDeferred
async def test_records_are_not_compressed(serve, dial, compression) -> None:
    server = serve(compression=True)
    client = await dial(server, "alice-key", subprotocols=BINARY, compression=compression)
    await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
    server.publish(2.0)
    (told,) = await client.next()
    assert told.ltp == 200


class Frames:
    """A writer that keeps the payloads of binary messages."""

    def __init__(self) -> None:
        self.paused = False
        self.payloads: list[bytes] = []

    def write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            assert data[at] == 0x82
            length, at = data[at + 1], at + 2
            if length >= 126:
                size = 2 if length == 126 else 8
                length, at = int.from_bytes(data[at : at + size]), at + size
            self.payloads.append(data[at : at + length])
            at += length

    def records(self) -> list[BinaryMarketData]:
        return [told for payload in self.payloads for told in BinaryMarketDataBatch(payload)]


def attach(rig: Rig) -> Any:
    writer: Any = Frames()
    rig.router.delivery.attach(writer)
    return writer


def hold(rig: Rig, writer: Any, symbol: str, mode: Mode = Mode.LTP, scale: int = 2) -> Any:
    key = ChannelKey(mode, 5 if mode is Mode.DEPTH else 0, "binary", "zerodha", 0.0, False, scale)
    channel = rig.router.subscribe(writer, "f", symbol, "NSE", key)
    rig.router.delivery.flush_client(writer)
    return channel


def settle(rig: Rig) -> None:
    rig.clock.pump([0.5] * 8)


def test_clients_that_share_an_outbox_are_told_the_same_ids() -> None:
    rig = Rig()
    one, other = attach(rig), attach(rig)
    ids = {}
    for writer, symbols in ((one, "AB"), (other, "BA")):
        for symbol in symbols:
            told = hold(rig, writer, symbol).form.line.id
            assert ids.setdefault(symbol, told) == told
    settle(rig)
    assert rig.router.delivery.outboxes() == 1

    rig.router.receive([(topic_for("f"), pack([record(1.0, "A"), record(2.0, "B")]))])

    assert one.payloads == other.payloads
    assert [(told.id, told.ltp) for told in one.records()] == [(ids["A"], 100), (ids["B"], 200)]
    assert len(one.payloads) == 1


def test_another_format_has_an_outbox_of_its_own() -> None:
    rig = Rig()
    binary, text = attach(rig), rig.writer()
    hold(rig, binary, "SBIN")
    rig.hold(text)
    settle(rig)
    rig.publish(1.25)
    assert [told.ltp for told in binary.records()] == [125]
    assert text.ltps() == [1.25]


def test_scales_of_their_own_make_forms_of_their_own() -> None:
    rig = Rig()
    paise, finer = attach(rig), attach(rig)
    hold(rig, paise, "SBIN", scale=2)
    hold(rig, finer, "SBIN", scale=4)
    rig.publish(1.25)
    assert [(told.price_scale, told.ltp) for told in paise.records()] == [(2, 125)]
    assert [(told.price_scale, told.ltp) for told in finer.records()] == [(4, 12500)]


def test_a_client_that_leaves_a_shared_outbox_still_gets_records() -> None:
    rig = Rig()
    one, other = attach(rig), attach(rig)
    for writer in (one, other):
        hold(rig, writer, "A")
    settle(rig)
    hold(rig, other, "B")
    rig.publish(1.0, "A")
    assert [told.ltp for told in other.records()] == [100]


def test_a_slow_client_gets_the_latest_of_each() -> None:
    rig = Rig()
    writer = attach(rig)
    for symbol in "AB":
        hold(rig, writer, symbol)
    rig.router.delivery.overflowed(writer)
    for price in (1.0, 2.0, 3.0):
        rig.publish(price, "A")
        rig.publish(price, "B")
    assert writer.payloads == []
    rig.router.delivery.drained(writer)
    assert [told.ltp for told in writer.records()] == [300, 300]
    assert len(writer.payloads) == 1


def test_the_order_of_a_turn_is_kept_across_modes() -> None:
    rig = Rig()
    writer = attach(rig)
    for mode in Mode:
        hold(rig, writer, "A", mode)
    rig.router.receive([(topic_for("f"), pack([record(1.0, "A", Mode.DEPTH), record(2.0, "A", Mode.DEPTH)]))])
    told = [(each.mode, each.ltp) for each in writer.records()]
    assert [price for mode, price in told if mode == 1] == [100, 200]
    assert [price for mode, price in told if mode == 3] == [100, 200]
    assert len(told) == 6


def test_a_foreign_tick_that_lacks_the_usual_form() -> None:
    rig = Rig()
    writer = attach(rig)
    key = ChannelKey(Mode.QUOTE, 0, "binary", None, 0.0)
    rig.router.subscribe(writer, "", "SBIN", "NSE", key)
    payload = {"ltp": 10.25, "open": "?", "average_price": 10.125, "timestamp": 1, "ex": {"x": [1]}}
    rig.foreign(b"NSE_SBIN_QUOTE", json.dumps(payload).encode())
    assert [data_of(told) for told in writer.records()] == [
        {"ltp": 10.25, "timestamp": 1, "avg_trade_price": 10.125}
    ]
