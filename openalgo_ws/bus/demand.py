"""Demand: the one small interface between the gateway and the feeds.

Ticks flow one way, over the bus. Wishes flow the other way, through here: what
the gateway's clients want, what was granted, and how the feeds are. It has a
local implementation (`openalgo_ws.feeds.manager`), one for publishers outside
(`ExternalDemand`), and a remote one (`openalgo_ws.scale.remote`): nothing here returns live objects.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from typing import Protocol

import msgspec
from twisted.internet.defer import Deferred, succeed

from openalgo_ws.tick import Wish

__all__ = [
    "UNTAGGED",
    "Demand",
    "DemandListener",
    "Denied",
    "ExternalDemand",
    "FeedState",
    "Granted",
    "Hold",
    "NoDemand",
    "Status",
    "Want",
]

#: The feed tag of publishers that don't name themselves: the platform's own processes.
UNTAGGED = ""


class FeedState(Enum):
    """How a user's feed is, in the words of the client protocol (``adapter_status``)."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    RECONNECTING = "reconnecting"
    AUTH_FAILED = "auth_failed"
    STALE = "stale"
    DISCONNECTED = "disconnected"


class Status(msgspec.Struct, frozen=True):
    """State of the feed that serves a user; ``broker`` is None where no usable session exists."""

    broker: str | None
    state: FeedState
    message: str = ""


class Want(msgspec.Struct, frozen=True, array_like=True):
    """One instrument wanted by one client."""

    symbol: str
    exchange: str
    wish: Wish


class Granted(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The want is held from now on, under the feed tag ``feed``.

    ``wish`` is what was granted (a shallower book than asked, perhaps). ``pending``: the broker
    connection is not up, the subscription goes out when it is. ``price_scale`` and ``qty_scale``
    are the decimals of the instrument's prices and quantities.
    """

    feed: str
    broker: str | None
    wish: Wish
    pending: bool = False
    price_scale: int = 2
    qty_scale: int = 0


class Denied(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The want is not held; ``code`` is one of the client protocol's error codes."""

    code: str
    message: str
    broker: str | None = None


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """One granted want, named as it was granted, to be given back."""

    feed: str
    symbol: str
    exchange: str
    wish: Wish


class DemandListener(Protocol):
    """What the gateway wants to hear from the feeds."""

    def status_changed(self, users: Collection[str], status: Status) -> None:
        """The feed that serves these users changed its state."""

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        """The broker turned down a subscription that had been granted. The holds stay until
        they are given back."""


class Demand(Protocol):
    """Reference-counted wishes. Every `Granted` must be given back by exactly one `release`."""

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        """Hold each want; one answer each, in order. Never fails."""

    def release(self, holds: Sequence[Hold]) -> None:
        """Give granted wants back."""

    def status(self, user: str) -> Deferred[Status]:
        """The state of the feed that serves this user. Never fails."""

    def watch_orders(self, user: str, wanted: bool) -> None:
        """Somebody wants this user's order updates, or nobody does any more. They come by the bus."""

    def feed_of(self, user: str) -> str | None:
        """The tag under which this user's wants will be granted, where ticks may come before the
        answer; None where they don't, or nobody knows."""

    def supported_brokers(self) -> list[str]:
        """Names of the brokers this server speaks to, sorted."""

    def listen(self, listener: DemandListener) -> None:
        """Report changes to this listener from now on."""


class ExternalDemand:
    """``--feeds external``: publishers outside feed the bus, anything well-formed may be held."""

    def __init__(self, brokers: Sequence[str] = ()) -> None:
        self._brokers = sorted(brokers)

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        answers: list[Granted | Denied] = [Granted(UNTAGGED, None, want.wish) for want in wants]
        return succeed(answers)

    def release(self, holds: Sequence[Hold]) -> None:
        """Nothing is counted: the bus carries everything anyway."""

    def status(self, user: str) -> Deferred[Status]:
        return succeed(Status(None, FeedState.CONNECTED, "fed by publishers outside"))

    def watch_orders(self, user: str, wanted: bool) -> None:
        """Publishers outside publish them anyway."""

    def feed_of(self, user: str) -> str | None:
        return None

    def supported_brokers(self) -> list[str]:
        return self._brokers

    def listen(self, listener: DemandListener) -> None:
        """There are no changes to report."""


class NoDemand:
    """``--feeds none``: no feed at all; every subscribe is answered with BROKER_ERROR."""

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        answers: list[Granted | Denied] = [
            Denied("BROKER_ERROR", "This server runs without feeds") for _ in wants
        ]
        return succeed(answers)

    def release(self, holds: Sequence[Hold]) -> None:
        """Nothing was granted."""

    def status(self, user: str) -> Deferred[Status]:
        return succeed(Status(None, FeedState.DISCONNECTED, "this server runs without feeds"))

    def watch_orders(self, user: str, wanted: bool) -> None:
        """There is nothing to watch."""

    def feed_of(self, user: str) -> str | None:
        return None

    def supported_brokers(self) -> list[str]:
        return []

    def listen(self, listener: DemandListener) -> None:
        """There are no changes to report."""
