"""The codec: one connection's worth of a broker's protocol, without I/O, clock or threads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from openalgo_ws.adapter.events import Cause, Event, Verdict
from openalgo_ws.adapter.wire import Dial, HttpRequest, HttpResponse, Send
from openalgo_ws.tick import Instrument, Wish

__all__ = ["Change", "CodecFactory", "Environment", "FeedCodec"]


class Environment(Protocol):
    """What a codec may know of the world, passed in so that a test can fix it."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def random(self, n: int) -> bytes:
        """``n`` random bytes."""


class Change(NamedTuple):
    """The wish for one instrument on this connection goes from ``old`` to ``new``; None = not held."""

    instrument: Instrument
    old: Wish | None
    new: Wish | None


class FeedCodec(ABC):
    """One connection of one feed: ``frames in → events out``, ``intent in → things to send out``.

    A codec is made for every connection anew and knows what is held on it (only
    through `change`). Text frames arrive as ``str``, binary frames and stream
    bytes as ``bytes``. It never raises for any input: what does not follow the
    protocol becomes a `Malformed` event, and everything before it still counts.
    """

    @abstractmethod
    def dial(self) -> Dial:
        """Where to connect, with the credentials given at construction."""

    def opened(self) -> list[Send]:
        """What to send as soon as the socket is open (the login, if there is one)."""
        return []

    @abstractmethod
    def change(self, changes: Sequence[Change]) -> list[Send]:
        """What to send for these changes of wish, already cut to the broker's per-frame limit.

        Called only after the login is through. An instrument occurs at most once.
        """

    @abstractmethod
    def received(self, data: str | bytes) -> list[Event]:
        """Decode one frame (or one piece of a stream)."""

    def answered(self, request: HttpRequest, response: HttpResponse | None) -> list[Event]:
        """The answer to an `HttpRequest` that `change` asked for; None = no answer came."""
        return []

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        """The upgrade was answered with an HTTP status other than 101."""
        if status in (401, 403):
            return Verdict(Cause.TOKEN, f"the broker refused the connection (HTTP {status})")
        if status == 429:
            return Verdict(Cause.TOO_MANY, "too many connections (HTTP 429)", 60.0)
        return Verdict(Cause.TRANSIENT, f"the broker refused the connection (HTTP {status})")

    def closed(self, code: int | None, reason: str) -> Verdict:
        """The socket is gone; ``code`` is the close code, None for a stream or a bare drop."""
        how = "without a word" if code is None else f"with code {code}"
        return Verdict(Cause.TRANSIENT, f"closed by the broker {how}")

    def heartbeat(self) -> Send | None:
        """The application's heartbeat, called every ``heartbeat_interval`` of the feed."""
        return None


#: Makes a codec from the credentials (after `Feed.authorise`, where there is one).
CodecFactory = Callable[[Mapping[str, str], Environment], FeedCodec]
