"""One client: authentication, subscriptions, replies. No WebSocket in here.

Requests are carried out one after the other in the order in which they came; what comes while one
waits (for Argon2, for the feeds) is queued, with a bound. A ping is answered at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.bus.demand import Denied
from openalgo_ws.gateway.context import Authenticated, Context, Unavailable
from openalgo_ws.gateway.frames import text_frame
from openalgo_ws.gateway.holdings import Holdings
from openalgo_ws.gateway.limits import Bucket
from openalgo_ws.gateway.replies import Replies, error
from openalgo_ws.gateway.requests import (
    Authenticate,
    Ping,
    Request,
    RequestError,
    Simple,
    Subscribe,
    Unsubscribe,
    parse,
)
from openalgo_ws.gateway.subscriptions import Subscriptions
from openalgo_ws.gateway.writer import ClientWriter

__all__ = ["ClientPort", "Session"]

#: Refused requests in a row after which the connection is closed with 4429.
_PATIENCE = 100


class ClientPort(Protocol):
    """The session's view of its connection."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and end the connection."""


class Session:
    """A client's conversation with the gateway."""

    log = Logger()

    def __init__(
        self,
        context: Context,
        port: ClientPort,
        writer: ClientWriter,
        address: str,
        format: str,
        deflate: bool = False,
        who: Authenticated | None = None,
        patient: bool = False,
    ) -> None:
        """``who`` is given where the client is known already and need not authenticate. ``patient``:
        it may take as long as it likes to do so."""
        self.context = context
        self.number = next(context.numbers)
        self.writer = writer
        self.address = address
        self.format = format
        self.deflate = deflate
        self.holdings = Holdings(context.tally.subscriptions)
        self.user: str | None = None
        self.broker: str | None = None
        self.notices = False
        self.throttle_ms = context.settings.throttle_ms
        self.closed = False
        self._port = port
        self._replies = Replies(format)
        self._subscriptions = Subscriptions(self)
        self._queue: deque[Request] = deque()
        self._work: Deferred[None] | None = None
        limits = context.limits
        now = context.reactor.seconds()
        self._bucket = Bucket(limits.requests_per_second, limits.request_burst, now)
        self._refused_in_a_row = 0
        self._grace: IDelayedCall | None = None
        self._grace_left = context.settings.auth_grace
        self._patient = patient
        #: When it began (the reactor's seconds).
        self.since = now
        self.log.info("connected from {address}", address=address, client=self.number)
        if who is not None:
            self._admit(who)
        elif context.settings.auth_required:
            self._start_grace()
        else:
            self._admit(Authenticated(context.settings.default_user, None))

    # What comes in.

    def received(self, payload: bytes) -> None:
        """A text frame."""
        if self.closed:
            return
        if not self._bucket.take(self.context.reactor.seconds()):
            self._refuse("RATE_LIMITED", "Too many requests")
            return
        try:
            request = parse(payload)
        except RequestError as problem:
            self.send(error(problem.code, problem.message), problem.request_id)
            return
        if isinstance(request, Ping):
            self._pong(request)
        elif len(self._queue) >= self.context.limits.pending_requests:
            self._refuse("RATE_LIMITED", "Too many requests are waiting", request.request_id)
        else:
            self._refused_in_a_row = 0
            self._queue.append(request)
            if self._work is None:
                self._work = Deferred()
                self._next()

    def lost(self) -> None:
        """The connection is gone: give back everything."""
        if self.closed:
            return
        self.closed = True
        seconds = self.context.reactor.seconds() - self.since
        self.log.info("gone after {seconds:.0f} s", seconds=seconds, client=self.number, user=self.user)
        self._stop_grace()
        self._queue.clear()
        self._subscriptions.release_all()
        if self.user is not None:
            self.context.left(self.user, self)
            self.context.by_user.give(self.user)

    def close(self, code: int, reason: str) -> None:
        """End the conversation with a close code of the protocol."""
        if not self.closed:
            self._port.close(code, reason)

    # What goes out.

    def send(self, reply: Mapping[str, Any], request_id: bytes | None = None) -> None:
        """Send a reply or a notice in the client's format; nothing after the conversation's end."""
        if not self.closed:
            self.writer.write(text_frame(self._replies.encode(reply, request_id)))

    def send_text(self, text: bytes) -> None:
        """Send JSON text as it is."""
        self.writer.write(text_frame(text))

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        """The broker turned down something that was granted, perhaps to this client."""
        self._subscriptions.refused(feed, symbol, exchange, denied)

    # The work.

    def _next(self) -> None:
        while self._queue and not self.closed:
            work = Deferred.fromCoroutine(self._handle(self._queue.popleft()))
            work.addErrback(self._failed)
            if not work.called:
                work.addCallback(lambda _: self._next())
                return
        self._work = None

    def _failed(self, failure: Failure) -> None:
        self.log.failure("a request could not be carried out", failure, client=self.number, user=self.user)
        self.send(error("SERVER_ERROR", "The request could not be carried out"))

    async def _handle(self, request: Request) -> None:
        if isinstance(request, Authenticate):
            await self._authenticate(request)
        elif self.user is None:
            self.send(error("NOT_AUTHENTICATED", "Authenticate first"), request.request_id)
        elif isinstance(request, Subscribe):
            await self._subscriptions.subscribe(request)
        elif isinstance(request, Unsubscribe):
            await self._subscriptions.unsubscribe(request)
        elif isinstance(request, Simple):
            await self._simple(request, self.user)

    def _refuse(self, code: str, message: str, request_id: bytes | None = None) -> None:
        self._refused_in_a_row += 1
        if self._refused_in_a_row > _PATIENCE:
            self.close(4429, "too many requests")
        else:
            self.send(error(code, message), request_id)

    def _pong(self, ping: Ping) -> None:
        reply: dict[str, Any] = {
            "type": "pong",
            "status": "success",
            "server_timestamp": self.context.wall_ms(),
        }
        if ping.timestamp is not None:
            reply["client_timestamp"] = msgspec.Raw(ping.timestamp)
        if ping.ping_id is not None:
            reply["_pingId"] = msgspec.Raw(ping.ping_id)
        self.send(reply, ping.request_id)

    # Authentication.

    async def _authenticate(self, request: Authenticate) -> None:
        context = self.context
        if request.format is not None and request.format not in context.settings.formats:
            formats = ", ".join(context.settings.formats)
            message = f"The format must be one of: {formats}"
            self.send(error("INVALID_PARAMETERS", message), request.request_id)
            return
        if context.failures.exceeded(self.address, context.reactor.seconds()):
            context.tally.authentications["blocked"] += 1
            self.close(4403, "too many failed authentications")
            return
        # The grace time stands still while the key is checked: the client can't hasten that.
        self._stop_grace()
        try:
            who = await self._check(request.api_key)
        except Unavailable as problem:
            context.tally.authentications["unavailable"] += 1
            self._deny(problem.code, problem.message, request)
            return
        finally:
            if self.user is None and not self.closed:
                self._start_grace()
        if self.closed:
            return
        if who is None or (self.user is not None and who.user_id != self.user):
            now = context.reactor.seconds()
            context.failures.add(self.address, now)
            context.tally.authentications["invalid"] += 1
            self.log.warn("an API key from {address} is not valid", address=self.address, client=self.number)
            self._deny("AUTHENTICATION_ERROR", "Invalid API key", request)
            if context.failures.exceeded(self.address, now):
                self.close(4403, "too many failed authentications")
            return
        if self.user is None:
            if request.format is not None:
                self.format = request.format
                self._replies = Replies(self.format)
            self.notices = request.notices
            if not self._admit(who):
                return
        if request.throttle_ms is not None:
            self.throttle_ms = request.throttle_ms
        context.tally.authentications["success"] += 1
        self.send(
            {
                "type": "auth",
                "status": "success",
                "message": "Authentication successful",
                "broker": self.broker,
                "user_id": self.user,
                "supported_features": {"ltp": True, "quote": True, "depth": True},
            },
            request.request_id,
        )

    async def _check(self, api_key: str) -> Authenticated | None:
        if not self.context.settings.auth_required:
            return Authenticated(self.context.settings.default_user, None)
        if not api_key:
            return None
        return await self.context.authenticator.authenticate(api_key)

    def _admit(self, who: Authenticated) -> bool:
        if not self.context.by_user.take(who.user_id):
            self.close(4429, "too many connections of this user")
            return False
        self._stop_grace()
        self.user, self.broker = who.user_id, who.broker
        self.context.joined(who.user_id, self)
        self.log.info("authenticated", client=self.number, user=self.user, broker=self.broker)
        return True

    def _deny(self, code: str, message: str, request: Authenticate) -> None:
        if not self.closed:
            reply = {"type": "auth", "status": "error", "code": code, "message": message}
            self.send(reply, request.request_id)

    def _start_grace(self) -> None:
        if self._grace is None and not self._patient:
            self._grace = self.context.reactor.callLater(self._grace_left, self._too_late)

    def _stop_grace(self) -> None:
        if self._grace is not None:
            self._grace_left = max(0.0, self._grace.getTime() - self.context.reactor.seconds())
            self._grace.cancel()
            self._grace = None

    def _too_late(self) -> None:
        self._grace = None
        self.close(4401, "not authenticated in time")

    # Requests without parameters.

    async def _simple(self, request: Simple, user: str) -> None:
        action = request.action
        if action == "unsubscribe_all":
            await self._subscriptions.unsubscribe_all(request)
        elif action == "subscriptions":
            await self._subscriptions.list(request)
        elif action in ("subscribe_orders", "unsubscribe_orders"):
            self._orders(request, user, wanted=action == "subscribe_orders")
        elif action == "get_broker_info":
            await self._broker_info(request, user)
        elif action == "get_supported_brokers":
            brokers = self.context.demand.supported_brokers()
            reply = {"type": "supported_brokers", "status": "success", "brokers": brokers}
            self.send({**reply, "count": len(brokers)}, request.request_id)
        else:
            self._server_info(request)

    def _orders(self, request: Simple, user: str, *, wanted: bool) -> None:
        self.context.listen_to_orders(user, self, wanted)
        if wanted:
            reply = {"type": "subscribe_orders", "message": "Subscribed to order updates"}
        else:
            reply = {"type": "unsubscribe_orders", "message": "Unsubscribed from order updates"}
        self.send({**reply, "status": "success"}, request.request_id)

    async def _broker_info(self, request: Simple, user: str) -> None:
        status = await self.context.demand.status(user)
        if self.closed:
            return
        reply = {
            "type": "broker_info",
            "status": "success",
            "broker": status.broker or self.broker,
            "adapter_status": status.state.value,
            "user_id": user,
        }
        if status.message:
            reply["message"] = status.message
        self.send(reply, request.request_id)

    def _server_info(self, request: Simple) -> None:
        settings, limits = self.context.settings, self.context.limits
        reply = {
            "type": "server_info",
            "status": "success",
            "version": settings.version,
            "formats": list(settings.formats),
            "format": self.format,
            "limits": {
                "subscriptions": limits.subscriptions,
                "message_bytes": limits.message_bytes,
                "requests_per_second": limits.requests_per_second,
                "throttle_ms": settings.throttle_ms,
                "throttle_min_ms": settings.throttle_floor_ms,
            },
            **self.context.describe(self.broker),
        }
        self.send(reply, request.request_id)
