"""The client protocol over real sockets: requests, replies, errors, close codes."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from openalgo_ws.bus.demand import Denied, FeedState, Status
from openalgo_ws.gateway.protocol import client_address
from openalgo_ws.tick import Mode


@pytest_twisted.ensureDeferred
async def test_authenticate(server, dial) -> None:
    client = await dial(server)
    assert await client.ask(action="authenticate", api_key="alice-key", request_id=[1]) == {
        "type": "auth",
        "status": "success",
        "message": "Authentication successful",
        "broker": "zerodha",
        "user_id": "alice",
        "supported_features": {"ltp": True, "quote": True, "depth": True},
    }


@pytest.mark.parametrize("action", ["authenticate", "auth"])
@pytest.mark.parametrize("name", ["api_key", "apikey"])
@pytest.mark.parametrize("key", ["action", "type"])
@pytest_twisted.ensureDeferred
async def test_the_older_spellings(server, dial, action, name, key) -> None:
    client = await dial(server)
    answer = await client.ask(**{key: action, name: "alice-key", "request_id": "r1"})
    assert (answer["status"], answer["request_id"]) == ("success", "r1")


@pytest_twisted.ensureDeferred
async def test_a_wrong_key_says_nothing_more(server, dial) -> None:
    client = await dial(server)
    for key in ("nobody-key", ""):
        assert await client.ask(action="authenticate", api_key=key) == {
            "type": "auth",
            "status": "error",
            "code": "AUTHENTICATION_ERROR",
            "message": "Invalid API key",
        }
    assert (await client.ask(action="authenticate", api_key="bob-key"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_nothing_before_authentication_but_a_ping(server, dial) -> None:
    client = await dial(server)
    for action in ("subscriptions", "server_info", "subscribe_orders", "get_broker_info"):
        assert (await client.ask(action=action))["code"] == "NOT_AUTHENTICATED"
    answer = await client.ask(action="subscribe", symbols=["NSE:SBIN"])
    assert (answer["type"], answer["code"]) == ("error", "NOT_AUTHENTICATED")
    pong = await client.ask(action="ping", timestamp=12.5, _pingId="p", request_id=0)
    assert abs(pong.pop("server_timestamp") - server.gateway.context.wall_ms()) < 60_000
    assert pong == {
        "type": "pong",
        "status": "success",
        "client_timestamp": 12.5,
        "_pingId": "p",
        "request_id": 0,
    }


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


@pytest_twisted.ensureDeferred
async def test_the_subscription_cap(serve, dial) -> None:
    server = serve(subscriptions=2)
    client = await dial(server, "alice-key")
    answer = await client.ask(action="subscribe", symbols=["NSE:A", "NSE:A", "NSE:B", "NSE:C"])
    assert [entry.get("code") for entry in answer["subscriptions"]] == [None, None, None, "LIMIT_EXCEEDED"]
    await client.ask(action="unsubscribe", symbols=["NSE:A"])
    assert (await client.ask(action="subscribe", symbols=["NSE:C"]))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_the_request_rate(serve, dial) -> None:
    server = serve(requests_per_second=0.001, request_burst=3)
    client = await dial(server, "alice-key")
    codes = [(await client.ask(action="ping")).get("code") for _ in range(4)]
    assert codes == [None, None, "RATE_LIMITED", "RATE_LIMITED"]
    for _ in range(200):
        client.request(action="ping")
    assert await client.end_code() == 4429


@pytest_twisted.ensureDeferred
async def test_connection_caps(serve, dial) -> None:
    server = serve(connections=3, connections_per_user=1)
    await dial(server, "alice-key")
    second = await dial(server)
    second.request(action="authenticate", api_key="alice-key")
    assert await second.end_code() == 4429
    await dial(server)
    await dial(server)
    one_too_many = await dial(server)
    assert await one_too_many.end_code() == 4429
    by_address = serve(connections_per_address=1, trusted_proxies=(ip_network("127.0.0.0/8"),))
    far = {"X-Forwarded-For": "9.9.9.9"}
    first = await dial(by_address, headers=far)
    assert await (await dial(by_address, headers=far)).end_code() == 4429
    for _ in range(3):
        assert (await (await dial(by_address)).ask(action="ping"))["status"] == "success"
    await first.end()
    await until(lambda: not len(by_address.gateway.context.by_address))
    assert (await (await dial(by_address, headers=far)).ask(action="ping"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_failed_authentications_of_an_address(serve, dial) -> None:
    server = serve(failed_authentications=3)
    client = await dial(server)
    for _ in range(3):
        client.request(action="authenticate", api_key="wrong")
    assert await client.end_code() == 4403
    again = await dial(server)
    again.request(action="authenticate", api_key="alice-key")
    assert await again.end_code() == 4403


@pytest_twisted.ensureDeferred
async def test_not_authenticated_in_time(serve, dial) -> None:
    client = await dial(serve(auth_grace=0.05))
    assert await client.end_code() == 4401


@pytest_twisted.ensureDeferred
async def test_the_grace_stands_still_while_the_key_is_checked(serve, dial) -> None:
    server = serve(auth_grace=0.05)
    client = await dial(server)
    server.accounts.thinking = []
    client.request(action="authenticate", api_key="alice-key")
    await passing(0.1)
    server.accounts.thinking.pop().callback(None)
    assert (await client.next())["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_a_database_that_is_away_is_said_and_ends_nothing(server, dial) -> None:
    known = await dial(server, "alice-key")
    server.accounts.away = True
    client = await dial(server)
    answer = await client.ask(action="authenticate", api_key="alice-key")
    assert (answer["type"], answer["code"]) == ("auth", "SERVER_ERROR")
    await known.ask(action="subscribe", symbols=["NSE:SBIN"])
    server.publish(1.0, mode=Mode.QUOTE)
    assert (await known.next())["data"]["ltp"] == 1.0


@pytest_twisted.ensureDeferred
async def test_a_replaced_key_ends_its_sessions(server, dial) -> None:
    alice, bob = await dial(server, "alice-key"), await dial(server, "bob-key")
    server.gateway.keys_changed({"alice"})
    assert await alice.end_code() == 4401
    assert (await bob.ask(action="ping"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_orders_go_to_their_own_user_once(server, dial) -> None:
    alice, bob = await dial(server, "alice-key"), await dial(server, "bob-key")
    for client in (alice, bob):
        answer = await client.ask(action="subscribe_orders")
        assert answer == {
            "type": "subscribe_orders",
            "status": "success",
            "message": "Subscribed to order updates",
        }
    assert server.demand.orders == {"alice", "bob"}
    update = b'{"type":"order_update","user_id":"alice","orderid":"1","order_status":"open"}'
    done = update.replace(b"open", b"complete")
    server.gateway.receive(
        [
            (b"ZERODHA_bob_orders", update),
            (b"ANALYZE_alice_orders", update),
            (b"ZERODHA_alice_orders", done),
            (b"ZERODHA_alice_orders", b"nonsense"),
            (b"ZERODHA_alice_positions", b"{}"),
        ]
    )
    assert [message["order_status"] for message in await alice.all_said()] == ["open", "complete"]
    assert await bob.all_said() == []
    await alice.ask(action="unsubscribe_orders")
    assert server.demand.orders == {"bob"}


@pytest_twisted.ensureDeferred
async def test_an_invalidation_reaches_the_accounts(server) -> None:
    server.gateway.receive(
        [
            (b"CACHE_INVALIDATE_ALL_other", b'{"action":"invalidate","user_id":"alice","cache_type":"ALL"}'),
            (b"CACHE_INVALIDATE_ALL_other", b"[]"),
        ]
    )
    assert server.invalidated == ["alice"]
    assert server.gateway.router.bus_stats.malformed == 1


@pytest_twisted.ensureDeferred
async def test_notices_for_those_who_asked(server, dial) -> None:
    quiet = await dial(server, "alice-key")
    client = await dial(server)
    await client.ask(action="authenticate", api_key="alice-key", notices=True)
    server.demand.listener.status_changed(["alice"], Status("zerodha", FeedState.STALE, "no ticks"))
    assert await client.next() == {
        "type": "feed_status",
        "broker": "zerodha",
        "status": "stale",
        "message": "no ticks",
    }
    assert await quiet.all_said() == []


@pytest_twisted.ensureDeferred
async def test_a_refused_subscription_is_told_to_its_holders(server, dial) -> None:
    holder, other = await dial(server, "alice-key"), await dial(server, "alice-key")
    await holder.ask(action="subscribe", symbols=["NSE:SBIN"])
    denied = Denied("BROKER_CONNECTION_ERROR", "The broker refused the login", "zerodha")
    server.demand.listener.refused("zerodha.alice", "SBIN", "NSE", denied)
    assert await holder.next() == {
        "type": "error",
        "status": "error",
        "code": "BROKER_CONNECTION_ERROR",
        "message": "The broker refused the login",
        "symbol": "SBIN",
        "exchange": "NSE",
        "broker": "zerodha",
    }
    assert await other.all_said() == []


@pytest_twisted.ensureDeferred
async def test_information(server, dial) -> None:
    client = await dial(server, "alice-key")
    assert await client.ask(action="get_broker_info") == {
        "type": "broker_info",
        "status": "success",
        "broker": "zerodha",
        "adapter_status": "connected",
        "user_id": "alice",
    }
    assert await client.ask(action="get_supported_brokers") == {
        "type": "supported_brokers",
        "status": "success",
        "brokers": ["angel", "zerodha"],
        "count": 2,
    }
    info = await client.ask(action="server_info")
    assert info["formats"] == ["openalgo", "flat", "binary"]
    assert info["depth_levels"] == {"NSE": [5, 20]}
    assert info["limits"]["message_bytes"] == 65536


@pytest.mark.parametrize("how", ["request", "subprotocol", "default"])
@pytest_twisted.ensureDeferred
async def test_the_flat_format(serve, dial, how) -> None:
    server = serve(default_format="flat" if how == "default" else "openalgo")
    client = await dial(server, subprotocols=("unknown", "openalgo.flat") if how == "subprotocol" else ())
    if how == "subprotocol":
        assert client.websocket_protocol_in_use == "openalgo.flat"
    more = {"format": "flat"} if how == "request" else {}
    assert await client.ask(action="authenticate", api_key="alice-key", request_id=1, **more) == {
        "status": "authenticated",
        "message": "Connected",
        "request_id": 1,
    }
    answer = await client.ask(action="subscribe", instruments=["NSE:SBIN", "NSE:NOSUCH"])
    assert (answer["status"], answer["count"]) == ("subscribed", 1)
    assert [entry["symbol"] for entry in answer["failed"]] == ["NOSUCH"]
    server.publish(842.35, mode=Mode.QUOTE)
    tick = await client.next()
    assert tick["symbol"] == "SBIN"
    assert tick["exchange"] == "NSE"
    assert tick["ltp"] == 842.35
    assert tick["mode"] == 2
    assert tick["timestamp"] == "2023-11-15T03:43:20+05:30"
    answer = await client.ask(action="unsubscribe", instruments=["NSE:SBIN"])
    assert answer == {"status": "unsubscribed", "count": 1}
    assert await client.ask(action="nonsense") == {
        "status": "error",
        "code": "INVALID_ACTION",
        "message": "Unknown action",
    }


@pytest_twisted.ensureDeferred
async def test_a_format_that_is_not_spoken(server, dial) -> None:
    client = await dial(server)
    answer = await client.ask(action="authenticate", api_key="alice-key", format="xml")
    assert answer["code"] == "INVALID_PARAMETERS"


@pytest_twisted.ensureDeferred
async def test_close_frames_for_what_is_no_request(serve, dial) -> None:
    server = serve(message_bytes=1024)
    client = await dial(server)
    client.sendMessage(b"{}", isBinary=True)
    assert await client.end_code() == 1003
    client = await dial(server)
    client.sendMessage(b'"\xff"')
    assert await client.end_code() == 1007
    client = await dial(server)
    client.sendMessage(b'"' + b"x" * 2000 + b'"')
    assert await client.end_code() == 1009
    client = await dial(server)
    client.transport.write(b"\xf1\x80\0\0\0\0")
    assert await client.end_code() == 1002


@pytest_twisted.ensureDeferred
async def test_shutdown_says_goodbye(server, dial) -> None:
    clients = [await dial(server, "alice-key"), await dial(server)]
    await server.gateway.stopService()
    for client in clients:
        assert await client.end_code() == 1001


@pytest.mark.parametrize("accepted", [False, True])
@pytest_twisted.ensureDeferred
async def test_compression_is_declined_unless_set(serve, dial, accepted) -> None:
    server = serve(compression=accepted)
    clients = [await dial(server, "alice-key", compression=offered) for offered in (True, True, False)]
    assert [bool(c.websocket_extensions_in_use) for c in clients] == [accepted, accepted, False]
    for client in clients:
        await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode=3)
    for value in (1.0, 2.0):
        server.publish(value, mode=Mode.DEPTH)
    for client in clients:
        said = await client.all_said()
        assert [message["data"]["ltp"] for message in said] == [1.0, 2.0]
    # Once for the plain clients, once for all compressed ones.
    assert server.gateway.router.stats.encoded == (4 if accepted else 2)


@pytest.mark.parametrize(
    ("peer", "header", "found"),
    [
        ("9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1"),
        ("local", "1.2.3.4", "local"),
    ],
)
def test_where_a_client_is(peer: str, header: str, found: str) -> None:
    assert client_address(peer, header, [ip_network("10.0.0.0/8")]) == found


@pytest_twisted.ensureDeferred
async def test_without_authentication(serve, dial) -> None:
    server = serve(auth_required=False)
    client = await dial(server)
    assert (await client.ask(action="subscribe", symbols=["NSE:SBIN"]))["status"] == "success"
    assert (await client.ask(action="authenticate", api_key="whatever"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_a_stalled_client_is_closed_and_others_go_on(serve, dial) -> None:
    server = serve(slow_patience=0.5, high_water=64 * 1024)
    stalled, alive = await dial(server, "alice-key"), await dial(server, "alice-key")
    for client in (stalled, alive):
        await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode=3)
    stalled.transport.pauseProducing()
    gone = until(lambda: len(server.gateway.factory.clients) == 1)
    value = 0
    while not gone.called:
        # As much as the other client, which shares this thread, can read meanwhile.
        for _ in range(40):
            value += 1
            server.publish(float(value), mode=Mode.DEPTH)
        await passing(0.005)
    last = 0.0
    for message in await alive.all_said():
        last = message["data"]["ltp"]
    assert last == value


def until(condition) -> Deferred:
    """Fires when the condition holds; checked after every turn of the reactor."""
    done: Deferred = Deferred()

    def check() -> None:
        if condition():
            done.callback(None)
        elif not done.called:
            reactor.callLater(0.001, check)

    check()
    return done


def passing(seconds: float) -> Deferred:
    done: Deferred = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done
