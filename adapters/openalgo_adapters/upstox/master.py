"""Upstox's instrument file: one JSON array for all segments, gzipped, without a login, new at about 06:00."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from openalgo_adapters._common.naming import IndexNames, expiry_text
from openalgo_adapters._common.rows import Row, read_array
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["EXCHANGE_OF", "master_files", "parse_master"]

#: Segment → exchange. NSE_COM is left out, as the platform's own rows have none.
#: (conflict: the peer streams currencies as NSE_CD; the file and the feed say NCD_FO and BCD_FO.)
EXCHANGE_OF = {
    "NSE_EQ": "NSE",
    "BSE_EQ": "BSE",
    "NSE_FO": "NFO",
    "BSE_FO": "BFO",
    "NCD_FO": "CDS",
    "BCD_FO": "BCD",
    "MCX_FO": "MCX",
    "NSE_INDEX": "NSE_INDEX",
    "BSE_INDEX": "BSE_INDEX",
    "MCX_INDEX": "MCX_INDEX",
    "GLOBAL_INDEX": "GLOBAL_INDEX",
    "GLOBAL_INDICATOR": "GLOBAL_INDEX",
}

_CONTRACT = re.compile(
    r"(?P<name>.+) (?:FUT|(?P<strike>[0-9.]+) (?P<right>CE|PE)) "
    r"(?P<day>[0-9]{1,2}) (?P<month>[A-Z]{3}) (?P<year>[0-9]{2})"
)


def _joined(name: str) -> str:
    return name.replace(" ", "")


_NSE_NAMES = IndexNames.load("openalgo_adapters.upstox", otherwise=_joined)
_NAMES = IndexNames.load("openalgo_adapters.upstox")


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """One file. (The global indices are said to be in it too: single source, the peer.)"""
    url = "https://assets.upstox.com/market-quote/instruments/exchange/complete.json.gz"
    return {"complete.json.gz": HttpRequest(method="GET", url=url)}


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words."""
    return read_array(data, _row)


def _row(row: Row) -> MasterRow | None:
    segment = row.text("segment")
    exchange = EXCHANGE_OF.get(segment)
    if exchange is None:
        return None
    key, name = row.text("instrument_key"), row.text("trading_symbol")
    if not key or not name:
        raise BadValue("no instrument key or no trading symbol")
    strike, expiry = 0.0, ""
    if exchange.endswith("_INDEX"):
        kind = "INDEX"
        symbol = (_NSE_NAMES if exchange == "NSE_INDEX" else _NAMES).symbol(exchange, name)
    elif exchange in ("NSE", "BSE"):
        # (conflict: the peer keeps the letters of BSE's groups.)
        kind, symbol = "EQ", name
    else:
        kind, symbol = row.text("instrument_type"), _contract(name)
        expiry = expiry_text(_day(row.integer("expiry")))
        strike = row.number("strike_price", 0.0)
    return MasterRow(
        symbol=symbol,
        brsymbol=name,
        name=row.text("name", ""),
        exchange=exchange,
        brexchange=segment,
        token=key,
        expiry=expiry,
        strike=strike,
        lotsize=row.integer("lot_size", 0),
        instrumenttype=kind,
        # In paise. (conflict: the peer stores it as it stands.)
        tick_size=row.number("tick_size", 0.0) / 100,
    )


def _contract(name: str) -> str:
    found = _CONTRACT.fullmatch(name)
    if found is None:
        raise BadValue("trading_symbol: neither a future nor an option")
    stem = f"{found['name']}{found['day']:0>2}{found['month']}{found['year']}"
    return f"{stem}FUT" if found["right"] is None else f"{stem}{found['strike']}{found['right']}"


def _day(milliseconds: int) -> date:
    """An expiry is the last second of an Indian day: its date in UTC is the same."""
    try:
        return datetime.fromtimestamp(milliseconds // 1000, UTC).date()
    except (ValueError, OverflowError, OSError):
        raise BadValue("expiry: out of range") from None
