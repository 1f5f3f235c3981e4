"""The client on asyncio: the same core, its events in an ``async for``. Needs the extra ``asyncio``.

async with AsyncClient("ws://127.0.0.1:8765", api_key) as client:
    await client.subscribe(["NSE:RELIANCE"], Mode.DEPTH)
    async for event in client:
        if isinstance(event, MarketData):
            print(event.symbol, event.data["ltp"])
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from openalgo_ws.client.core import AuthenticationFailed, ClientCore, Event
from openalgo_ws.client.service import PING_INTERVAL, PING_TIMEOUT, Connected, Disconnected
from openalgo_ws.config import Secret, masked_url
from openalgo_ws.tick import Mode

__all__ = ["AsyncClient"]

#: The longest message that is taken: a snapshot of deep books has room in it.
_LONGEST = 16 * 1024 * 1024
#: Messages that wait for the loop. Behind them the socket fills, and the gateway conflates.
_WAITING = 64

# The library logs whole frames when debugging is on, and the first one holds the key.
_LOG = logging.getLogger(__name__)
_LOG.setLevel(logging.INFO)


class AsyncClient:
    """Keeps one connection to a gateway, and what is subscribed on it, while its events are taken.

    Everything happens in the loop that takes the events: there is no task behind it, and a loop that
    takes them slowly gets the latest value of each symbol. A lost connection is made again, and what
    was subscribed is subscribed again; the loop ends after `AuthenticationFailed` and by `close`.

    ``url`` is ``ws://…`` or ``wss://…``; ``api_key`` may be a plain string. ``trust_roots`` is PEM
    text of the authorities to trust instead of the platform's. ``retry`` gives the seconds to wait
    before the n-th attempt in a row. ``binary`` and ``batches`` are `ClientCore`'s. ValueError for a
    URL of another kind, ssl.SSLError for text that holds no certificate.
    """

    def __init__(
        self,
        url: str,
        api_key: Secret | str,
        *,
        trust_roots: str | None = None,
        retry: Callable[[int], float] | None = None,
        binary: bool = False,
        batches: bool = False,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"{masked_url(url)} is not a WebSocket URL such as ws://127.0.0.1:8765")
        key = api_key if isinstance(api_key, Secret) else Secret(api_key)
        self.core = ClientCore(key, binary=binary, batches=batches)
        self.url = url
        self._tls = ssl.create_default_context(cadata=trust_roots) if parts.scheme == "wss" else None
        self._retry = retry or _retry
        self._connection: ClientConnection | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def subscribe(
        self,
        symbols: Iterable[str],
        mode: Mode = Mode.QUOTE,
        depth: int = 5,
        throttle_ms: int | None = None,
    ) -> None:
        """As `ClientCore.subscribe`, and send it if there is a connection."""
        self.core.subscribe(symbols, mode, depth, throttle_ms)
        await self._flush()

    async def unsubscribe(self, symbols: Iterable[str], mode: Mode | None = None) -> None:
        """As `ClientCore.unsubscribe`, and send it if there is a connection."""
        self.core.unsubscribe(symbols, mode)
        await self._flush()

    async def close(self) -> None:
        """Close the connection (1000) and make no other; the loop over the events ends."""
        self._closing.set()
        if self._connection is not None:
            await self._connection.close()

    async def __aiter__(self) -> AsyncIterator[Event | Connected | Disconnected]:
        attempt = 0
        while not self._closing.is_set():
            try:
                connection = await self._connect()
            except (OSError, InvalidHandshake) as error:
                yield Disconnected(str(error) or type(error).__name__)
            else:
                attempt = 0
                self._connection = connection
                try:
                    yield Connected()
                    self.core.opened()
                    await self._flush()
                    async for event in self._events(connection):
                        yield event
                        if isinstance(event, AuthenticationFailed):
                            self._closing.set()
                            break
                finally:
                    self._connection = None
                    self.core.closed()
                    await connection.close()
                yield Disconnected(_reason(connection))
            attempt += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._retry(attempt))

    async def _connect(self) -> ClientConnection:
        extra: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls}
        return await connect(
            self.url,
            compression=None,
            open_timeout=10,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT,
            max_size=_LONGEST,
            max_queue=_WAITING,
            logger=_LOG,
            **extra,
        )

    async def _events(self, connection: ClientConnection) -> AsyncIterator[Event]:
        with suppress(ConnectionClosed):
            while True:
                frame = await connection.recv()
                if isinstance(frame, str):
                    events = self.core.received(frame)
                else:
                    events = self.core.received_binary(frame)
                for event in events:
                    yield event
                await self._flush()

    async def _flush(self) -> None:
        """Send what the core has to say. What is lost with a connection is said again on the next."""
        if self._connection is not None:
            with suppress(ConnectionClosed):
                for frame in self.core.to_send():
                    await self._connection.send(frame)


def _reason(connection: ClientConnection) -> str:
    code, reason = connection.protocol.close_code, connection.protocol.close_reason
    return f"{reason or 'the connection was closed'} (code {code})"


def _retry(attempt: int) -> float:
    """1.5 s, growing to 30 s, with jitter: as the client on Twisted."""
    return min(30.0, 1.5**attempt) * (0.5 + random.random())
