"""Packets of the live feed and lines of the scrip master, as Dhan's servers write them.

For the simulator; written from the documentation. A packet is filled field by field, by its offset,
into zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import pack_into

from openalgo_ws.adapter import MasterRow
from openalgo_ws.tick import Tick

__all__ = [
    "COLUMNS",
    "NUMBER",
    "ORDER_EXCHANGE",
    "SEGMENT_NUMBERS",
    "count",
    "full",
    "line",
    "previous_close",
    "quote",
    "started",
    "ticker",
]

#: Segment name → its number and the exchanges in it.
SEGMENT_NUMBERS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "IDX_I": (0, ("NSE_INDEX", "BSE_INDEX")),
    "NSE_EQ": (1, ("NSE",)),
    "NSE_FNO": (2, ("NFO",)),
    "NSE_CURRENCY": (3, ("CDS",)),
    "BSE_EQ": (4, ("BSE",)),
    "MCX_COMM": (5, ("MCX",)),
    "BSE_CURRENCY": (7, ("BCD",)),
    "BSE_FNO": (8, ("BFO",)),
}
#: The number of the segment that an exchange is in.
NUMBER = {exchange: number for number, exchanges in SEGMENT_NUMBERS.values() for exchange in exchanges}
_INDIA = 19800

#: OpenAlgo's exchange → exchange and segment in orders and in the scrip master.
ORDER_EXCHANGE = {
    "NSE": ("NSE", "E"),
    "NFO": ("NSE", "D"),
    "CDS": ("NSE", "C"),
    "BSE": ("BSE", "E"),
    "BFO": ("BSE", "D"),
    "BCD": ("BSE", "C"),
    "MCX": ("MCX", "M"),
}


def started(tick: Tick, code: int, size: int) -> bytearray:
    """A packet of the live feed with its header."""
    packet = bytearray(size)
    pack_into("<B", packet, 0, code)
    pack_into("<H", packet, 1, size)
    pack_into("<B", packet, 3, NUMBER[tick.instrument.exchange])
    pack_into("<I", packet, 4, int(tick.instrument.token))
    return packet


def previous_close(tick: Tick) -> bytes:
    """Code 6."""
    # The open interest of the day before isn't in a tick: it stays 0.
    packet = started(tick, 6, 16)
    pack_into("<f", packet, 8, tick.close or 0.0)
    return bytes(packet)


def ticker(tick: Tick) -> bytes:
    """Code 2."""
    packet = started(tick, 2, 16)
    pack_into("<f", packet, 8, tick.ltp or 0.0)
    pack_into("<I", packet, 12, _clock(tick.ltt))
    return bytes(packet)


def quote(tick: Tick) -> bytes:
    """Code 4."""
    packet = started(tick, 4, 50)
    _fill_trade(packet, tick)
    _fill_day(packet, 34, tick)
    return bytes(packet)


def full(tick: Tick) -> bytes:
    """Code 8."""
    packet = started(tick, 8, 162)
    _fill_trade(packet, tick)
    # The day's high and low of the open interest, at 38 and 42, aren't in a tick.
    pack_into("<I", packet, 34, count(tick.oi))
    _fill_day(packet, 46, tick)
    if tick.depth is not None:
        for n, level in enumerate(tick.depth.buy[:5]):
            pack_into("<I", packet, 62 + 20 * n, count(level.quantity))
            pack_into("<H", packet, 70 + 20 * n, min(level.orders or 0, 0xFFFF))
            pack_into("<f", packet, 74 + 20 * n, level.price)
        for n, level in enumerate(tick.depth.sell[:5]):
            pack_into("<I", packet, 66 + 20 * n, count(level.quantity))
            pack_into("<H", packet, 72 + 20 * n, min(level.orders or 0, 0xFFFF))
            pack_into("<f", packet, 78 + 20 * n, level.price)
    return bytes(packet)


def _fill_trade(packet: bytearray, tick: Tick) -> None:
    pack_into("<f", packet, 8, tick.ltp or 0.0)
    # Sixteen bits: a large trade wraps.
    pack_into("<H", packet, 12, count(tick.last_trade_quantity) & 0xFFFF)
    pack_into("<I", packet, 14, _clock(tick.ltt))
    pack_into("<f", packet, 18, tick.avg_trade_price or 0.0)
    pack_into("<I", packet, 22, count(tick.volume))
    pack_into("<I", packet, 26, count(tick.total_sell_quantity))
    pack_into("<I", packet, 30, count(tick.total_buy_quantity))


def _fill_day(packet: bytearray, offset: int, tick: Tick) -> None:
    pack_into("<f", packet, offset, tick.open or 0.0)
    pack_into("<f", packet, offset + 4, tick.close or 0.0)
    pack_into("<f", packet, offset + 8, tick.high or 0.0)
    pack_into("<f", packet, offset + 12, tick.low or 0.0)


def count(value: float | None) -> int:
    """An integer that fits its 32 bits; nothing is 0."""
    return 0 if value is None else max(0, min(int(value), 0xFFFFFFFF))


def _clock(milliseconds: int | None) -> int:
    """The wall clock in India, written as if it were UTC."""
    return count(None if not milliseconds else milliseconds // 1000 + _INDIA)


#: The columns of the scrip master.
COLUMNS = (
    "SEM_EXM_EXCH_ID",
    "SEM_SEGMENT",
    "SEM_SMST_SECURITY_ID",
    "SEM_INSTRUMENT_NAME",
    "SEM_EXPIRY_CODE",
    "SEM_TRADING_SYMBOL",
    "SEM_LOT_UNITS",
    "SEM_CUSTOM_SYMBOL",
    "SEM_EXPIRY_DATE",
    "SEM_STRIKE_PRICE",
    "SEM_OPTION_TYPE",
    "SEM_TICK_SIZE",
    "SEM_EXPIRY_FLAG",
    "SEM_EXCH_INSTRUMENT_TYPE",
    "SEM_SERIES",
    "SM_SYMBOL_NAME",
)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def line(row: MasterRow) -> tuple[object, ...]:
    """A line of the scrip master; what a row of ours doesn't hold is left empty."""
    index = row.exchange.endswith("_INDEX")
    if index:
        exchange, segment = row.exchange.removesuffix("_INDEX"), "I"
    else:
        exchange, segment = ORDER_EXCHANGE[row.exchange]
    lot, tick = f"{row.lotsize:.1f}", f"{row.tick_size * 100:.4f}"
    if not row.expiry:
        kind = "INDEX" if index else "EQUITY"
        return (exchange, segment, row.token, kind, 0, row.brsymbol, lot, row.name, "", "", "",
                tick, "NA", "", "", row.name)  # fmt: skip
    day, month, year = row.expiry.split("-")
    expiry = f"20{year}-{_MONTHS.index(month) + 1:02d}-{day} 14:30:00"
    future = row.instrumenttype == "FUT"
    ends = {"C": ("FUTCUR", "OPTCUR"), "M": ("FUTCOM", "OPTFUT")}.get(segment, ("FUTIDX", "OPTIDX"))
    kind = ends[0] if future else ends[1]
    shown = f"{row.name} {day} {month} " + ("FUT" if future else f"{row.strike:g} {row.instrumenttype}")
    strike, right = ("-0.01000", "XX") if future else (f"{row.strike:.5f}", row.instrumenttype)
    return (exchange, segment, row.token, kind, 0, row.brsymbol, lot, shown, expiry, strike, right,
            tick, "M", "", "NA", "")  # fmt: skip
