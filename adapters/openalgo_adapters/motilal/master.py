"""Motilal Oswal's scrip and index files: CSV with a header, one per exchange, without a login."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, unspaced
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.times import parse_date
from openalgo_adapters._common.values import BadValue
from openalgo_adapters.motilal.wire import exchange_of
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_FILES = (
    *(f"getscripmastercsv?name={name}" for name in ("NSE", "BSE", "NSEFO", "BSEFO", "NSECD", "MCX")),
    *(f"getindexdatacsv?name={name}" for name in ("NSE", "BSE")),
)
#: The last column that is read is the tick size.
_LEAST = 14
_DATE = re.compile(r"(?<!\S)[0-9]{2}-[A-Za-z]{3}-[0-9]{4}(?!\S)")
_TICK = 0.05

#: What the broker calls BSE's indices in their contracts.
_UNDERLYING = {"BSX": "SENSEX", "BKX": "BANKEX", "SX50": "SENSEX50"}


def _spaced(name: str) -> str:
    return " ".join(name.upper().split())


_NSE_NAMES = IndexNames.load("openalgo_adapters.motilal", key=unspaced, otherwise=unspaced)
_BSE_NAMES = IndexNames.load("openalgo_adapters.motilal", key=_spaced, otherwise=unspaced)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """One file per exchange, and those of the indices."""
    return {
        name: HttpRequest(method="GET", url=f"https://openapi.motilaloswal.com/{name}") for name in _FILES
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """A file's rows in OpenAlgo's words.

    Several series of a share have one symbol: the row of the series EQ is kept, else the first.
    """
    if file.startswith("getindexdatacsv"):
        yield from read_csv(data, _index, least=3)
        return
    kept: dict[tuple[str, str], MasterRow] = {}
    for row in read_csv(data, _scrip, least=_LEAST):
        if isinstance(row, BadRow) or row.exchange not in ("NSE", "BSE"):
            yield row
        elif (row.exchange, row.symbol) not in kept or row.brsymbol.endswith(" EQ"):
            kept[row.exchange, row.symbol] = row
    yield from kept.values()


def _scrip(row: Row) -> MasterRow | None:
    segment, scripname = row.text("exchangename"), row.text("scripname")
    exchange = exchange_of(segment)
    if exchange is None:
        return None
    name = row.text("scripshortname")
    if exchange == "BFO":
        name = _UNDERLYING.get(name, name)
    if not name or not scripname:
        raise BadValue("no scrip name")
    kind = _kind(row, exchange)
    strike = row.number("strikeprice") if kind in ("CE", "PE") else 0.0
    symbol, expiry = name, None
    if exchange not in ("NSE", "BSE"):
        expiry = _expiry(scripname)
        symbol = _contract(scripname, name, expiry, strike, kind)
    tick = row.number("ticksize", 0.0)
    return MasterRow(
        symbol=symbol,
        brsymbol=scripname,
        name=name,
        exchange=exchange,
        brexchange=segment,
        token=_code(row, "scripcode"),
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("marketlot"),
        instrumenttype=kind,
        tick_size=tick if tick > 0 else _TICK,
    )


def _kind(row: Row, exchange: str) -> str:
    kind, right = row.text("instrumentname", "").upper(), row.text("optiontype", "").upper()
    if right in ("CE", "PE"):
        return right
    if "FUT" in kind and right in ("XX", ""):
        return "FUT"
    return kind or ("EQ" if exchange in ("NSE", "BSE") else "")


def _expiry(scripname: str) -> date | None:
    """From the name: the column with the seconds is a day late for commodities."""
    found = _DATE.search(scripname)
    if found is None:
        return None
    try:
        return parse_date(found[0])
    except BadValue:
        return None


def _contract(scripname: str, name: str, expiry: date | None, strike: float, kind: str) -> str:
    if expiry is not None and kind == "FUT":
        return future_symbol(name, expiry)
    if expiry is not None and kind in ("CE", "PE"):
        return option_symbol(name, expiry, strike, kind)
    return scripname


def _index(row: Row) -> MasterRow | None:
    segment, name = row.text("exchangename"), row.text("indexname")
    if segment not in ("NSE", "BSE"):
        return None
    if not name:
        raise BadValue("indexname: empty")
    exchange = f"{segment}_INDEX"
    return MasterRow(
        symbol=(_NSE_NAMES if segment == "NSE" else _BSE_NAMES).symbol(exchange, name),
        brsymbol=name,
        name=name,
        exchange=exchange,
        brexchange=segment,
        token=_code(row, "indexcode"),
        instrumenttype="INDEX",
        tick_size=_TICK,
    )


def _code(row: Row, column: str) -> str:
    code = row.text(column)
    if not (code.isascii() and code.isdigit()):
        raise BadValue(f"{column}: not a number")
    return code
