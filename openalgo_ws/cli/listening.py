"""Where a server of this configuration listens, as the commands need to know it."""

from __future__ import annotations

from typing import NamedTuple

from openalgo_ws.config import endpoint_parts

__all__ = ["Listening", "listening_of"]


class Listening(NamedTuple):
    """A TCP port. ``host`` is an address, "" for all; ``tls``: of an ``ssl:`` endpoint."""

    host: str
    port: int
    tls: bool


def listening_of(endpoint: str) -> Listening | None:
    """What a ``tcp:``, ``tcp6:`` or ``ssl:`` endpoint listens on; None for others (systemd, unix, …)."""
    kind, positional, named = endpoint_parts(endpoint)
    port = named.get("port", positional[0] if positional else "")
    if kind not in ("tcp", "tcp6", "ssl") or not port.isdecimal():
        return None
    return Listening(named.get("interface", "::" if kind == "tcp6" else ""), int(port), kind == "ssl")
