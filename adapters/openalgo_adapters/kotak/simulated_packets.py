"""The packets of Kotak's newer feed, as its server makes them. Written from the documentation."""

from __future__ import annotations

from struct import pack
from typing import Any

from openalgo_ws.tick import Level, Tick

__all__ = ["LEVELS", "packet"]

#: What is subscribed → how much of a tick a packet has.
LEVELS = {"ScripsLite": 1, "Scrips": 4, "Depth": 8, "FullDepth": 16, "Indices": 0}
_ROWS = {8: 5, 16: 20}


def packet(tick: Tick, level: int, exchange: int, units: int) -> bytes:
    """A tick at a level (`LEVELS`), on an exchange by its number, in so many units per rupee."""
    instrument = tick.instrument

    def price(value: float | None) -> int:
        return 0 if value is None else max(0, min(round(value * units), 0xFFFFFFFF))

    precision = 4 if units == 10_000 else 2
    change = price(tick.ltp) - price(tick.close)
    percent = round(10_000 * change / price(tick.close)) if price(tick.close) else 0
    change, percent = (max(-(1 << 31), min(value, (1 << 31) - 1)) for value in (change, percent))
    if level == 0:
        body = pack(
            "<I5i",
            int(instrument.token) & 0xFFFFFFFF if instrument.token.isdecimal() else 0,
            *(
                min(price(value), (1 << 31) - 1)
                for value in (tick.open, tick.close, tick.high, tick.low, tick.ltp)
            ),
        )
        body += pack("<Qiii", max(0, _wide(tick.exchange_timestamp, 1000)), 0, 0, percent)
        body += pack("<dBi21s", 0.0, precision, 1, instrument.token.encode()[:21])
        return _header(7207, exchange, 1, body)
    token = int(instrument.token) & 0xFFFFFFFF
    if level == 1:
        body = pack("<IqIqI", token, _wide(tick.ltt, 1000), price(tick.ltp),
                    _wide(tick.last_trade_quantity), price(tick.close))  # fmt: skip
        body += pack("<iiiBI", percent, change, max(1, instrument.lotsize), precision, 1)
        return _header(7208, exchange, 1, body)
    return _header(7208, exchange, level, _picture(tick, level, token, price, percent, change, precision))


def _picture(
    tick: Tick, level: int, token: int, price: Any, percent: int, change: int, precision: int
) -> bytes:
    buy, sell = ([], []) if tick.depth is None else (tick.depth.buy, tick.depth.sell)
    if level == 4:
        # There is one row a side always, if with nothing in it.
        buy, sell = buy[:1] or [Level(0.0, 0, 0)], sell[:1] or [Level(0.0, 0, 0)]
    else:
        buy, sell = buy[: _ROWS[level]], sell[: _ROWS[level]]
    body = pack("<Iqqqqq", token, *map(_wide, (tick.total_buy_quantity, tick.total_sell_quantity)),
                _wide(tick.volume), _wide(tick.ltt, 1000), _wide(tick.exchange_timestamp, 1000))  # fmt: skip
    body += pack("<5I", *map(price, (tick.open, tick.close, tick.high, tick.low, tick.ltp)))
    body += pack("<qII", _wide(tick.last_trade_quantity), price(tick.avg_trade_price), 0)
    body += pack("<IIhiI", len(buy), len(sell), 2, percent, min(_wide(tick.oi), 0xFFFFFFFF))
    traded = float(_wide(tick.volume)) * price(tick.avg_trade_price)
    body += pack("<diII", traded, change, price(tick.upper_circuit), price(tick.lower_circuit))
    body += pack("<IIIBI", 0, 0, max(1, tick.instrument.lotsize), precision, 1)
    for row in (*buy, *sell):
        body += pack("<qii", int(row.quantity), min(price(row.price), (1 << 31) - 1), row.orders or 0)
    return body


def _header(code: int, exchange: int, level: int, body: bytes) -> bytes:
    return pack("<HHbBBBB", 9 + len(body), code, exchange, level, 0, 1, 0) + body


def _wide(value: float | None, divisor: int = 1) -> int:
    """A 64-bit number, 0 for what isn't there."""
    return 0 if value is None else int(value) // divisor
