"""What a client may do, and what becomes of those who do more, take too long or take nothing."""

from __future__ import annotations

from ipaddress import ip_network

import pytest_twisted

from openalgo_ws.tick import Mode
from tests.gateway.client import passing, until


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
