"""Subscribing over real sockets: what is answered, in which order, and what is given back in the end."""

from __future__ import annotations

import pytest
import pytest_twisted

from openalgo_ws.tick import Mode
from tests.gateway.client import until


@pytest_twisted.ensureDeferred
async def test_subscribe_one_entry_for_each_item_in_order(server, dial) -> None:
    client = await dial(server, "alice-key")
    answer = await client.ask(
        action="subscribe",
        symbols=[
            "NSE:SBIN",
            {"symbol": "NIFTY30DEC25FUT", "exchange": "NFO", "mode": "depth", "depth": 25},
            {"symbol": "NOSUCH", "exchange": "NSE"},
            {"symbol": "PENDING", "exchange": "NSE", "mode": 3},
            "no exchange",
            {"symbol": "X", "exchange": "NSE", "mode": "fastest"},
        ],
        mode=1,
        request_id=None,
    )
    assert answer["type"] == "subscribe"
    assert answer["status"] == "partial"
    assert answer["message"] == "Subscription processing complete"
    assert answer["broker"] == "zerodha"
    assert answer["request_id"] is None
    entries = answer["subscriptions"]
    assert entries[0] == {
        "symbol": "SBIN",
        "exchange": "NSE",
        "status": "success",
        "mode": "LTP",
        "depth": 5,
        "broker": "zerodha",
    }
    assert (entries[1]["mode"], entries[1]["depth"]) == ("Depth", 20)
    assert (entries[2]["status"], entries[2]["code"]) == ("error", "SYMBOL_NOT_FOUND")
    assert (entries[3]["mode"], entries[3]["depth"], entries[3]["pending"]) == ("Depth", 5, True)
    assert entries[4]["code"] == "INVALID_PARAMETERS"
    assert entries[5]["code"] == "INVALID_MODE"


@pytest.mark.parametrize("kept", [0.0, 300.0])
@pytest_twisted.ensureDeferred
async def test_a_tick_that_comes_while_a_large_request_is_under_way_is_not_lost(serve, dial, kept) -> None:
    server = serve(last_values=kept)
    server.demand.waiting = waiting = []
    client = await dial(server, "alice-key")
    client.request(action="subscribe", symbols=[f"NSE:S{n}" for n in range(250)], mode="LTP")
    for portion in range(3):
        await until(lambda portion=portion: len(waiting) > portion)
        waiting[portion].callback(None)
        server.publish(7.5, symbol=f"S{100 * portion}")

    # The reply goes first, then the only tick there has been of each.
    answer = await client.next()
    assert [entry["symbol"] for entry in answer["subscriptions"]] == [f"S{n}" for n in range(250)]
    ticks = [await client.next() for _ in range(3)]
    assert [(tick["symbol"], tick["data"]["ltp"]) for tick in ticks] == [
        ("S0", 7.5),
        ("S100", 7.5),
        ("S200", 7.5),
    ]


@pytest_twisted.ensureDeferred
async def test_a_tick_that_overtakes_the_answer_of_a_feed_elsewhere_is_not_lost(server, dial) -> None:
    server.demand.waiting = waiting = []
    server.demand.remote = True
    client = await dial(server, "alice-key")
    client.request(action="subscribe", symbols=["NSE:SBIN", "NSE:NOSUCH"], mode="LTP")
    await until(lambda: waiting)
    server.publish(7.5, symbol="SBIN")
    router = server.gateway.router
    assert {line.symbol for line in router.index.lines()} == {"SBIN", "NOSUCH"}
    waiting[0].callback(None)

    assert (await client.next())["status"] == "partial"
    assert (await client.next())["data"]["ltp"] == 7.5
    # Of what was refused nothing is kept.
    assert {line.symbol for line in router.index.lines()} == {"SBIN"}


@pytest_twisted.ensureDeferred
async def test_of_a_client_that_goes_in_the_middle_of_a_large_request_nothing_is_held(server, dial) -> None:
    server.demand.waiting = waiting = []
    client = await dial(server, "alice-key")
    client.request(action="subscribe", symbols=[f"NSE:S{n}" for n in range(250)], mode="LTP")
    await until(lambda: len(waiting) == 1)
    waiting[0].callback(None)
    await until(lambda: len(waiting) == 2)
    client.sendClose()
    await until(lambda: not server.gateway.clients())
    waiting[1].callback(None)
    await until(lambda: server.demand.held == [])

    assert len(waiting) == 2


@pytest_twisted.ensureDeferred
async def test_one_symbol_in_several_modes(server, dial) -> None:
    client = await dial(server, "alice-key")
    for mode in ("LTP", "quote", 3):
        await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode=mode)
    held = (await client.ask(action="subscriptions"))["subscriptions"]
    assert [entry["mode"] for entry in held] == ["LTP", "Quote", "Depth"]
    server.publish(5.0, mode=Mode.DEPTH)
    assert sorted([(await client.next())["mode"] for _ in range(3)]) == [1, 2, 3]

    answer = await client.ask(action="unsubscribe", symbols=["NSE:SBIN"], mode="Quote")
    assert [entry["mode"] for entry in answer["successful"]] == ["Quote"]
    answer = await client.ask(action="unsubscribe", symbols=["NSE:SBIN", "NSE:INFY"])
    assert [entry["mode"] for entry in answer["successful"]] == ["LTP", "Depth"]
    assert [entry["symbol"] for entry in answer["failed"]] == ["INFY"]
    assert answer["status"] == "partial"
    assert server.demand.held == []


@pytest_twisted.ensureDeferred
async def test_a_repeated_subscribe_replaces_and_is_held_once(server, dial) -> None:
    client = await dial(server, "alice-key")
    for depth in (5, 5, 20):
        await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:SBIN"], mode=3, depth=depth)
    assert [hold.wish.depth for hold in server.demand.held] == [20]
    assert len((await client.ask(action="subscriptions"))["subscriptions"]) == 1
    server.publish(1.0, mode=Mode.DEPTH)
    assert len(await client.all_said()) == 1
    await client.ask(action="unsubscribe_all")
    assert server.demand.held == []


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_gives_everything_back(server, dial) -> None:
    client = await dial(server, "alice-key")
    await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:INFY"])
    await client.ask(action="subscribe_orders")
    client.sendClose(1000)
    assert await client.end_code() == 1000
    await until(lambda: not server.demand.held)
    assert server.demand.orders == set()
    assert server.gateway.context.sessions == {}
    assert len(server.gateway.context.by_user) == len(server.gateway.context.by_address) == 0


@pytest_twisted.ensureDeferred
async def test_a_grant_that_comes_after_the_client_left_is_given_back(server, dial) -> None:
    client = await dial(server, "alice-key")
    server.demand.waiting = []
    client.request(action="subscribe", symbols=["NSE:SBIN"])
    await until(lambda: server.demand.waiting)
    client.transport.abortConnection()
    await until(lambda: not server.gateway.context.sessions)
    server.demand.waiting.pop().callback(None)
    assert server.demand.held == []


@pytest_twisted.ensureDeferred
async def test_requests_are_carried_out_in_order_and_a_ping_at_once(server, dial) -> None:
    client = await dial(server)
    server.accounts.thinking = []
    client.request(action="authenticate", api_key="alice-key")
    client.request(action="subscribe", symbols=["NSE:SBIN"])
    assert (await client.ask(action="ping"))["type"] == "pong"
    server.accounts.thinking.pop().callback(None)
    assert [(await client.next())["type"] for _ in range(2)] == ["auth", "subscribe"]
