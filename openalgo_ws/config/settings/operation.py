"""Operation: the log, the status port, alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from openalgo_ws.config.alerts import DEFAULT_ALERTS, AlertRule, AlertText
from openalgo_ws.config.composite import ListOf, MapOf
from openalgo_ws.config.declare import setting
from openalgo_ws.config.kinds import Choice, NewFile, Text, Whole
from openalgo_ws.config.masked import SecretText, SecretUrl, Url
from openalgo_ws.config.secret import Secret

__all__ = ["OperationSettings"]

_OPERATION = "Operation"

_LEVEL = Choice(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))


@dataclass(frozen=True, kw_only=True, repr=False)
class OperationSettings:
    """What concerns those who run the server."""

    log_level: str = setting(
        "LOG_LEVEL",
        _LEVEL,
        "WARNING",
        _OPERATION,
        "Least level that is logged.",
    )
    log_levels: Mapping[str, str] = setting(
        "LOG_LEVELS",
        MapOf(_LEVEL, "ROOM", ","),
        MappingProxyType({}),
        _OPERATION,
        "Least level for one logger and those below it, as it is named in the log, such as feeds=DEBUG or "
        "feeds.zerodha=DEBUG,gateway=INFO.",
        default_text="LOG_LEVEL",
    )
    log_format: str = setting(
        "LOG_FORMAT",
        Choice(("text", "json"), synonym=("%(", "text")),
        "text",
        _OPERATION,
        "Text for people or one JSON object a line (OpenAlgo's own kind of LOG_FORMAT counts as text).",
    )
    status_port: int = setting(
        "STATUS_PORT",
        Whole(0, 65535, "PORT"),
        8766,
        _OPERATION,
        "TCP port of the status page, /metrics, /healthz, /readyz and /api/status; 0 is none.",
    )
    proxy_stats_file: Path | None = setting(
        "WS_PROXY_STATS_FILE",
        NewFile(),
        None,
        _OPERATION,
        "File to which connections, symbols and clients are written every 10 seconds, such as "
        "log/ws_proxy_stats.json of an OpenAlgo installation.",
        default_text="none",
    )
    websocket_url: str | None = setting(
        "WEBSOCKET_URL",
        Url(("ws", "wss")),
        None,
        _OPERATION,
        "Address of the gateway that /api/websocket/config tells browsers, where a proxy gives it another.",
        default_text="the host that the request names, and WEBSOCKET_PORT",
    )
    status_host: str = setting(
        "STATUS_HOST",
        Text("ADDRESS", "an address"),
        "127.0.0.1",
        _OPERATION,
        "Address of the status port. Beyond loopback it needs WS_ADMIN_TOKEN.",
    )
    admin_token: Secret | None = setting(
        "WS_ADMIN_TOKEN",
        SecretText(least=16),
        None,
        _OPERATION,
        "Whoever shows it may see the status port: as a Bearer token, or in the page's login form. "
        "Without it every program of this machine may.",
        default_text="none",
    )

    alerts: tuple[AlertRule, ...] = setting(
        "WS_ALERTS",
        ListOf(AlertText()),
        (),
        _OPERATION,
        "When to raise an alert, and when to clear it (docs/monitoring.md). A rule replaces the default ones "
        "for its measure.",
        default_text=", ".join(DEFAULT_ALERTS),
    )
    alert_webhook: Secret | None = setting(
        "WS_ALERT_WEBHOOK",
        SecretUrl(),
        None,
        _OPERATION,
        "Where alerts are posted as JSON when they are raised and cleared.",
        default_text="nowhere",
    )
