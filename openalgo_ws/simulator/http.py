"""HTTP at the simulated broker: request heads, refusals, and plain calls answered by the adapter's side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from openalgo_ws.adapter import HttpRequest, HttpResponse, Refused, Upgrade

__all__ = ["BadHead", "Head", "Headers", "call_site", "refusal", "respond"]

#: The largest body of a call.
_LARGEST_BODY = 4 * 1024 * 1024


class BadHead(ValueError):
    """The head of a request can't be read."""


class Headers(Mapping[str, str]):
    """Header fields, found in any case, shown as they came. No readable repr: they hold tokens."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name.lower(): (name, value) for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


class Head(NamedTuple):
    """Request line and header fields."""

    method: str
    target: str
    headers: Headers

    @classmethod
    def parse(cls, data: bytes) -> Head:
        """Read everything up to the empty line; `BadHead` if it is no HTTP/1 request."""
        first, *lines = data.decode("latin-1").split("\r\n")
        parts = first.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
            raise BadHead("no HTTP/1 request line")
        fields: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadHead("no header field")
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
        return cls(parts[0], parts[1], Headers(fields))

    @property
    def is_upgrade(self) -> bool:
        """Whether the client wants a WebSocket."""
        return self.headers.get("Upgrade", "").lower() == "websocket"

    def upgrade(self) -> Upgrade:
        """The same as the adapter's side sees it."""
        path, _, query = self.target.partition("?")
        offered = (one.strip() for one in self.headers.get("Sec-WebSocket-Protocol", "").split(","))
        return Upgrade(
            host=_host_name(self.headers.get("Host", "")),
            path=path,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=self.headers,
            subprotocols=tuple(one for one in offered if one),
        )

    def without_secrets(self) -> bytes:
        """What Autobahn needs to do the handshake, and nothing that it might log."""
        kept = ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol")
        lines = ["GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"{name}: {self.headers[name]}" for name in kept if name in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def refusal(refused: Refused) -> bytes:
    """The answer to an upgrade that isn't granted; the connection is closed after it."""
    head = [f"HTTP/1.1 {refused.status} {_phrase(refused.status)}"]
    head += [f"{name}: {value}" for name, value in refused.headers.items()]
    head += [f"Content-Length: {len(refused.body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("utf-8") + refused.body


def call_site(answer: Callable[[HttpRequest], HttpResponse], reactor: Any) -> Site:
    """A twisted.web site that gives every call, whatever its path, to ``answer``.

    It is never started as a factory of its own, so it writes no access log (which would show tokens).
    """
    return Site(_Calls(answer), requestFactory=_BoundedRequest, reactor=reactor)


class _BoundedRequest(Request):
    """Drops a client whose body grows too large."""

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is None or self.content.tell() + len(data) > _LARGEST_BODY:
            self.channel.forceAbortClient()
        else:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]


class _Calls(Resource):
    isLeaf = True

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._answer = answer

    def render(self, request: Request) -> bytes:
        response = self._answer(_as_request(request))
        respond(request, response)
        return b"" if request.method == b"HEAD" else response.body


def respond(request: Request, response: HttpResponse) -> None:
    """Put status and headers on a twisted.web request; its body is for the caller to write."""
    request.setResponseCode(response.status, _phrase(response.status).encode("ascii"))
    for name, value in response.headers.items():
        request.setHeader(name.encode("latin-1"), value.encode("utf-8"))


def _as_request(request: Request) -> HttpRequest:
    headers = Headers(
        {
            name.decode("latin-1"): ", ".join(value.decode("latin-1") for value in values)
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
    )
    body = b"" if request.content is None else request.content.read()
    host = headers.get("Host", "127.0.0.1")
    # A broker's own host name means our gateway, redirected here: show it the URL that it asked for.
    scheme = "https" if request.isSecure() or not _is_local(_host_name(host)) else "http"
    return HttpRequest(
        method=request.method.decode("latin-1"),
        url=f"{scheme}://{host}{request.uri.decode('latin-1')}",
        headers=headers,
        text=body.decode("utf-8", "surrogateescape") if body else None,
    )


def _host_name(authority: str) -> str:
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _is_local(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host in ("", "localhost")
    return True


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
