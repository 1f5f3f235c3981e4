"""``/api/status`` and ``/readyz``: how the server is, as JSON."""

from __future__ import annotations

from collections.abc import Set
from heapq import nlargest
from typing import Any

import msgspec

from openalgo_ws.bus.demand import FeedState
from openalgo_ws.gateway.session import Session
from openalgo_ws.ops.sources import Sources

__all__ = ["clients_of", "readiness", "snapshot"]

#: So many clients are listed, those that are furthest behind first.
_CLIENTS = 200


def readiness(sources: Sources, due: Set[str] | None = None) -> dict[str, Any]:
    """Whether every feed is live, or has nothing to do: none of its exchanges trades now.

    ``due`` are those that have, where that is known already.
    """
    feeds = {}
    ok = True
    if sources.feeds is not None:
        due = sources.due() if due is None else due
        for tag, status in sources.feeds.feed_states().items():
            live = status.state is FeedState.CONNECTED
            asleep = not live and tag not in due
            ok = ok and (live or asleep)
            feeds[tag] = "asleep" if asleep else status.state.value
    if sources.served is not None:
        served = sources.served()
        return {"ok": ok and served, "feeds": feeds, "served": served}
    if sources.workers is None:
        return {"ok": ok, "feeds": feeds}
    workers = sources.workers.ready()
    # One that is being replaced is no outage as long as others serve.
    return {"ok": ok and "ready" in workers.values(), "feeds": feeds, "workers": workers}


def snapshot(sources: Sources, now: float, began: float) -> dict[str, Any]:
    """Everything at ``now``, of a server that ``began`` then (both the reactor's seconds).

    Times are in seconds, but for the latency, which is in milliseconds.
    """
    feeds = sources.feeds
    ticks = {} if sources.meter is None else sources.meter.ticks
    due = sources.due()
    return {
        "version": sources.version,
        "event_loop": sources.pulse.loop,
        "uptime": now - began,
        "ready": readiness(sources, due)["ok"],
        **_gateway(sources),
        "outboxes": sources.outboxes(),
        "encoded": sources.encoded(),
        "deliveries": sources.deliveries(),
        "bytes_sent": sources.bytes_sent(),
        "backlog": 0 if sources.bus is None else sources.bus.backlog(),
        "latency_ms": _latency(sources),
        "feeds": [
            {
                **msgspec.to_builtins(feed),
                "in_session": feed.tag in due,
                "ticks": sum(ticks.get(feed.tag, ())),
            }
            for feed in (() if feeds is None else feeds.feed_reports())
        ],
        "accounts": msgspec.to_builtins([] if feeds is None else feeds.account_reports()),
        "connections": clients_of(sources, now),
        **_workers(sources),
    }


def clients_of(sources: Sources, now: float, most: int = _CLIENTS) -> list[dict[str, Any]]:
    """The clients, those that are furthest behind first."""
    here = nlargest(most, sources.gateway.clients(), key=lambda session: session.writer.waiting)
    shown = [_client(sources, session, now) for session in here]
    if sources.workers is None:
        return shown
    for report in sources.workers.reports.latest.values():
        shown += report.clients
    return nlargest(most, shown, key=lambda client: client["waiting"])


def _gateway(sources: Sources) -> dict[str, Any]:
    """What gateways have done; what came from the bus is counted here, once."""
    status = sources.gateway.status()
    if sources.workers is not None:
        for key in ("clients", "users", "conflated"):
            status[key] += sources.workers.reports.total(key)
    return status


def _workers(sources: Sources) -> dict[str, Any]:
    if sources.workers is None:
        return {}
    latest = sources.workers.reports.latest
    return {
        "workers": {
            name: {"pid": report.pid, **{key: report.status[key] for key in ("clients", "deliveries")}}
            for name, report in latest.items()
        }
    }


def _latency(sources: Sources) -> dict[str, float | None]:
    probe = sources.probe
    if probe is None:
        return {"p50": None, "p99": None}
    found = {name: probe.percentile(share) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {name: None if value is None else round(value * 1000, 3) for name, value in found.items()}


def _client(sources: Sources, session: Session, now: float) -> dict[str, Any]:
    writer = session.writer
    return {
        "user": session.user,
        "address": session.address,
        "format": session.format,
        "throttle_ms": session.throttle_ms,
        "subscriptions": len(session.holdings),
        "waiting": writer.waiting,
        "slow": sources.gateway.router.delivery.behind(writer),
        "bytes_sent": writer.bytes_sent,
        "connected": now - session.since,
    }
