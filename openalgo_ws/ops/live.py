"""``/api/live``: the status page's WebSocket.

A page is one more client of the gateway: it asks for symbols in the client protocol, and what it gets
is throttled, conflated and bounded as for everybody. It differs in two ways. It is told once a second
how the server is (``server_status``), and what happened (``events``). And where the admin token let it in
it names the user whose feed it wants to see (``?user=``) instead of a key. Without a token every program
of the machine gets as far as this: then prices need a key here as they do at the gateway.
So one port, one login and one connection serve the whole page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from autobahn.twisted.resource import WebSocketResource
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.web.server import Request

from openalgo_ws.gateway.context import Authenticated, Context
from openalgo_ws.gateway.protocol import ClientFactory, ClientProtocol
from openalgo_ws.gateway.session import Session
from openalgo_ws.gateway.tally import Tally
from openalgo_ws.gateway.writer import ClientWriter
from openalgo_ws.ops.busiest import Busiest
from openalgo_ws.ops.events import EventLog
from openalgo_ws.ops.history import History

__all__ = ["LiveFactory", "LiveProtocol", "LiveResource"]

#: Pages that may be open at a time.
_PAGES = 20


class LiveProtocol(ClientProtocol):
    """One open page."""

    factory: LiveFactory
    transport: Any
    _user = ""
    _told = 0

    def connectionMade(self) -> None:
        # The transport comes from the HTTP channel, which steered it until now.
        self.transport.unregisterProducer()
        super().connectionMade()

    def onConnect(self, request: ConnectionRequest) -> str | None:
        """Pages of ours only: a browser names the origin of the page that connects."""
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            raise ConnectionDeny(ConnectionDeny.FORBIDDEN, "not from this page")
        self._user = (request.params.get("user") or [""])[0]
        return super().onConnect(request)

    def onOpen(self) -> None:
        """The page is there: tell it of the last minutes."""
        super().onOpen()
        if self.session is not None:
            self.factory.welcome(self)

    def make_session(self, writer: ClientWriter, deflate: bool) -> Session:
        """A session of the user whose feed the page wants to see, or that waits for a key."""
        who = Authenticated(self._user, None) if self.factory.trusting else None
        return Session(
            self.factory.context, self, writer, self._address, self._format, deflate, who, patient=True
        )

    def tell(self, text: bytes) -> None:
        """Send JSON, unless the page has not taken what it was sent before: there will be newer."""
        if self.session is not None and not self.session.writer.paused:
            self.session.send_text(text)

    def tell_events(self, events: EventLog) -> None:
        """Send what happened since it was last told."""
        session = self.session
        new = events.since(self._told)
        if new and session is not None and not session.writer.paused:
            self._told = new[-1].number
            session.send_text(msgspec.json.encode({"type": "events", "events": new}))


class LiveResource(WebSocketResource):
    """Hands a request that was let in over to Autobahn, which may log it: without what let it in."""

    def render(self, request: Request) -> Any:
        """Take the connection over."""
        for name in (b"authorization", b"cookie"):
            request.requestHeaders.removeHeader(name)
        return super().render(request)  # type: ignore[no-untyped-call]


class LiveFactory(ClientFactory):
    """The open pages. ``status`` makes what they are told each second; ``trusting``: they may see
    any user's feed without that user's key."""

    protocol = LiveProtocol

    def __init__(
        self,
        context: Context,
        *,
        trusting: bool,
        status: Callable[[], dict[str, Any]],
        history: History,
        events: EventLog,
        busiest: Busiest,
    ) -> None:
        super().__init__(context, tally=Tally())
        self.trusting = trusting
        self._status = status
        self._history = history
        self._events = events
        self._busiest = busiest
        history.listeners.append(self._tell_all)

    def full(self) -> bool:
        """Whether there are as many pages as may be."""
        return len(self.clients) >= _PAGES

    def welcome(self, page: LiveProtocol) -> None:
        """A page has connected."""
        self._busiest.start()
        samples = list(self._history.samples)
        key_needed = page.session is not None and page.session.user is None
        history = {"type": "history", "samples": samples, "key_needed": key_needed}
        page.tell(msgspec.json.encode(history))
        page.tell(self._message())
        page.tell_events(self._events)

    def gone(self, client: ClientProtocol) -> None:
        """A page has gone."""
        super().gone(client)
        if not self.clients:
            self._busiest.stop()

    def tell(self, message: dict[str, Any]) -> None:
        """Tell every page something as it happens."""
        text = msgspec.json.encode(message)
        for client in self.clients:
            if isinstance(client, LiveProtocol):
                client.tell(text)

    def stop(self) -> Deferred[None]:
        """Send every page away; fires when they are gone."""
        self._busiest.stop()
        return self.close_all(1001, "server shutting down")

    def _message(self) -> bytes:
        samples = self._history.samples
        sample = samples[-1] if samples else None
        return msgspec.json.encode(
            {"type": "server_status", "sample": sample, "busiest": self._busiest.rates, **self._status()}
        )

    def _tell_all(self) -> None:
        pages = [client for client in self.clients if isinstance(client, LiveProtocol)]
        if pages:
            text = self._message()
            for page in pages:
                page.tell(text)
                page.tell_events(self._events)
