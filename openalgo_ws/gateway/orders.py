"""Order updates: relayed to their own user's listeners, once each."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

__all__ = ["OrderRelay"]


class _Order(msgspec.Struct):
    """What is read of an order update; the rest is passed on as it came."""

    user_id: str
    orderid: str | int | None = None
    order_status: str | None = None
    status: str | None = None
    filled_quantity: float | str | None = None


_order = msgspec.json.Decoder(_Order).decode

Key = tuple[str, str, str, str]


class OrderRelay:
    """Reads order updates from the bus and drops those that came before by another way.

    The same (orderid, status, filled quantity) of a user is one update, whether the platform or
    one of our own feeds publishes it. ``capacity`` updates are remembered.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[Key, None] = OrderedDict()

    def read(self, payload: bytes) -> str | None:
        """The user an update belongs to; None if it has been relayed already.

        ValueError if the payload is not an order update of somebody, in UTF-8.
        """
        try:
            order = _order(payload)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        payload.decode()
        if not order.user_id:
            raise ValueError("no user is named")
        if order.orderid is None:
            return order.user_id
        status = order.order_status or order.status or ""
        filled = "" if order.filled_quantity is None else f"{float(order.filled_quantity):g}"
        key = (order.user_id, str(order.orderid), status.lower(), filled)
        if key in self._seen:
            self._seen.move_to_end(key)
            return None
        self._seen[key] = None
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return order.user_id
