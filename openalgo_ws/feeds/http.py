"""HTTP calls of authorise steps and of brokers that subscribe over HTTP."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    ContentDecoderAgent,
    FileBodyProducer,
    GzipDecoder,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from openalgo_ws.adapter import HttpRequest, HttpResponse
from openalgo_ws.feeds.address import Address, BadAddress, resolve
from openalgo_ws.feeds.body import body_of
from openalgo_ws.feeds.link import FeedReactor
from openalgo_ws.feeds.reasons import reason_of
from openalgo_ws.feeds.trust import Trust

__all__ = ["BrokerHttp", "HttpCaller", "OneConnection"]


class HttpCaller(Protocol):
    """Makes HTTP calls to a broker."""

    def call(self, request: HttpRequest) -> Deferred[HttpResponse | None]:
        """The answer, or None if none came in time. Never fails, except when it is cancelled."""


class BrokerHttp:
    """`HttpCaller` over the network, without a pool, redirects or cookies.

    ``base_url`` is the feed's override (``ws://`` stands for ``http://``, ``wss://`` for
    ``https://``); the Host header stays the broker's own. An answer that takes longer than
    ``timeout`` seconds or is longer than ``largest`` bytes is none.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: FeedReactor,
        *,
        trust: Trust,
        base_url: str | None = None,
        timeout: float = 15.0,
        largest: int = 16 * 1024 * 1024,
    ) -> None:
        self._reactor = reactor
        self._trust = trust
        self._base_url = base_url
        self._timeout = timeout
        self._largest = largest

    def call(self, request: HttpRequest) -> Deferred[HttpResponse | None]:
        try:
            address = resolve(request.url, self._base_url)
            headers, body = _encoded(request, address)
        except (BadAddress, _BadRequest) as error:
            self._log.error("{request} can't be sent: {error}", request=request, error=str(error))
            unsent: Deferred[HttpResponse | None] = Deferred()
            unsent.callback(None)
            return unsent
        way = OneConnection(self._trust.endpoint(self._reactor, address, self._timeout))
        flow = Deferred.fromCoroutine(self._exchange(way, request, address, headers, body))
        return self._within_time(way, request, flow)

    def _within_time(
        self, way: OneConnection, request: HttpRequest, flow: Deferred[HttpResponse]
    ) -> Deferred[HttpResponse | None]:
        unwanted = False

        def give_up(_: object) -> None:
            nonlocal unwanted
            unwanted = True
            flow.cancel()

        answer: Deferred[HttpResponse | None] = Deferred(give_up)
        expiry = self._reactor.callLater(self._timeout, flow.cancel)

        def settle(result: HttpResponse | Failure) -> None:
            expired = not expiry.active()
            if not expired:
                expiry.cancel()
            way.end()
            if unwanted:
                return
            if isinstance(result, Failure):
                why = f"none in {self._timeout:g} s" if expired else reason_of(result)
                self._log.warn("no answer to {request}: {why}", request=request, why=why)
                answer.callback(None)
            else:
                answer.callback(result)

        flow.addBoth(settle)
        return answer

    async def _exchange(
        self, way: OneConnection, request: HttpRequest, address: Address, headers: Headers, body: bytes | None
    ) -> HttpResponse:
        agent = ContentDecoderAgent(Agent.usingEndpointFactory(self._reactor, way), [(b"gzip", GzipDecoder)])
        scheme = "https" if address.secure else "http"
        response: IResponse = await agent.request(
            request.method.encode("ascii"),
            f"{scheme}://{address.netloc}{address.resource}".encode("ascii"),
            headers,
            None if body is None else FileBodyProducer(BytesIO(body)),
        )
        content = await body_of(response, self._largest)
        fields = {
            name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
            for name, values in response.headers.getAllRawHeaders()
            if any(values)
        }
        return HttpResponse(response.code, content, fields)


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class OneConnection:
    """The one connection of a call. Twisted's own proxies know no way to drop it for certain."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint
        self._protocol: Any = None

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint.connect(protocolFactory).addCallback(self._keep)

    def end(self) -> None:
        """Drop the connection; harmless if it is gone."""
        if self._protocol is not None:
            transport = self._protocol.transport
            # Under TLS, the TCP connection below it: that one may be dropped twice.
            getattr(transport, "transport", transport).abortConnection()

    def _keep(self, protocol: IProtocol) -> IProtocol:
        self._protocol = protocol
        return protocol


class _BadRequest(ValueError):
    """A request that can't be put on the wire."""


def _encoded(request: HttpRequest, address: Address) -> tuple[Headers, bytes | None]:
    headers = Headers()
    for name, value in request.headers.items():
        if not (name.isascii() and name.isprintable()) or any(c in value for c in "\r\n\0"):
            raise _BadRequest("a header has a control character in it")
        headers.setRawHeaders(name, [value])
    headers.setRawHeaders("Host", [address.authority])
    body: bytes | None = None
    if request.json is not None:
        body, kind = msgspec.json.encode(request.json), "application/json"
    elif request.form is not None:
        body, kind = urlencode(request.form).encode("ascii"), "application/x-www-form-urlencoded"
    elif request.text is not None:
        body, kind = request.text.encode("utf-8"), "text/plain; charset=utf-8"
    if body is not None and not (request.text is not None and headers.hasHeader("Content-Type")):
        headers.setRawHeaders("Content-Type", [kind])
    return headers, body
