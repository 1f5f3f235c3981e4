"""What an XTS server says of a tick: JSON events, binary packets, orders, rows of the master."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from struct import pack

from openalgo_ws.adapter import MasterRow, Order
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = ["SEGMENT_CODES", "json_event", "master_line", "order_event", "packet", "payload", "segment_code"]

#: OpenAlgo exchange → segment and its code.
SEGMENT_CODES = {
    "NSE": ("NSECM", 1),
    "NSE_INDEX": ("NSECM", 1),
    "NFO": ("NSEFO", 2),
    "CDS": ("NSECD", 3),
    "BSE": ("BSECM", 11),
    "BSE_INDEX": ("BSECM", 11),
    "BFO": ("BSEFO", 12),
    "BCD": ("BSECD", 13),
    "NCDEX": ("NCDEX", 21),
    "MCX": ("MCXFO", 51),
}
_ORDER_STATES = {
    "open": "New",
    "complete": "Filled",
    "cancelled": "Cancelled",
    "rejected": "Rejected",
    "trigger pending": "New",
}
_ORDER_TYPES = {"MARKET": "Market", "LIMIT": "Limit", "SL": "StopLimit", "SL-M": "StopMarket"}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_NAN = float("nan")


def segment_code(instrument: Instrument) -> int:
    """The code of an instrument's segment."""
    return SEGMENT_CODES[instrument.exchange][1]


def payload(tick: Tick, code: int) -> dict[str, object]:
    """A whole event of this code, as an object."""
    segment = segment_code(tick.instrument)
    head: dict[str, object] = {
        "MessageCode": code,
        "MessageVersion": 4,
        "ApplicationType": 0,
        "TokenID": 0,
        "ExchangeSegment": segment,
        "ExchangeInstrumentID": int(tick.instrument.token),
    }
    updated = _seconds(segment, tick.exchange_timestamp)
    if code == 1512:
        return head | {
            "BookType": 1,
            "XMarketType": 1,
            "LastTradedPrice": tick.ltp,
            "LastTradedQunatity": tick.last_trade_quantity or 0,
            "LastUpdateTime": updated,
        }
    if code == 1510:
        interest = {"XTSMarketType": 1, "OpenInterest": tick.oi or 0}
        return head | {"ExchangeTimeStamp": updated} | interest
    buy, sell = _sides(tick)
    book: dict[str, object] = {"Bids": [_level(row) for row in buy], "Asks": [_level(row) for row in sell]}
    touchline = {
        "BidInfo": _level(buy[0]),
        "AskInfo": _level(sell[0]),
        "LastTradedPrice": tick.ltp,
        "LastTradedQunatity": tick.last_trade_quantity or 0,
        "TotalBuyQuantity": tick.total_buy_quantity or 0,
        "TotalSellQuantity": tick.total_sell_quantity or 0,
        "TotalTradedQuantity": tick.volume or 0,
        "AverageTradedPrice": tick.avg_trade_price or 0,
        "LastTradedTime": _seconds(segment, tick.ltt),
        "LastUpdateTime": updated,
        "PercentChange": _percent(tick),
        "Open": tick.open,
        "High": tick.high,
        "Low": tick.low,
        "Close": tick.close,
        "TotalValueTraded": None,
        "BuyBackTotalBuy": 0,
        "BuyBackTotalSell": 0,
    }
    return (
        head
        | {"ExchangeTimeStamp": updated}
        | (book if code == 1502 else {})
        | {"Touchline": touchline, "BookType": 1, "XMarketType": 1, "SequenceNumber": 1}
    )


def json_event(name: str, body: Mapping[str, object]) -> str:
    """A text frame: JSON inside a string inside JSON."""
    return "42" + _compact([name, _compact(body)])


def packet(tick: Tick, code: int, *, compressed: bool) -> bytes:
    """A binary packet with quantities of eight bytes."""
    segment, token = segment_code(tick.instrument), int(tick.instrument.token)
    updated = _seconds(segment, tick.exchange_timestamp)
    body = pack("<HHHQQihiQ", code, 4, 0, 0, 1, 0, segment, token, updated)
    buy, sell = _sides(tick)
    if code == 1502:
        for side in (buy, sell):
            body += pack("<i", len(side)) + b"".join(map(_row, side))
    body += _row(buy[0]) + _row(sell[0])
    body += pack("<Qdq", updated, _price(tick.ltp), int(tick.last_trade_quantity or 0))
    sums = (tick.total_buy_quantity, tick.total_sell_quantity, tick.volume)
    body += pack("<qqq", *(int(value or 0) for value in sums))
    body += pack("<dqd", tick.avg_trade_price or 0.0, _seconds(segment, tick.ltt), _percent(tick))
    body += pack("<dddd", *map(_price, (tick.open, tick.high, tick.low, tick.close)))
    body += pack("<dhhhh", _NAN, 0, 0, 1, 1)
    head = pack("<BHhihhH", compressed, code, segment, token, 1, 1, len(body))
    if not compressed:
        return head + body
    deflater = zlib.compressobj(wbits=-15)
    small = deflater.compress(body) + deflater.flush()
    return head + pack("<H", len(small)) + small


def order_event(order: Order, instrument: Instrument | None) -> str:
    """An order update; the fields that say something here."""
    body = {
        "AppOrderID": int(order.orderid) if order.orderid.isdecimal() else order.orderid,
        "ExchangeSegment": SEGMENT_CODES[order.exchange][0] if order.exchange in SEGMENT_CODES else "",
        "ExchangeInstrumentID": 0 if instrument is None else int(instrument.token),
        "TradingSymbol": order.symbol,
        "OrderSide": order.action,
        "OrderType": _ORDER_TYPES.get(order.pricetype, order.pricetype),
        "ProductType": order.product,
        "OrderQuantity": order.quantity,
        "OrderPrice": order.price,
        "OrderStopPrice": order.trigger_price,
        "CumulativeQuantity": order.filled_quantity,
        "LeavesQuantity": order.pending_quantity,
        "OrderAverageTradedPrice": f"{order.average_price:.2f}" if order.average_price else "",
        "OrderStatus": _ORDER_STATES.get(order.order_status, "New"),
        "CancelRejectReason": order.rejection_reason,
    }
    return json_event("order", body)


def master_line(row: MasterRow) -> str:
    """A row of the instrument master."""
    segment, code = SEGMENT_CODES[row.exchange]
    kind = {"FUT": 1, "CE": 2, "PE": 2}.get(row.instrumenttype, 8)
    series = row.instrumenttype if kind == 8 else f"{'FUT' if kind == 1 else 'OPT'}STK"
    fields: list[object] = [segment, row.token, kind, row.name, row.brsymbol, series, f"{row.name}-{series}"]
    fields += [f"{code:02}00100{row.token}", 0, 0, 1801, row.tick_size, row.lotsize, 1]
    if kind == 8:
        fields += [row.brsymbol, "INE000000000", 1, 1, row.name, 0, 1, 1]
    else:
        day, month, year = row.expiry.split("-")
        fields += [-1, row.name, f"20{year}-{_MONTHS.index(month) + 1:02}-{day}T14:30:00"]
        if kind == 2:
            fields += [row.strike, 3 if row.instrumenttype == "CE" else 4]
        fields += [f"{row.name} {day}{month}20{year}", 1, 1, row.brsymbol]
    return "|".join(map(str, fields))


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _seconds(segment: int, milliseconds: int | None) -> int:
    """NSE counts from 1980 in India; the others give the Indian clock as if it were UTC. 0 for none."""
    if milliseconds is None:
        return 0
    return milliseconds // 1000 + (-315_513_000 if segment <= 3 else 19_800)


def _sides(tick: Tick) -> tuple[list[Level], list[Level]]:
    """Five levels a side; where there is no book, one of nothing."""
    none = [Level(0.0, 0, 0)]
    if tick.depth is None:
        return none, none
    return tick.depth.buy[:5] or none, tick.depth.sell[:5] or none


def _level(row: Level) -> dict[str, object]:
    return {"Size": row.quantity, "Price": row.price, "TotalOrders": row.orders or 0, "BuyBackMarketMaker": 0}


def _row(row: Level) -> bytes:
    return pack("<qdih", int(row.quantity), row.price, row.orders or 0, 0)


def _price(value: float | None) -> float:
    return _NAN if value is None else value


def _percent(tick: Tick) -> float:
    return (tick.ltp - tick.close) / tick.close * 100 if tick.ltp and tick.close else 0.0
