"""The kinds of resource that the status port is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from openalgo_ws.ops.access import Access, Entry

__all__ = ["Answering", "Document", "Folder", "Guarded", "Json", "refusal", "show_json"]

#: A page of ours runs our scripts only, talks to this server only, and sits in nobody's frame.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

Read = Callable[[], Mapping[str, Any]]


def _head(request: Request, kind: str) -> None:
    request.setHeader(b"content-type", kind.encode())
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-security-policy", _POLICY)
    request.setHeader(b"x-content-type-options", b"nosniff")
    request.setHeader(b"referrer-policy", b"no-referrer")


def show_json(request: Request, value: Any) -> bytes:
    """A value as the answer."""
    _head(request, "application/json")
    return msgspec.json.encode(value) + b"\n"


def refusal(request: Request, entry: Entry) -> bytes:
    """The answer to a request that is not admitted."""
    request.setResponseCode(entry.value)
    if entry is Entry.UNKNOWN:
        request.setHeader(b"www-authenticate", b'Bearer realm="openalgo-ws"')
    messages = {
        Entry.UNKNOWN: "the admin token is needed",
        Entry.FORBIDDEN: "not allowed",
        Entry.TOO_MANY: "too many wrong tokens, try again later",
    }
    return show_json(request, {"status": "error", "message": messages[entry]})


class Folder(Resource):
    """Other resources under their names; nothing else is there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def getChild(self, path: bytes, request: Request) -> Resource:
        """What there is for a name that nothing has."""
        return _Nothing()

    def render(self, request: Request) -> bytes:
        """A folder itself shows nothing."""
        return _Nothing().render(request)


class _Nothing(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render(self, request: Request) -> bytes:
        request.setResponseCode(404)
        return show_json(request, {"status": "error", "message": "there is nothing here"})


class Document(Resource):
    """Bytes of some kind; what they are is asked for at each request."""

    isLeaf = True

    def __init__(self, kind: str, read: Callable[[], bytes]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kind = kind
        self._read = read

    def render_GET(self, request: Request) -> bytes:
        """The document."""
        _head(request, self._kind)
        return self._read()


class Json(Resource):
    """A resource that shows what a function returns; 503 where ``ok`` is in it and false."""

    isLeaf = True

    def __init__(self, read: Read) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._read = read

    def render_GET(self, request: Request) -> bytes:
        """What the function returns, as JSON."""
        shown = self._read()
        if not shown.get("ok", True):
            request.setResponseCode(503)
        return show_json(request, shown)


class Answering(Resource):
    """A resource whose answer (a code and the content) is waited for."""

    isLeaf = True
    log = Logger()

    def __init__(self, answer: Callable[[Request], Awaitable[tuple[int, Any]]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._answer = answer

    def render_GET(self, request: Request) -> int:
        """The answer, when it is there."""

        async def answer() -> None:
            code, content = await self._answer(request)
            request.setResponseCode(code)
            request.write(show_json(request, content))
            request.finish()

        def broke(failure: Failure) -> None:
            if failure.check(CancelledError):
                return
            self.log.failure("a request to the status port could not be answered", failure)
            request.setResponseCode(500)
            request.finish()

        running = Deferred.fromCoroutine(answer()).addErrback(broke)
        # Whoever has left wants no answer.
        request.notifyFinish().addErrback(lambda _: running.cancel())
        return NOT_DONE_YET


class Guarded(Resource):
    """Another resource, for those who are admitted; ``otherwise`` is shown to strangers."""

    isLeaf = True

    def __init__(self, access: Access, inner: Any, otherwise: Resource | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._access = access
        self._inner = inner
        self._otherwise = otherwise

    def render(self, request: Request) -> Any:
        """The other resource's answer, or a refusal."""
        entry = self._access.entry(request)
        if entry is Entry.ADMITTED:
            return self._inner.render(request)
        if self._otherwise is not None and entry is Entry.UNKNOWN:
            request.setResponseCode(entry.value)
            return self._otherwise.render(request)
        return refusal(request, entry)
