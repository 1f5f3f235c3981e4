"""The client protocol over real sockets: authentication, messages, formats, errors, close codes."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
import pytest_twisted

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
