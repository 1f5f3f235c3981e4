"""The status page's own ways: its files, its login, its WebSocket, and what OpenAlgo's pages ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock
from twisted.logger import LogLevel, LogPublisher
from twisted.web.client import ResponseNeverReceived

from openalgo_ws.bus.demand import Denied, FeedState, Status
from openalgo_ws.ops.busiest import Busiest
from openalgo_ws.ops.events import EventLog
from openalgo_ws.ops.history import History
from openalgo_ws.tick import Mode
from tests.gateway.client import Closed
from tests.gateway.support import Rig
from tests.ops.conftest import KEY, TOKEN
from tests.ops.page import Page, open_page

Bearer = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def visit() -> Iterator[Any]:
    """Open pages; they are closed with the test."""
    pages: list[Page] = []

    async def begin(rig: Any, user: str = "alice", **headers: str) -> Page:
        pages.append(await open_page(rig.port.server.port, user, **headers))
        return pages[-1]

    yield begin
    for page in pages:
        pytest_twisted.blockon(page.end())


@pytest_twisted.ensureDeferred
async def test_everything_the_page_names_is_there_and_nothing_is_inline(watched: Any) -> None:
    rig = watched()
    answer, text = await rig.get("/")
    assert answer.code == 200
    policy = answer.headers.getRawHeaders("content-security-policy")[0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text)
    named = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(named) >= 5
    for path in named:
        assert path.startswith("/static/"), path
        assert (await rig.get(path))[0].code == 200, path
    for path in ("/static/../status.py", "/static/index.html", "/static/nothing.js"):
        assert (await rig.get(path))[0].code == 404, path


@pytest_twisted.ensureDeferred
async def test_logging_in(watched: Any, secret: Any) -> None:
    secret(TOKEN)
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    answer, form = await rig.get("/")
    assert (answer.code, 'action="/login"' in form) == (401, True)
    answer, form = await rig.get("/login", "POST", data={"token": "wrong"})
    assert (answer.code, 'action="/login"' in form) == (401, True)
    answer, _ = await rig.get("/login", "POST", data={"token": TOKEN})
    assert (answer.code, answer.headers.getRawHeaders("location")) == (303, ["/"])
    (cookie,) = answer.headers.getRawHeaders("set-cookie")
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    let_in = {"Cookie": cookie.partition(";")[0]}
    assert (await rig.get("/", headers=let_in))[0].code == 200
    assert (await rig.json("/api/users", headers=let_in)) == (200, {"users": ["alice", "bob"], "login": True})
    rig.now += 8 * 24 * 3600
    assert (await rig.get("/", headers=let_in))[0].code == 401
    answer, _ = await rig.get("/logout", "POST")
    assert "Max-Age=0" in answer.headers.getRawHeaders("set-cookie")[0]


@pytest_twisted.ensureDeferred
async def test_nobody_can_send_much(watched: Any) -> None:
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    with pytest.raises(ResponseNeverReceived):
        await rig.get("/login", "POST", data=b"token=" + b"x" * 5000)
    assert (await rig.get("/login", "POST", data=b"token=" + b"x" * 4000))[0].code == 401


@pytest.mark.parametrize("cookie", ["", ".", "9999999999.00", "x.y", "9999999999." + "0" * 64])
@pytest_twisted.ensureDeferred
async def test_a_cookie_that_is_not_ours(watched: Any, cookie: str) -> None:
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    assert (await rig.get("/", headers={"Cookie": f"openalgo_ws_status={cookie}"}))[0].code == 401


@pytest_twisted.ensureDeferred
async def test_a_page_is_told_how_the_server_is(watched: Any, visit: Any) -> None:
    rig = watched()
    page = await visit(rig)
    assert (await page.next())["type"] == "history"
    status = await page.until("server_status")
    assert (status["version"], status["clients"], status["feeds"][0]["tag"]) == ("1.2.3", 0, "alice")
    rig.events.status_changed(["alice"], Status("zerodha", FeedState.STALE, "silent"))
    for listener in rig.history.listeners:
        listener()
    events = await page.until("events")
    assert [event["text"] for event in events["events"]] == ["feed of alice at zerodha: stale (silent)"]
    assert events["events"][0]["level"] == "warn"


@pytest_twisted.ensureDeferred
async def test_a_page_watches_in_the_client_protocol_as_the_user_it_names(watched: Any, visit: Any) -> None:
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    page = await visit(rig, "bob", **Bearer)
    assert (await page.next())["key_needed"] is False
    page.request(action="subscribe", symbols=["NSE:SBIN"], mode="Depth")
    answer = await page.until("subscribe")
    assert answer["subscriptions"][0]["status"] == "success"
    rig.server.publish(1.0, mode=Mode.DEPTH, user="alice")
    rig.server.publish(842.35, mode=Mode.DEPTH, user="bob")
    tick = await page.until("market_data")
    assert tick["data"]["ltp"] == 842.35
    assert len(tick["data"]["depth"]["buy"]) == 5
    # A page is not one of the gateway's clients.
    assert rig.server.gateway.clients() == []
    assert rig.server.gateway.context.tally.opened == 0


@pytest_twisted.ensureDeferred
async def test_without_a_token_prices_need_a_key(watched: Any, visit: Any) -> None:
    rig = watched()
    page = await visit(rig, "bob")
    assert (await page.next())["key_needed"] is True
    for request in ({"action": "subscribe", "symbols": ["NSE:SBIN"]}, {"action": "subscribe_orders"}):
        page.request(**request)
        assert (await page.until("error"))["code"] == "NOT_AUTHENTICATED"
    page.request(action="authenticate", api_key="nobody-key")
    assert (await page.until("auth"))["code"] == "AUTHENTICATION_ERROR"
    page.request(action="authenticate", api_key="alice-key")
    assert (await page.until("auth"))["user_id"] == "alice"
    page.request(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
    assert (await page.until("subscribe"))["status"] == "success"
    rig.server.publish(842.35)
    assert (await page.until("market_data"))["data"]["ltp"] == 842.35


@pytest_twisted.ensureDeferred
async def test_a_page_is_sent_away_when_the_server_stops(watched: Any, visit: Any) -> None:
    rig = watched()
    page = await visit(rig)
    await rig.port.stopService()
    assert await page.closed == 1001


@pytest.mark.parametrize(
    ("environ", "headers", "code"),
    [
        ({"WS_ADMIN_TOKEN": TOKEN}, {}, "401"),
        ({}, {"Origin": "http://evil.example"}, "403"),
        ({}, {"Host": "evil.example"}, "403"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_who_may_not_open_a_page(
    watched: Any, environ: dict[str, str], headers: dict[str, str], code: str
) -> None:
    rig = watched(**environ)
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    answer, _ = await rig.get("/api/live?user=alice", headers={**upgrade, **headers})
    assert str(answer.code) == code


@pytest_twisted.ensureDeferred
async def test_with_the_token_a_page_opens(watched: Any, visit: Any) -> None:
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    port = rig.port.server.port
    page = await visit(rig, **Bearer, Origin=f"http://127.0.0.1:{port}")
    assert (await page.next())["type"] == "history"


@pytest_twisted.ensureDeferred
async def test_there_is_an_end_to_open_pages(watched: Any, visit: Any) -> None:
    rig = watched()
    for _ in range(20):
        await visit(rig)
    page = await visit(rig)
    assert await page.closed == 4429
    with pytest.raises(Closed):
        await page.next()


@pytest_twisted.ensureDeferred
async def test_where_browsers_connect_to(watched: Any) -> None:
    rig = watched()
    port = rig.server.port
    assert await rig.json("/api/websocket/config") == (
        200,
        {"status": "success", "websocket_url": f"ws://127.0.0.1:{port}", "is_secure": False},
    )
    rig = watched(WEBSOCKET_URL="wss://trade.example.com/ws")
    assert await rig.json("/api/websocket/config") == (
        200,
        {"status": "success", "websocket_url": "wss://trade.example.com/ws", "is_secure": True},
    )


@pytest_twisted.ensureDeferred
async def test_a_key_is_shown_to_the_admin_only(watched: Any, secret: Any) -> None:
    secret(KEY)
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    path = "/api/websocket/apikey"
    assert (await rig.json(path))[0] == 401
    code, answer = await rig.json(f"{path}?user=alice", headers=Bearer)
    assert (code, answer) == (200, {"status": "success", "api_key": KEY})
    for asked, expected in (("?user=bob", 404), ("?user=nobody", 404), ("", 400), ("?user=%ff", 404)):
        code, answer = await rig.json(f"{path}{asked}", headers=Bearer)
        assert (code, answer["status"]) == (expected, "error"), asked
    code, answer = await watched().json(f"{path}?user=alice")
    assert (code, answer["status"]) == (403, "error")


def test_the_busiest_symbols() -> None:
    rig = Rig()
    writer = rig.writer()
    for number in range(40):
        rig.hold(writer, f"S{number}", feed="alice")
    busiest = Busiest(rig.clock, rig.router.index.lines)
    busiest.start()
    rig.clock.advance(0)
    for number in range(40):
        for _ in range(number):
            rig.publish(1.0, f"S{number}", feed="alice")
    rig.clock.advance(3)
    assert len(busiest.rates) == 12
    first = busiest.rates[0]
    assert (first.feed, first.symbol, first.exchange, first.rate) == ("alice", "S39", "NSE", 13.0)
    busiest.stop()
    rig.router.stop()
    assert (busiest.rates, rig.clock.getDelayedCalls()) == ([], [])


def test_events_are_kept_and_numbered() -> None:
    publisher = LogPublisher()
    events = EventLog(publisher, lambda: 12.0)
    events.startService()
    events.refused("alice", "SBIN", "NSE", Denied("SYMBOL_NOT_FOUND", "gone from the master"))
    for namespace, level in (("openalgo_ws.feeds", LogLevel.warn), ("else", LogLevel.error)):
        publisher({"log_namespace": namespace, "log_level": level, "log_format": "it is {how}", "how": "bad"})
    publisher({"log_namespace": "openalgo_ws.x", "log_level": LogLevel.info, "log_format": "quiet"})
    assert [(event.number, event.level, event.text) for event in events.since(0)] == [
        (1, "warn", "NSE:SBIN on alice: gone from the master"),
        (2, "warn", "it is bad"),
    ]
    assert [event.number for event in events.since(1)] == [2]
    for _ in range(500):
        events.status_changed([], Status("zerodha", FeedState.CONNECTED))
    assert len(events.since(0)) == 300
    events.stopService()


@pytest_twisted.ensureDeferred
async def test_a_sample_a_second(watched: Any, dial: Any) -> None:
    rig = watched()
    clock = Clock()
    history = History(clock, rig.sources, lambda: 1000.0 + clock.seconds())
    history.startService()
    client = await dial(rig.server, "alice-key")
    await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
    rig.server.publish(1.0)
    rig.server.publish(2.0)
    clock.advance(1)
    (sample,) = history.samples
    assert (sample.at, sample.ticks, sample.deliveries) == (1001.0, 2.0, 2.0)
    assert sample.latency_p50 is None
    clock.advance(1)
    assert history.samples[-1].ticks == 0.0
    history.stopService()
    assert clock.getDelayedCalls() == []
