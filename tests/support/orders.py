"""An order update, where any will do."""

from openalgo_ws.adapter import Order

__all__ = ["ORDER"]

ORDER = Order(
    orderid="7",
    symbol="SBIN",
    exchange="NSE",
    action="BUY",
    quantity=1,
    price=1.0,
    trigger_price=0.0,
    pricetype="LIMIT",
    product="MIS",
    order_status="open",
    filled_quantity=0,
    pending_quantity=1,
    average_price=0.0,
)
