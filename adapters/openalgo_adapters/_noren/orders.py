"""Order updates (``om``) in Noren's field names, which brokers outside the family use as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openalgo_adapters._common.orders import price, quantity
from openalgo_adapters._common.values import BadValue, text
from openalgo_ws.adapter import Order, OrderUpdate

__all__ = ["order_update", "spelled"]

_ACTION = {"B": "BUY", "S": "SELL"}
_PRICETYPE = {
    "LMT": "LIMIT",
    "MKT": "MARKET",
    "SL-LMT": "SL",
    "SL-MKT": "SL-M",
    # AliceBlue's spelling.
    "L": "LIMIT",
}
_PRODUCT = {"C": "CNC", "M": "NRML", "I": "MIS"}

_STATUS = {
    "complete": "complete",
    "executed": "complete",
    "trigger pending": "trigger pending",
    "rejected": "rejected",
    "reject": "rejected",
    "canceled": "cancelled",
    "cancelled": "cancelled",
    **dict.fromkeys(
        (
            "open",
            "new",
            "replaced",
            "pending",
            "open pending",
            "modify pending",
            "cancel pending",
            "after market order req received",
            "order ack",
            "order pending",
        ),
        "open",
    ),
}
#: What the event says of an order whose status says nothing. (A fill is not completion.)
_EVENT = {"rejected": "rejected", "canceled": "cancelled", "cancelled": "cancelled"}


def order_update(
    message: Mapping[str, Any], status_of: Callable[[Mapping[str, Any]], str] | None = None
) -> OrderUpdate:
    """An order message in OpenAlgo's words; the symbol is the broker's. BadValue if it is none.

    ``status_of`` is for brokers outside the family, whose states are others.
    """
    # (conflict: one document prints norenoordno.)
    orderid = text(message.get("norenordno")) or text(message.get("norenoordno"))
    if not orderid:
        raise BadValue("an order without its number")
    total = quantity(message.get("qty"))
    filled = quantity(message.get("fillshares"))
    status = (status_of or _status)(message)
    # (conflict: pcode in real frames, prd in some documents.)
    product = text(message.get("pcode")) or text(message.get("prd"))
    return OrderUpdate(
        Order(
            orderid=orderid,
            symbol=text(message.get("tsym")),
            exchange=text(message.get("exch")),
            action=_word(_ACTION, message.get("trantype")),
            quantity=total,
            price=price(message.get("prc")),
            trigger_price=price(message.get("trgprc")),
            pricetype=_word(_PRICETYPE, message.get("prctyp")),
            product=_PRODUCT.get(product, product),
            order_status=status,
            filled_quantity=filled,
            pending_quantity=max(total - filled, 0),
            average_price=price(message.get("avgprc")),
            rejection_reason=text(message.get("rejreason")) if status == "rejected" else "",
        )
    )


def _word(table: Mapping[str, str], value: object) -> str:
    word = text(value)
    return table.get(word, word)


def _status(message: Mapping[str, Any]) -> str:
    known = _STATUS.get(spelled(message.get("status")))
    return known or _EVENT.get(spelled(message.get("reporttype")), "open")


def spelled(value: object) -> str:
    """A state in lower case, with blanks for underscores."""
    return " ".join(text(value).lower().replace("_", " ").split())
