"""Which pages may connect: the ``Origin`` that browsers send, and programs do not."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

__all__ = ["ANY", "LOOPBACK", "allowed_origins", "origin_patterns"]

ANY = ("*",)
LOOPBACK = tuple(
    f"{scheme}://{host}:*" for scheme in ("http", "https") for host in ("localhost", "127.0.0.1", "[::1]")
)
_PORTS = {"http": 80, "https": 443}


def allowed_origins(configured: tuple[str, ...], *, auth_required: bool) -> tuple[str, ...]:
    """What is allowed where nothing is configured: any page that shows an API key. Where none is
    asked for, pages of this machine alone, as any page in its browser could reach the port."""
    return configured or (ANY if auth_required else LOOPBACK)


def origin_patterns(origins: Iterable[str]) -> list[str]:
    """Origins in the form that Autobahn compares: always with a port, IPv6 without brackets.

    ``*`` stands for anything, in the place of a host, a part of it or a port.
    """
    return [_pattern(origin) for origin in origins]


def _pattern(origin: str) -> str:
    if origin == "*":
        return origin
    parts = urlsplit(origin.lower())
    host, colon, port = parts.netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = parts.netloc, str(_PORTS[parts.scheme])
    return f"{parts.scheme}://{host.removeprefix('[').removesuffix(']')}:{port}"
