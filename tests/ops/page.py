"""The status page's WebSocket, as a test holds it."""

from __future__ import annotations

import json
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

from tests.gateway.client import TIMEOUT, Client


class Page(Client):
    """Also told what the client protocol's schema does not know."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload)
        if self._waiting:
            self._waiting.popleft().callback(message)
        else:
            self._arrived.append(message)

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of that type; others are passed over."""
        while True:
            message = await self.next()
            if message.get("type") == kind:
                return message


async def open_page(port: int, user: str, **headers: str) -> Page:
    """A connected page; Autobahn's exception where it is refused."""
    factory = WebSocketClientFactory(
        f"ws://127.0.0.1:{port}/api/live?user={user}", headers=headers, reactor=reactor
    )
    factory.protocol = Page
    factory.noisy = False
    page: Page = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
    await page.opened.addTimeout(TIMEOUT, reactor)
    return page
