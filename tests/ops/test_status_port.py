"""The status port over HTTP: what it tells, and whom."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_twisted
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from openalgo_ws.bus.demand import FeedState
from openalgo_ws.config import SettingsError, load
from openalgo_ws.ops.metrics import Metrics
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.snapshot import snapshot
from openalgo_ws.ops.sources import Sources
from tests.ops.conftest import TOKEN

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "docs" / "monitoring.md"
DASHBOARD = ROOT / "ops" / "grafana.json"


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples of a scrape by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest_twisted.ensureDeferred
async def test_health_and_readiness(watched: Any) -> None:
    rig = watched()
    assert await rig.json("/healthz") == (200, {"ok": True})
    assert await rig.json("/readyz") == (200, {"ok": True, "feeds": {"alice": "connected"}})
    rig.feeds.state = FeedState.RECONNECTING
    assert await rig.json("/readyz") == (503, {"ok": False, "feeds": {"alice": "reconnecting"}})
    rig.due.clear()
    assert await rig.json("/readyz") == (200, {"ok": True, "feeds": {"alice": "asleep"}})
    assert (await rig.get("/nothing"))[0].code == 404


@pytest_twisted.ensureDeferred
async def test_metrics_are_read_from_what_the_parts_count(watched: Any, dial: Any) -> None:
    rig = watched()
    client = await dial(rig.server, "alice-key")
    assert (await client.ask(action="authenticate", api_key="nobody-key"))["status"] == "error"
    await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:NOSUCH", "NSE:PENDING"], mode="LTP")
    rig.server.publish(842.35)
    assert (await client.next())["data"]["ltp"] == 842.35
    rig.meter.ticks["alice"] = [0, 5, 0, 2]
    answer, text = await rig.get("/metrics")
    assert answer.code == 200
    assert answer.headers.getRawHeaders("content-type")[0].startswith("text/plain; version=")
    found = samples(text)
    for name, labels, value in (
        ("connections", {"format": "openalgo"}, 1),
        ("connections_opened_total", {}, 1),
        ("authentications_total", {"result": "success"}, 1),
        ("authentications_total", {"result": "invalid"}, 1),
        ("subscriptions", {"mode": "LTP"}, 2),
        ("subscribes_total", {"result": "SYMBOL_NOT_FOUND"}, 1),
        ("subscribes_total", {"result": "pending"}, 1),
        ("ticks_in_total", {"feed": "alice", "mode": "LTP"}, 5),
        ("ticks_in_total", {"feed": "alice", "mode": "Depth"}, 2),
        ("ticks_out_total", {"feed": "zerodha.alice", "mode": "LTP"}, 1),
        ("deliveries_total", {}, 1),
        ("bus_ticks_total", {}, 1),
        ("feed_state", {"feed": "alice", "broker": "zerodha", "state": "connected"}, 1),
        ("feed_state", {"feed": "alice", "broker": "zerodha", "state": "stale"}, 0),
        ("feed_instruments", {"feed": "alice"}, 7),
        ("tick_age_seconds", {"account": "alice", "broker": "zerodha", "socket": "ticker"}, 1.5),
        ("pool_instruments", {"account": "alice", "broker": "zerodha", "socket": "ticker"}, 7),
        ("pool_asked", {"account": "alice", "broker": "zerodha", "socket": "ticker"}, 5),
        ("pool_load", {"account": "alice", "broker": "zerodha", "socket": "ticker"}, 7),
        ("pool_capacity", {"account": "alice", "broker": "zerodha", "socket": "ticker"}, 9000),
        (
            "reconnects_total",
            {"account": "alice", "broker": "zerodha", "socket": "ticker", "cause": "stalled"},
            2,
        ),
        ("bus_unread_bytes", {}, 4096),
        ("event_loop_lag_seconds_count", {}, 0),
    ):
        assert found[f"openalgo_ws_{name}", tuple(sorted(labels.items()))] == value, (name, labels)
    assert found["openalgo_ws_client_sent_bytes_total", ()] > 100
    await client.ask(action="unsubscribe", symbols=["NSE:SBIN"])
    held = ("openalgo_ws_subscriptions", (("mode", "LTP"),))
    assert samples((await rig.get("/metrics"))[1])[held] == 1
    await client.end()
    assert samples((await rig.get("/metrics"))[1])[held] == 0
    assert found["process_open_fds", ()] > 0


@pytest_twisted.ensureDeferred
async def test_two_servers_in_one_process_have_metrics_of_their_own(watched: Any, dial: Any) -> None:
    one, other = watched(), watched()
    await dial(one.server)
    name = ("openalgo_ws_connections_opened_total", ())
    assert samples((await one.get("/metrics"))[1])[name] == 1
    assert samples((await other.get("/metrics"))[1])[name] == 0


@pytest_twisted.ensureDeferred
async def test_the_names_of_metrics_are_as_prometheus_wants_them(watched: Any) -> None:
    families = list(text_string_to_metric_families((await watched().get("/metrics"))[1]))
    ours = [family for family in families if family.name.startswith("openalgo_ws_")]
    assert len(ours) > 30
    for family in ours:
        assert family.documentation.endswith("."), family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_kb")), family.name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples), family.name
        elif family.type == "gauge":
            assert not family.name.endswith(("_total", "_count")), family.name


def _linted(program: str, metrics: str) -> list[str]:
    """What promtool says about metrics of ours; those of the process are the client library's."""
    ran = subprocess.run(
        [program, "check", "metrics"], input=metrics, capture_output=True, text=True, timeout=30, check=False
    )
    # 3: there is something to say about style.
    assert ran.returncode in (0, 3), ran.stderr
    return [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("openalgo_ws_")]


@pytest_twisted.ensureDeferred
async def test_promtool_finds_nothing_wrong_with_the_metrics(watched: Any, dial: Any) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    one = watched()
    await dial(one.server, "alice-key")
    text = (await one.get("/metrics"))[1]

    assert _linted(promtool, text) == []
    assert _linted(promtool, text.replace("connections_opened_total", "connections_opened")) != []


@pytest_twisted.ensureDeferred
async def test_the_status_as_json(watched: Any, dial: Any) -> None:
    rig = watched()
    client = await dial(rig.server, "alice-key")
    await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
    code, status = await rig.json("/api/status")
    assert code == 200
    assert (status["version"], status["ready"], status["event_loop"]) == ("1.2.3", True, "clock")
    (feed,) = status["feeds"]
    assert (feed["tag"], feed["state"], feed["held"], feed["in_session"]) == ("alice", "connected", 7, True)
    (pool,) = status["accounts"][0]["pools"]
    assert (pool["load"], pool["capacity"]) == (7, 9000)
    assert pool["connections"][0]["tick_age"] == 1.5
    (shown,) = status["connections"]
    assert (shown["user"], shown["subscriptions"], shown["slow"]) == ("alice", 1, False)


def test_a_server_without_feeds_of_its_own(serve: Any) -> None:
    sources = Sources(version="1.2.3", gateway=serve().gateway, pulse=Pulse(Clock()))
    found = samples(Metrics(sources).text().decode())
    assert found["openalgo_ws_bus_messages_total", ()] == 0
    assert not any(name.startswith("openalgo_ws_feed") for name, _ in found)
    shown = snapshot(sources, 10.0, 4.0)
    assert (shown["uptime"], shown["ready"], shown["feeds"]) == (6.0, True, [])
    assert shown["latency_ms"] == {"p50": None, "p99": None}


GUARDED = ("/metrics", "/api/status")


@pytest.mark.parametrize("path", GUARDED)
@pytest_twisted.ensureDeferred
async def test_a_token_is_asked_for(watched: Any, secret: Any, path: str) -> None:
    secret(TOKEN)
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Cookie": "openalgo_ws_status=1.2"},
    ):
        answer, text = await rig.get(path, headers=headers)
        assert answer.code == 401
        assert msgspec.json.decode(text) == {"status": "error", "message": "the admin token is needed"}
    answer, _ = await rig.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.code == 200


@pytest_twisted.ensureDeferred
async def test_strangers_learn_whether_it_is_ready_and_no_more(watched: Any) -> None:
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    assert await rig.json("/healthz") == (200, {"ok": True})
    assert await rig.json("/readyz") == (200, {"ok": True})
    rig.feeds.state = FeedState.STALE
    assert await rig.json("/readyz") == (503, {"ok": False})


@pytest_twisted.ensureDeferred
async def test_guessing_ends_after_some_tries(watched: Any) -> None:
    rig = watched(WS_ADMIN_TOKEN=TOKEN)
    for _ in range(10):
        assert (await rig.json("/metrics", headers={"Authorization": "Bearer wrong"}))[0] == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert (await rig.json("/api/status", headers=right))[0] == 429
    rig.now += 301
    assert (await rig.json("/api/status", headers=right))[0] == 200


@pytest_twisted.ensureDeferred
async def test_a_name_that_was_made_to_point_here_is_refused(watched: Any) -> None:
    rig = watched()
    assert (await rig.json("/api/status", headers={"Host": "evil.example:8766"}))[0] == 403
    for host in ("localhost", "127.0.0.1:8766", "[::1]:8766"):
        assert (await rig.json("/api/status", headers={"Host": host}))[0] == 200, host


@pytest.mark.parametrize("more", [{}, {"WS_ADMIN_TOKEN": TOKEN, "WS_DEMO": "true"}])
def test_beyond_loopback_a_token_is_needed(more: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="STATUS_HOST"):
        load({}, {"STATUS_HOST": "0.0.0.0", **more}, None)


def test_beyond_loopback_with_a_token() -> None:
    load({}, {"STATUS_HOST": "0.0.0.0", "WS_ADMIN_TOKEN": TOKEN}, None)
    load({}, {"STATUS_HOST": "0.0.0.0", "STATUS_PORT": "0"}, None)


def _full(family: Any) -> str:
    """A family's name as one asks for it."""
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def _documented() -> dict[str, tuple[str, set[str], str]]:
    """name → (type, labels, what it says), from the table of docs/monitoring.md."""
    rows = re.findall(
        r"^\| `(openalgo_ws_\w+)` \| (\w+) \| ([^|]*) \| (.+) \|$", MONITORING.read_text(), re.M
    )
    return {name: (kind, set(re.findall(r"\w+", labels)), help) for name, kind, labels, help in rows}


@pytest_twisted.ensureDeferred
async def test_the_reference_of_metrics_is_current(watched: Any, dial: Any) -> None:
    rig = watched()
    client = await dial(rig.server, "alice-key")
    await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:NOSUCH"], mode="LTP")
    rig.server.publish(842.35)
    await client.next()
    rig.meter.ticks["alice"] = [0, 5, 0, 2]
    families = [
        family
        for family in text_string_to_metric_families((await rig.get("/metrics"))[1])
        if family.name.startswith("openalgo_ws_")
    ]

    documented = _documented()
    assert {name: (kind, help) for name, (kind, _, help) in documented.items()} == {
        _full(family): (family.type, family.documentation) for family in families
    }
    # What has not happened yet shows no labels.
    shown = {
        _full(family): {name for sample in family.samples for name in sample.labels} - {"le"}
        for family in families
        if family.samples
    }
    assert {name: documented[name][1] for name in shown} == shown
    assert sum(map(bool, shown.values())) > 15


@pytest_twisted.ensureDeferred
async def test_the_dashboard_asks_for_metrics_that_there_are(watched: Any) -> None:
    text = (await watched().get("/metrics"))[1]
    there = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
    there |= {f"{name}_bucket" for name in there}
    dashboard = msgspec.json.decode(DASHBOARD.read_bytes())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        for target in panel["targets"]:
            named = set(re.findall(r"\b(?:openalgo_ws|process)_\w+", target["expr"]))
            assert named, panel["title"]
            assert named <= there, panel["title"]
