"""What 5paisa's server says: prices, books and orders, from the documentation and not from the codec."""

from __future__ import annotations

import json
from typing import Any

from openalgo_ws.adapter import Order
from openalgo_ws.tick import Tick

__all__ = [
    "BOOK",
    "INSIDE",
    "ORDERS",
    "PRICES",
    "deep_book",
    "feed_message",
    "order_message",
    "segment_of",
]

#: Exch + ExchType → the OpenAlgo exchanges whose instruments it may hold.
INSIDE = {
    "NC": ("NSE", "NSE_INDEX"),
    "BC": ("BSE", "BSE_INDEX"),
    "ND": ("NFO",),
    "BD": ("BFO",),
    "NU": ("CDS",),
    "BU": ("BCD",),
    "MD": ("MCX",),
}
BOOK, PRICES, ORDERS = "MarketDepthService", "MarketFeedV3", "OrderTradeConfirmations"

_STATUS = {
    "open": "Pending",
    "complete": "Fully Executed",
    "cancelled": "Cancelled",
    "rejected": "Rejected By Exch",
    "trigger pending": "Pending",
}


def segment_of(exchange: str) -> str:
    """Exch + ExchType of an OpenAlgo exchange."""
    return next(segment for segment, inside in INSIDE.items() if exchange in inside)


def feed_message(method: str, key: tuple[str, int], tick: Tick) -> str:
    """A message of the open feed: prices in an array of one, a book as it is."""
    element = {"Exch": key[0][0], "ExchType": key[0][1], "Token": key[1]}
    if method == BOOK:
        return json.dumps(element | _book(tick, 5))
    return json.dumps([element | _prices(tick)])


def deep_book(key: tuple[str, int], tick: Tick) -> str:
    """A book of 20 levels: as the other, the code under its other name."""
    element = {"Exch": key[0][0], "ExchType": key[0][1], "ScripCode": key[1]}
    return json.dumps(element | _book(tick, 20))


def _prices(tick: Tick) -> dict[str, Any]:
    values: dict[str, Any] = {
        "LastRate": tick.ltp or 0,
        "LastQty": tick.last_trade_quantity or 0,
        "TotalQty": tick.volume or 0,
        "High": tick.high or 0,
        "Low": tick.low or 0,
        "OpenRate": tick.open or 0,
        "PClose": tick.close or 0,
        "AvgRate": tick.avg_trade_price or 0,
        "TBidQ": tick.total_buy_quantity or 0,
        "TOffQ": tick.total_sell_quantity or 0,
        "TickDt": _date(tick.exchange_timestamp),
    }
    if tick.depth is not None:
        for name, levels in (("Bid", tick.depth.buy), ("Off", tick.depth.sell)):
            values[f"{name}Rate"] = levels[0].price if levels else 0
            values[f"{name}Qty"] = levels[0].quantity if levels else 0
    return values


def _book(tick: Tick, most: int) -> dict[str, Any]:
    sides = ((tick.depth.buy, 66), (tick.depth.sell, 83)) if tick.depth is not None else ()
    return {
        "TBidQ": tick.total_buy_quantity or 0,
        "TOffQ": tick.total_sell_quantity or 0,
        "Details": [
            {
                "Quantity": level.quantity,
                "Price": level.price,
                "NumberOfOrders": level.orders or 0,
                "BbBuySellFlag": flag,
            }
            for levels, flag in sides
            for level in levels[:most]
        ],
        "TimeStamp": 0,
        "Time": _date(tick.exchange_timestamp),
    }


def _date(milliseconds: int | None) -> str:
    return f"/Date({milliseconds or 0})/"


def order_message(order: Order, token: str) -> dict[str, Any]:
    """A trade where something was filled, else the order as it was placed, changed or cancelled."""
    segment = segment_of(order.exchange)
    said: dict[str, Any] = {
        "Exch": segment[0],
        "ExchType": segment[1],
        "ScripCode": int(token) if token.isdecimal() else 0,
        "Symbol": order.symbol,
        "BuySell": order.action[:1],
        "SLTriggerRate": order.trigger_price,
        "AtMarket": "Y" if order.pricetype in ("MARKET", "SL-M") else "N",
        "Product": "I" if order.product == "MIS" else "D",
        "PendingQty": order.pending_quantity,
        "Status": _STATUS.get(order.order_status, "Pending"),
        "Remark": order.rejection_reason,
        "ExchOrderID": order.orderid,
    }
    if order.filled_quantity:
        return said | {
            "ReqType": "T",
            "OrderQty": order.quantity,
            "OrderPrice": order.price,
            "Price": order.average_price,
            "TotalTradedQty": order.filled_quantity,
        }
    return said | {
        "ReqType": "C" if order.order_status == "cancelled" else "P",
        "BrokerOrderID": order.orderid,
        "Qty": order.quantity,
        "Price": order.price,
        "TradedQty": order.filled_quantity,
    }
