"""Samco's scrip master: one CSV file of all exchanges, without login. It has no indices."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import date
from importlib.resources import files

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.times import parse_date
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["INDICES", "master_files", "parse_master"]

_PACKAGE = "openalgo_adapters.samco"
_INDEX_NAMES = IndexNames.load(_PACKAGE)
_TICK = 0.05

#: What a row's exchange is called by us. BCD and NCDEX are in the file and not in the stream.
_EXCHANGE = {
    **{name: name for name in ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "BCD", "NCDEX")},
    "MFO": "MCX",
}
_INDEX_EXCHANGE = {"NSE": "NSE_INDEX", "BSE": "BSE_INDEX", "MCX": "MCX_INDEX"}
_FUTURES = frozenset({"FUTIDX", "FUTSTK", "FUTCOM", "FUTCUR", "FUTIRC", "FUT"})
_OPTIONS = frozenset({"OPTIDX", "OPTSTK", "OPTFUT", "OPTCUR", "OPTIRC", "CE", "PE"})
#: The series that a share's symbol goes without.
_SERIES = ("-EQ", "-BE", "-MF", "-SG")

#: Columns of older files.
_OLDER = {
    "Exchange": "exchange",
    "Symbol Code": "symbolCode",
    "Trading Symbol": "tradingSymbol",
    "Symbol Name": "name",
    "Instrument": "instrument",
}

_DIGITS = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})", re.ASCII)
_YEAR_FIRST = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{2})", re.ASCII)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """The one file."""
    return {
        "ScripMaster.csv": HttpRequest(
            method="GET", url="https://developers.stocknote.com/doc/ScripMaster.csv"
        )
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words."""
    return read_csv(data, _parse)


def _parse(given: Row) -> MasterRow:
    row = given if "symbolCode" in given else Row({_OLDER.get(name, name): given[name] for name in given})
    token, brsymbol, segment = row.text("symbolCode"), row.text("tradingSymbol"), row.text("exchange")
    if not token or not brsymbol:
        raise BadValue("symbolCode or tradingSymbol: empty")
    exchange = _EXCHANGE.get(segment)
    if exchange is None:
        raise BadValue("exchange: none of ours")
    name, kind = row.text("name", ""), row.text("instrument", "")
    expiry = _expiry(row.text("expiryDate", ""))
    strike = max(row.number("strikePrice", 0.0), 0.0)
    right = _right(exchange, brsymbol, kind)
    if right:
        if expiry is None or not name:
            raise BadValue("a derivative without name or expiry")
        kind = right
        symbol = future_symbol(name, expiry) if right == "FUT" else option_symbol(name, expiry, strike, right)
    elif kind == "INDEX" and exchange in _INDEX_EXCHANGE:
        exchange = _INDEX_EXCHANGE[exchange]
        symbol = _INDEX_NAMES.symbol(exchange, brsymbol)
    else:
        symbol = _plain(brsymbol) if kind == "EQ" else brsymbol
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=segment,
        token=token,
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lotSize", 1),
        instrumenttype=kind,
        tick_size=row.number("tickSize", _TICK),
    )


def _right(exchange: str, brsymbol: str, kind: str) -> str:
    """FUT, CE or PE; empty for what is no derivative."""
    ending = brsymbol[-2:].upper()
    if exchange == "BFO":
        # Its instrument column may hold the exchange's codes (IF, IO, SF, SO).
        if ending in ("CE", "PE"):
            return ending
        return "FUT" if "FUT" in kind or brsymbol.upper().endswith("FUT") else ""
    if kind in _FUTURES:
        return "FUT"
    if kind in _OPTIONS:
        if ending not in ("CE", "PE"):
            raise BadValue("tradingSymbol: an option without CE or PE")
        return ending
    return ""


def _expiry(text: str) -> date | None:
    """The date in any of the file's forms; the day comes first where that makes a date."""
    if not text:
        return None
    found = _DIGITS.fullmatch(text)
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), int(found[3]))
        try:
            return parse_date(text)
        except BadValue:
            found = _YEAR_FIRST.fullmatch(text)
            if found is None:
                raise
            return date(2000 + int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise BadValue("expiryDate: not a date") from None


def _plain(brsymbol: str) -> str:
    for series in _SERIES:
        if brsymbol.endswith(series) and brsymbol != series:
            return brsymbol.removesuffix(series)
    return brsymbol


def _index_rows() -> Iterator[MasterRow]:
    """The table of indices. Their tokens hold the place of the listing id, which the broker is asked for.

    (conflict: NIFTY 50 is -21 in one place and -23 in another.)
    """
    table = files(_PACKAGE).joinpath("indices.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        yield MasterRow(
            symbol=row["symbol"],
            brsymbol=row["name"],
            name=row["name"],
            exchange=row["exchange"],
            brexchange=row["exchange"].removesuffix("_INDEX"),
            token=row["name"].replace(" ", "_"),
            instrumenttype="INDEX",
            tick_size=_TICK,
        )


INDICES = tuple(_index_rows())
