"""Posts alerts to a URL. The URL is a secret: it is in no log and no message, nor is its answer."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
from treq.client import HTTPClient
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from openalgo_ws.config import Secret
from openalgo_ws.feeds.address import resolve
from openalgo_ws.feeds.http import OneConnection
from openalgo_ws.feeds.reasons import reason_of
from openalgo_ws.feeds.trust import Trust
from openalgo_ws.log import RateLimitedLog

__all__ = ["Webhook"]

#: So many wait at most; beyond that the oldest is given up.
_ROOM = 100
#: Seconds that an attempt may take, and between attempts: five in all.
_TIMEOUT = 10.0
_WAITS = (1.0, 5.0, 15.0, 60.0)
#: Answers that a later attempt may change.
_PASSING = frozenset({408, 425, 429})
#: Of an answer so many bytes are read, to no end but politeness.
_ANSWER = 65536


class Webhook(Service):
    """Posts one after the other, in order, to ``url``. Certificates are verified (``trust``). Redirects are
    not followed. ``clock`` is what attempts and waits are timed by, where it isn't the reactor."""

    log = Logger()
    name = "webhook"

    def __init__(
        self, reactor: Any, url: Secret, trust: Trust | None = None, clock: IReactorTime | None = None
    ) -> None:
        self._reactor = reactor
        self._clock = clock or reactor
        self._url = url
        self._trust = trust or Trust()
        self._queue: deque[bytes] = deque()
        self._running: Deferred[None] | None = None
        self._warn = RateLimitedLog(self.log, self._clock, interval=60.0)
        #: How many were posted, given up after all attempts, and dropped because too many waited.
        self.posted = self.failed = self.dropped = 0

    def results(self) -> dict[str, float]:
        """The counts by name."""
        return {
            "posted": float(self.posted),
            "failed": float(self.failed),
            "dropped": float(self.dropped),
        }

    def post(self, message: dict[str, Any]) -> None:
        """Post ``message`` as JSON, after those that wait. Never blocks or fails."""
        if not self.running:
            return
        self._queue.append(msgspec.json.encode(message))
        if len(self._queue) > _ROOM:
            self._queue.popleft()
            self.dropped += 1
            self._warn.warn("the alert webhook does not keep up: {count} given up", count=self.dropped)
        if self._running is None:
            self._start()

    def stopService(self) -> None:
        """End at once; what was not posted is given up."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._queue.clear()
        if self._running is not None:
            self._running.cancel()

    def _start(self) -> None:
        running = self._running = Deferred.fromCoroutine(self._work())

        def over(result: Any) -> Any:
            self._running = None
            return result

        running.addBoth(over)
        running.addErrback(lambda failure: failure.trap(CancelledError))
        if running.called:
            self._running = None

    async def _work(self) -> None:
        while self._queue:
            if await self._post(self._queue.popleft()):
                self.posted += 1
            else:
                self.failed += 1

    async def _post(self, body: bytes) -> bool:
        for wait in (*_WAITS, None):
            result = await self._attempt(body)
            if isinstance(result, int) and 200 <= result < 300:
                return True
            if not self.running:
                break
            lasting = isinstance(result, int) and result < 500 and result not in _PASSING
            if lasting or wait is None:
                why = f"status {result}" if isinstance(result, int) else result
                self._warn.warn("an alert could not be posted to the webhook: {why}", why=why)
                break
            await deferLater(self._clock, wait)
        return False

    async def _attempt(self, body: bytes) -> int | str:
        """The answer's status; or why there is none."""
        expired = False

        def give_up() -> None:
            nonlocal expired
            expired = True
            exchange.cancel()

        def failed(failure: Failure) -> str:
            # A message may quote the URL: only what `reason_of` knows to be harmless is told.
            return f"no answer in {_TIMEOUT:g} s" if expired else reason_of(failure)

        url = self._url.reveal()
        way = OneConnection(self._trust.endpoint(self._reactor, resolve(url, None), _TIMEOUT))
        exchange = Deferred.fromCoroutine(
            _exchange(HTTPClient(Agent.usingEndpointFactory(self._reactor, way)), url, body)
        )
        expiry = self._clock.callLater(_TIMEOUT, give_up)
        result: int | str = await exchange.addErrback(failed)
        if expiry.active():
            expiry.cancel()
        way.end()
        return result


async def _exchange(http: HTTPClient, url: str, body: bytes) -> int:
    response = await http.post(
        url,
        data=body,
        headers=Headers({"Content-Type": ["application/json"], "User-Agent": ["openalgo-ws"]}),
        allow_redirects=False,
        unbuffered=True,
    )
    answer = _Answer()
    response.deliverBody(answer)
    await answer.over
    return int(response.code)


class _Answer(Protocol):
    """Reads an answer to its end, or a while: nothing in it is of interest."""

    transport: Any

    def __init__(self) -> None:
        self._size = 0
        self.over: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _ANSWER:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.over.called:
            self.over.callback(None)
