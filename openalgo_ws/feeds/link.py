"""A socket as a connection sees it: what it can be told, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import (
    IReactorCore,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
)

from openalgo_ws.adapter import Dial

__all__ = [
    "Closed",
    "Dialler",
    "Ending",
    "FeedReactor",
    "Link",
    "LinkListener",
    "Refused",
    "Unreachable",
]


class FeedReactor(IReactorTime, IReactorTCP, IReactorCore, IReactorPluggableNameResolver):
    """What feeds need of a reactor."""


@dataclass(frozen=True)
class Unreachable:
    """There never was a socket: no route, no name, no TLS, a broken handshake.

    ``message`` is for people and holds no secret.
    """

    message: str


@dataclass(frozen=True)
class Refused:
    """The upgrade was answered with an HTTP status other than 101. The body is cut at 64 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Closed:
    """An open socket is gone. ``code`` is None for a stream or a bare drop."""

    code: int | None
    reason: str


Ending = Unreachable | Refused | Closed


class LinkListener(Protocol):
    """Who hears of a socket. After `ended` nothing more is said."""

    def opened(self) -> None:
        """The socket is open, the upgrade done."""

    def received(self, data: str | bytes) -> None:
        """A message, or a piece of a stream."""

    def heard(self, size: int) -> None:
        """Bytes of any kind came (before `received` and `ponged`)."""

    def ponged(self, payload: bytes) -> None:
        """The peer answered a ping."""

    def ended(self, ending: Ending) -> None:
        """The socket is gone, or never came to be. Said exactly once."""


class Link(Protocol):
    """One socket, from dialling to its end. Every call is harmless after the end."""

    def send(self, data: str | bytes) -> None:
        """Send a text or binary message (a stream: the bytes)."""

    def ping(self, payload: bytes) -> None:
        """Send a WebSocket ping; nothing on a stream."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close politely, after everything sent before; by force if the peer doesn't answer within a
        second. While dialling: give up."""

    def abort(self) -> None:
        """Drop the socket now."""


class Dialler(Protocol):
    """Opens sockets."""

    def dial(self, dial: Dial, listener: LinkListener) -> Link:
        """Begin to open a socket. ``listener`` is not called before this returns."""
