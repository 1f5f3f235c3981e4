"""What one setting asks of another."""

from __future__ import annotations

import ipaddress

from openalgo_ws.config.errors import SettingsError
from openalgo_ws.config.settings import Settings

__all__ = ["check", "endpoint_parts", "is_loopback", "stays_on_loopback"]


def check(settings: Settings) -> None:
    """SettingsError if two settings contradict each other."""
    if settings.zmq_mode == "connect" and not settings.zmq_endpoints:
        raise SettingsError("ZMQ_MODE", "connect", "needs ZMQ_ENDPOINTS, which is not set")
    if settings.throttle_ms < settings.throttle_min_ms:
        raise SettingsError(
            "WS_THROTTLE_MS", str(settings.throttle_ms), "allowed is WS_THROTTLE_MIN_MS or more"
        )
    slots = settings.disruptor_buffer_size
    if slots & (slots - 1):
        raise SettingsError("DISRUPTOR_BUFFER_SIZE", str(slots), "allowed is a power of two")
    _check_status(settings)
    _check_role(settings)
    if settings.workers > 1:
        for endpoint in settings.endpoints():
            if endpoint_parts(endpoint)[0] not in ("tcp", "tcp6", "ssl"):
                raise SettingsError("WS_WORKERS", str(settings.workers), f"can't share {endpoint}")
    if settings.feed_shards > 1 and (settings.demo or settings.feeds != "own"):
        why = "the demo has one feed" if settings.demo else "there are none with WS_FEEDS other than own"
        raise SettingsError("WS_FEED_SHARDS", str(settings.feed_shards), why)
    if settings.feed_partitions > 1 and settings.feeds != "own":
        why = "there are none with WS_FEEDS other than own"
        raise SettingsError("WS_FEED_PARTITIONS", str(settings.feed_partitions), why)
    for endpoint in settings.endpoints():
        if stays_on_loopback(endpoint):
            continue
        where = "WS_LISTEN" if settings.listen else "WEBSOCKET_HOST"
        value = endpoint if settings.listen else settings.websocket_host
        if settings.demo:
            raise SettingsError(where, value, "the demo listens on loopback only, such as 127.0.0.1")
        if not settings.auth_required:
            raise SettingsError(
                where, value, "with AUTH_REQUIRED=false only loopback is allowed, such as 127.0.0.1"
            )


def _check_role(settings: Settings) -> None:
    if settings.chosen_bus() != "nats":
        if settings.role != "all":
            raise SettingsError("WS_ROLE", settings.role, "needs NATS: WS_BUS=nats://HOST:PORT")
        if settings.nats_credentials is not None:
            raise SettingsError("WS_NATS_CREDENTIALS", None, "needs NATS: WS_BUS=nats://HOST:PORT")
        if settings.feed_partitions > 1:
            raise SettingsError(
                "WS_FEED_PARTITIONS", str(settings.feed_partitions), "needs NATS: WS_BUS=nats://HOST:PORT"
            )
        return
    if settings.role == "all":
        raise SettingsError("WS_BUS", None, "with NATS WS_ROLE must be feeds or gateway")
    for variable, count in (("WS_WORKERS", settings.workers), ("WS_FEED_SHARDS", settings.feed_shards)):
        if count > 1:
            raise SettingsError(variable, str(count), "with NATS each process is started by itself")
    if settings.demo:
        raise SettingsError("WS_BUS", None, "the demo is one process, without NATS")


def _check_status(settings: Settings) -> None:
    if not settings.status_port and (settings.alerts or settings.alert_webhook):
        what = "WS_ALERTS" if settings.alerts else "WS_ALERT_WEBHOOK"
        raise SettingsError(what, None, "the status port measures for it, and STATUS_PORT is 0")
    if not settings.status_port or is_loopback(settings.status_host):
        return
    if settings.demo:
        raise SettingsError("STATUS_HOST", settings.status_host, "the demo listens on loopback only")
    if settings.admin_token is None:
        raise SettingsError("STATUS_HOST", settings.status_host, "beyond loopback WS_ADMIN_TOKEN must be set")


def is_loopback(address: str) -> bool:
    """Whether an address as written can be reached from this machine alone."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def stays_on_loopback(endpoint: str) -> bool:
    """Whether a Twisted server endpoint accepts connections of this machine alone.

    Endpoints whose address isn't in the string (systemd, plug-ins) count as open to others.
    """
    kind, _, arguments = endpoint_parts(endpoint)
    if kind == "unix":
        return True
    return kind in ("tcp", "tcp6", "ssl") and is_loopback(arguments.get("interface", ""))


def endpoint_parts(endpoint: str) -> tuple[str, list[str], dict[str, str]]:
    """The kind, the positional and the named arguments of a Twisted endpoint string.

    A backslash quotes what follows it.
    """
    parts = [""]
    quoted = False
    for character in endpoint:
        if quoted:
            parts[-1] += character
            quoted = False
        elif character == "\\":
            quoted = True
        elif character == ":":
            parts.append("")
        else:
            parts[-1] += character
    positional = [part for part in parts[1:] if "=" not in part]
    named = (part.partition("=") for part in parts[1:])
    return parts[0], positional, {name: value for name, equals, value in named if equals}
