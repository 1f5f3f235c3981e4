"""Orders whose updates lack what only the order book over HTTP has: one request for it at a time."""

from __future__ import annotations

from collections.abc import Callable

from openalgo_ws.adapter import Event, HttpRequest, Order, OrderUpdate, Reply

__all__ = ["MOST_WAITING", "OrderBookReader"]

#: Orders that may wait for the next request; one more is told as it is.
MOST_WAITING = 1000


class OrderBookReader:
    """Holds updates back until the order book is there, and asks for it.

    While an answer is on its way, further updates wait for the request after it, one for all of them;
    of several updates of an order the last counts.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        #: By order id: what came on the socket. Those of `_asked` are being asked for, the others wait.
        self._asked: dict[str, Order] = {}
        self._next: dict[str, Order] = {}

    def wait(self, order: Order) -> list[Event]:
        """An update came that wants completing."""
        if len(self._next) >= MOST_WAITING and order.orderid not in self._next:
            return [OrderUpdate(order)]
        self._next[order.orderid] = order
        return self._ask()

    def answered(self, complete: Callable[[Order], OrderUpdate]) -> list[Event]:
        """The answer is there, or there is none: ``complete`` makes of an order what can be known."""
        events: list[Event] = [complete(order) for order in self._asked.values()]
        self._asked = {}
        return events + self._ask()

    def _ask(self) -> list[Event]:
        if self._asked or not self._next:
            return []
        self._asked, self._next = self._next, {}
        return [Reply(self._request)]
