"""Order updates in OpenAlgo's words."""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters._common.values import BadValue, integer, number

__all__ = ["order_status", "price", "quantity"]


def order_status(status: object, table: Mapping[str, str]) -> str:
    """OpenAlgo's word for a broker's order state, by the broker's own table (keys in capitals).

    A state that the table doesn't hold is an intermediate one that the broker has added: the
    order still works, so it counts as ``open``.
    """
    if not isinstance(status, str):
        raise BadValue("no order status")
    return table.get(" ".join(status.upper().split()), "open")


def quantity(value: object) -> int:
    """A quantity of an order; null and empty text are 0."""
    return 0 if value is None or value == "" else integer(value)


def price(value: object) -> float:
    """A price of an order; null and empty text are 0."""
    return 0.0 if value is None or value == "" else number(value)
