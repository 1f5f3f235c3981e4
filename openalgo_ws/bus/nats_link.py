"""The connection to a NATS server: made, kept, made again, and who is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from nats.aio.client import Client
from nats.errors import Error as NatsError
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

__all__ = ["LinkEnd", "NatsLink", "WrongReactor"]

#: Between two attempts to connect (seconds).
_RETRY = 1


class WrongReactor(Exception):
    """The reactor is not asyncio's."""


class LinkEnd(Protocol):
    """A publisher or a subscriber."""

    def up(self) -> None:
        """The server is reached, for the first time or again."""

    def down(self) -> None:
        """It is not reached any more: what was on its way, either way, may be lost."""

    def close(self) -> None:
        """Harmless when closed already."""


class NatsLink:
    """A connection to a NATS server, or one of several, for as long as it is wanted.

    ``servers`` are URLs (``nats://``, or ``tls://`` with the server's certificate verified; they may hold
    user and password or a token and are never logged). ``credentials`` is a file of NATS' own form.
    WrongReactor if the reactor is not asyncio's.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        servers: Iterable[str],
        *,
        name: str = "openalgo-ws",
        credentials: str | None = None,
    ) -> None:
        if not isinstance(reactor, AsyncioSelectorReactor):
            raise WrongReactor("NATS needs asyncio's reactor: twistd --reactor=asyncio")
        self.reactor = reactor
        self._servers = list(servers)
        self._name = name
        self._credentials = credentials
        self._ends: list[LinkEnd] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: Client | None = None
        self._stopped = False
        self._complained = False
        # asyncio's loop turns only then.
        self._begin_call: IDelayedCall | None = reactor.callLater(0, self._begin)

    @property
    def client(self) -> Client | None:
        """The connection while the server is reached."""
        client = self._client
        return client if client is not None and client.is_connected else None

    def join(self, end: LinkEnd) -> None:
        """Tell ``end`` when the server is reached, from now on."""
        self._ends.append(end)
        if self.client is not None:
            end.up()

    def part(self, end: LinkEnd) -> None:
        """Tell it no more."""
        if end in self._ends:
            self._ends.remove(end)

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Do something on the connection. Its failure is logged; it is cancelled when the link stops."""
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self) -> Deferred[None]:
        """Send what is still on its way, and leave."""
        self._stopped = True
        if self._begin_call is not None:
            self._begin_call.cancel()
            self._begin_call = None
        for end in list(self._ends):
            end.close()
        tasks, client = list(self._tasks), self._client
        self._client = None
        for task in tasks:
            task.cancel()
        if client is None:
            return succeed(None)
        return Deferred.fromFuture(asyncio.ensure_future(client.close()))

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except (TimeoutError, NatsError, OSError) as error:
            # The link is coming back, or going away; what matters is said then.
            self.log.debug("NATS: {kind}", kind=type(error).__name__)

    def _begin(self) -> None:
        self._begin_call = None
        self.run(self._connect)

    async def _connect(self) -> None:
        client = Client()
        self._client = client
        # It never gives up by itself, and leaves the server waiting for nothing.
        await client.connect(
            self._servers,
            name=self._name,
            user_credentials=self._credentials,
            error_cb=self._error,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reached,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RETRY,
            connect_timeout=5,
            ping_interval=5,
            max_outstanding_pings=2,
            # While the server is away nothing gathers in the client: publishers conflate.
            pending_size=0,
        )
        await self._reached()

    async def _reached(self) -> None:
        self._complained = False
        self.log.info("connected to NATS")
        for end in list(self._ends):
            end.up()

    async def _disconnected(self) -> None:
        if not self._stopped:
            self._complained = True
            self.log.warn("the connection to NATS is lost, trying again")
            for end in list(self._ends):
                end.down()

    async def _error(self, error: Exception) -> None:
        # Its text may hold the server's address, and with it a password.
        if self.client is None and not self._complained:
            self._complained = True
            self.log.warn("NATS can't be reached ({kind}), trying again", kind=type(error).__name__)
        else:
            self.log.debug("NATS: {kind}", kind=type(error).__name__)
