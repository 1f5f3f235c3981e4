"""Fetching a broker's files: HTTPS with the certificate verified, bounded, with progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    RedirectAgent,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.error import Error as HttpError
from twisted.web.error import SchemeNotSupported
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from openalgo_ws.adapter import Adapter, HttpRequest
from openalgo_ws.feeds.body import TooLong, body_of
from openalgo_ws.feeds.reasons import reason_of
from openalgo_ws.symbols.loader import PARSER_ERRORS, MasterError

__all__ = ["Downloaded", "Downloader", "Progress", "download"]

#: Is told (file, bytes so far, bytes in all or None if the server does not say).
Progress = Callable[[str, int, int | None], None]

#: The largest file that is fetched, in bytes as they travel or, where the server packs them for
#: the way, unpacked.
LARGEST = 256 * 1024 * 1024


class Downloaded(msgspec.Struct, frozen=True):
    """The files that came, in the adapter's order, and for each that did not a line that says why."""

    files: list[tuple[str, bytes]]
    failed: list[MasterError]


async def download(
    downloader: Downloader,
    adapter: Adapter,
    credentials: Mapping[str, str],
    progress: Progress | None = None,
) -> Downloaded:
    """Fetch all files of a broker's master, one after the other; of a list, what it
    names; of a page, those that follow it.

    ``credentials`` are those of a session with the broker, or empty: most brokers give their files
    to everybody. MasterError if the adapter can't say without credentials where its files are.
    """
    try:
        requests = adapter.master_files(credentials)
    except PARSER_ERRORS:
        raise MasterError(f"{adapter.title} gives its instruments only to those with a login") from None
    result = Downloaded([], [])

    async def fetch(name: str, request: HttpRequest) -> bytes | None:
        try:
            return await downloader.fetch(name, request, progress)
        except MasterError as error:
            result.failed.append(error)
            return None

    async def follow(name: str, data: bytes) -> None:
        """The pages after this one. A name that came before ends a list of pages that runs in circles."""
        seen = {name}
        pages = adapter.next_page(name, data) if adapter.next_page is not None else {}
        while pages and adapter.next_page is not None:
            name, request = next(iter(pages.items()))
            content = None if name in seen else await fetch(name, request)
            if content is None:
                return
            seen.add(name)
            result.files.append((name, content))
            pages = adapter.next_page(name, content)

    for name, request in requests.items():
        data = await fetch(name, request)
        if data is None:
            continue
        linked = adapter.linked_files(name, data) if adapter.linked_files is not None else {}
        if not linked:
            result.files.append((name, data))
            await follow(name, data)
        for member, link in linked.items():
            content = await fetch(member, link)
            if content is not None:
                result.files.append((member, content))
    return result


class Downloader:
    """Fetches files.

    A file may take as long as it likes, but no longer than ``patience`` seconds without a byte, and
    may have ``largest`` bytes. Redirects are followed, never from HTTPS to HTTP, and to another
    host without the headers of the request: they may hold the login.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        policy: IPolicyForHTTPS | None = None,
        patience: float = 30.0,
        largest: int = LARGEST,
    ) -> None:
        self._reactor = reactor
        self._patience = patience
        self._largest = largest
        self._agent = Agent(
            reactor, contextFactory=policy or BrowserLikePolicyForHTTPS(), connectTimeout=patience
        )

    async def fetch(self, name: str, request: HttpRequest, progress: Progress | None = None) -> bytes:
        """The body of the answer; MasterError, with the file's name, if there is none."""
        silence = _Silence(self._reactor, self._patience)
        flow = Deferred.fromCoroutine(self._fetch(name, request, silence, progress))
        silence.begin(flow)
        try:
            return await flow
        except _Refused as refused:
            raise MasterError(f"{name}: {refused}") from None
        except _NETWORK_ERRORS as error:
            if silence.too_long:
                raise MasterError(f"{name}: nothing came for {self._patience:g} s") from None
            if isinstance(error, CancelledError):
                raise
            raise MasterError(f"{name}: {reason_of(Failure())}") from None
        finally:
            silence.end()

    async def _fetch(
        self, name: str, request: HttpRequest, silence: _Silence, progress: Progress | None
    ) -> bytes:
        response: IResponse = await HTTPClient(self._agent_for(request)).request(
            request.method,
            request.url,
            headers=_headers(request),
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
            **_body(request),
        )
        total = None if response.length is UNKNOWN_LENGTH else int(response.length)
        if response.code != 200 or (total is not None and total > self._largest):
            response.deliverBody(_Unwanted())
        if response.code != 200:
            raise _Refused(f"the broker answered HTTP {response.code}")
        if total is not None and total > self._largest:
            raise _Refused(_too_large(self._largest))

        def arrived(size: int) -> None:
            silence.broken()
            if progress is not None:
                progress(name, size, total)

        try:
            return await body_of(response, self._largest, arrived)
        except TooLong:
            raise _Refused(_too_large(self._largest)) from None

    def _agent_for(self, request: HttpRequest) -> IAgent:
        agent = _NoDowngrade(self._agent) if request.url.lower().startswith("https:") else self._agent
        return RedirectAgent(agent, sensitiveHeaderNames=[each.encode("ascii") for each in request.headers])


class _Refused(Exception):
    """There is an answer, but not one to be used; the message is for people."""


#: How the network fails.
_NETWORK_ERRORS = (
    CancelledError,
    CertificateError,
    ConnectError,
    ConnectionClosed,
    DNSLookupError,
    HttpError,
    PotentialDataLoss,
    RequestTransmissionFailed,
    ResponseFailed,
    SSL.Error,
    SchemeNotSupported,
    VerificationError,
)


@implementer(IAgent)
class _NoDowngrade:
    """Follows no redirect from HTTPS to HTTP."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        if not uri.lower().startswith(b"https:"):
            return fail(_Refused("the broker redirects to a place without TLS"))
        return self._agent.request(method, uri, headers, bodyProducer)


class _Silence:
    """Cancels a flow when nothing has come for too long."""

    def __init__(self, reactor: Any, patience: float) -> None:
        self._reactor = reactor
        self._patience = patience
        self._end: IDelayedCall | None = None
        self.too_long = False

    def begin(self, flow: Deferred[bytes]) -> None:
        """Watch this flow from now on."""

        def expire() -> None:
            self._end = None
            self.too_long = True
            flow.cancel()

        if not flow.called:
            self._end = self._reactor.callLater(self._patience, expire)

    def broken(self) -> None:
        """Something came."""
        if self._end is not None:
            self._end.reset(self._patience)

    def end(self) -> None:
        """Watch no more."""
        if self._end is not None:
            self._end.cancel()
            self._end = None


def _too_large(largest: int) -> str:
    return f"larger than {largest // 2**20} MB"


class _Unwanted(Protocol):
    """A body that is not read: without this its connection would stay open."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


def _headers(request: HttpRequest) -> Headers:
    headers = Headers()
    for name, value in request.headers.items():
        headers.setRawHeaders(name, [value])
    return headers


def _body(request: HttpRequest) -> dict[str, Any]:
    """The body, in treq's words."""
    if request.json is not None:
        return {"json": request.json}
    if request.form is not None:
        return {"data": dict(request.form)}
    return {} if request.text is None else {"data": request.text.encode()}
