"""What travels: how to dial, what to send, an HTTP request and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

__all__ = ["Close", "Dial", "HttpRequest", "HttpResponse", "Send", "Transport"]


class Transport(Enum):
    """How the broker's bytes are carried."""

    WEBSOCKET = "websocket"
    #: A bare byte stream under TLS (MQTT); message borders mean nothing.
    STREAM = "stream"


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to open the socket. Carries secrets: it has no readable repr.

    ``url`` is ``wss://…`` for a WebSocket and ``tls://host:port`` for a stream.
    """

    url: str
    transport: Transport = Transport.WEBSOCKET
    headers: Mapping[str, str] = {}
    subprotocols: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Dial {self.transport.value} {self.url.partition('?')[0]}>"


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP call. At most one of ``json``, ``form`` and ``text`` is the body.

    The body types become ``application/json``, ``application/x-www-form-urlencoded``
    and the ``Content-Type`` of ``headers`` respectively. Carries secrets: no readable repr.
    ``tag`` is the codec's own: it comes back untouched in `FeedCodec.answered`.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    json: Any = None
    form: Mapping[str, str] | None = None
    text: str | None = None
    tag: Any = None

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {self.url.partition('?')[0]}>"


class HttpResponse(msgspec.Struct, frozen=True):
    """The answer to an `HttpRequest`; ``body`` is decompressed."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}

    def json(self) -> Any:
        """The body as JSON, or None if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}, {len(self.body)} bytes>"


class Close(msgspec.Struct, frozen=True):
    """Close the socket politely, after everything sent before."""

    code: int = 1000
    reason: str = ""


#: What a codec may want sent: a text frame, a binary frame, an HTTP request, or a close.
Send = str | bytes | HttpRequest | Close
