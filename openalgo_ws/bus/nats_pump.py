"""Sending on a NATS connection no faster than the server takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nats.aio.client import Client

from openalgo_ws.bus.nats_link import NatsLink

__all__ = ["Pump", "congested"]

#: Bytes that may wait in the client for the socket before a publisher waits for the server.
_PENDING = 1024 * 1024
#: For so long (seconds) a publisher waits for the server to have read all; then it looks again.
_FLUSH = 10


async def congested(client: Client) -> bool:
    """Whether so much waits in the client that the server had to be waited for."""
    if client.pending_data_size <= _PENDING:
        return False
    await client.flush(_FLUSH)
    return True


class Pump:
    """Sends what waits for as long as the server is reached: while ``waiting``, ``send`` sends the next."""

    def __init__(
        self, link: NatsLink, waiting: Callable[[], bool], send: Callable[[Client], Awaitable[None]]
    ) -> None:
        self._link = link
        self._waiting = waiting
        self._send = send
        self._running = False
        self._stopped = False

    def start(self) -> None:
        """Something waits, or the server is there (again)."""
        if not self._running and not self._stopped and self._link.client is not None:
            self._running = True
            self._link.run(self._run)

    def stop(self) -> None:
        """Begin no more. What is being sent goes on until nothing waits."""
        self._stopped = True

    async def _run(self) -> None:
        try:
            while self._waiting() and (client := self._link.client) is not None:
                if not await congested(client):
                    await self._send(client)
        finally:
            self._running = False
