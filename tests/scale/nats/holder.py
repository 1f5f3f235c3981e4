"""A client that holds symbols and order updates, and comes back by itself, to another gateway perhaps."""

from __future__ import annotations

import json
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

__all__ = ["Holder"]

#: Between attempts (seconds).
RETRY = 0.3
TIMEOUT = 20.0


class Holder(threading.Thread):
    """Takes the first of ``urls`` that is there, as a load balancer would choose. Ends with `leave`."""

    def __init__(self, urls: list[str], key: str, symbols: list[str]) -> None:
        super().__init__(daemon=True)
        self._urls = urls
        self._key = key
        self._symbols = symbols
        self._leaving = threading.Event()
        #: By ``EXCHANGE:SYMBOL``.
        self.last: dict[str, float] = {}
        #: While the market stands still: what the prices are, and what came that says otherwise.
        self.standing: dict[str, float | None] | None = None
        self.wrong: list[str] = []
        self.orders: list[str] = []
        #: How gateways closed its connections, where they did so in order.
        self.codes: list[int] = []
        #: How often it has been connected, and whether it holds everything now.
        self.connections = 0
        self.complete = False
        self.problem: str | None = None

    def run(self) -> None:
        try:
            while not self._leaving.is_set():
                for url in self._urls:
                    self._attend(url)
                    self.complete = False
                    if self._leaving.wait(RETRY):
                        break
        except Exception as error:
            self.problem = repr(error)
            raise

    def _attend(self, url: str) -> None:
        try:
            with connect(url, open_timeout=TIMEOUT) as client:
                self.connections += 1
                self._serve(client)
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                self.codes.append(closed.rcvd.code)
                # A void key stays void.
                if closed.rcvd.code == 4401:
                    self._leaving.set()
        except (OSError, EOFError, InvalidHandshake):
            # The gateway is not there, or not any more.
            pass

    def _serve(self, client: ClientConnection) -> None:
        _ask(client, action="authenticate", api_key=self._key)
        _ask(client, action="subscribe_orders")
        self._subscribe(client)
        while not self._leaving.is_set():
            try:
                message = json.loads(client.recv(timeout=RETRY))
            except TimeoutError:
                if not self.complete:
                    self._subscribe(client)
                continue
            match message["type"]:
                case "subscribe":
                    self.complete = message["status"] == "success"
                case "market_data":
                    name = f"{message['exchange']}:{message['symbol']}"
                    self.last[name] = message["data"]["ltp"]
                    standing = self.standing
                    if standing is not None and standing[name] != self.last[name]:
                        self.wrong.append(name)
                case "order_update":
                    self.orders.append(message["orderid"])

    def _subscribe(self, client: ClientConnection) -> None:
        _ask(client, action="subscribe", symbols=self._symbols, mode="LTP", throttle_ms=0)

    def leave(self) -> None:
        self._leaving.set()
        self.join(TIMEOUT)
        assert self.problem is None, self.problem


def _ask(client: ClientConnection, **request: Any) -> None:
    client.send(json.dumps(request))
