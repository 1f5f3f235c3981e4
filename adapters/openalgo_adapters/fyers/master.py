"""Fyers' symbol files: CSV without a header, JSON where the CSV has no true lot. New every day, no login."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol
from openalgo_adapters._common.rows import ParseRow, Row, read_csv, read_objects
from openalgo_adapters._common.times import parse_date
from openalgo_adapters._common.values import BadValue, json_object
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

#: The CSV's columns, under the names that the JSON has for them where it has any.
_COLUMNS = (
    "fyToken",
    "symDetails",
    "type",
    "lot",
    "tickSize",
    "isin",
    "hours",
    "updated",
    "expiryDate",
    "symTicker",
    "exchange",
    "segment",
    "scripCode",
    "underSym",
    "underCode",
    "strikePrice",
    "optType",
    "underFyToken",
    "reserved1",
    "reserved2",
    "reserved3",
)
#: The last that is read is the option type.
_LEAST = 17

_FILES = (
    "NSE_CM.csv",
    "NSE_FO.csv",
    "BSE_CM.csv",
    "BSE_FO.csv",
    "NSE_CD_sym_master.json",
    "NSE_COM_sym_master.json",
    "MCX_COM_sym_master.json",
)
_DERIVATIVES = {"NSE_FO": "NFO", "BSE_FO": "BFO", "NSE_CD": "CDS", "NSE_COM": "NCO", "MCX_COM": "MCX"}

_EQUITY, _DEBENTURE, _MISC, _ETF, _INDEX, _BSE_MISC = 0, 2, 4, 9, 10, 50

_DETAILS = re.compile(r"(\S+) (\d{1,2}) ([A-Za-z]{3}) (\d{2}) (?:FUT|([0-9.]+) (?:CE|PE))", re.ASCII)


def _joined(name: str) -> str:
    return name.replace(" ", "").replace("-", "")


def _capitals(name: str) -> str:
    return name.upper().replace(" ", "")


_NSE_NAMES = IndexNames.load("openalgo_adapters.fyers", "symbols.csv", key=_joined, otherwise=_joined)
_BSE_NAMES = IndexNames.load("openalgo_adapters.fyers", "symbols.csv", key=_capitals, otherwise=_capitals)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """One file per segment."""
    return {
        name: HttpRequest(method="GET", url=f"https://public.fyers.in/sym_details/{name}") for name in _FILES
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """A file's rows in OpenAlgo's words; the beginning of its name says which segment it is."""
    segment = file.rpartition("/")[2].partition(".")[0].removesuffix("_sym_master")
    parse = _parser(segment)
    if parse is None:
        yield BadRow(1, f"{segment} is none of the files that are known")
    elif file.endswith(".json"):
        try:
            yield from read_objects(json_object(data).values(), parse)
        except BadValue as problem:
            yield BadRow(1, str(problem))
    else:
        yield from read_csv(data, parse, columns=_COLUMNS, least=_LEAST)


def _parser(segment: str) -> ParseRow | None:
    if segment == "NSE_CM":
        return _nse
    if segment == "BSE_CM":
        return _bse
    exchange = _DERIVATIVES.get(segment)
    return None if exchange is None else lambda row: _contract(row, exchange)


def _nse(row: Row) -> MasterRow | None:
    kind = row.integer("type")
    if kind in (_EQUITY, _ETF):
        return _row(row, "NSE", "EQ", row.text("underSym"))
    if kind == _DEBENTURE and row.text("symTicker").endswith("-GB"):
        return _row(row, "NSE", "GB", row.text("underSym"))
    if kind == _INDEX:
        return _row(row, "NSE_INDEX", "INDEX", _NSE_NAMES.symbol("NSE_INDEX", row.text("underSym")))
    return None


def _bse(row: Row) -> MasterRow | None:
    kind = row.integer("type")
    if kind in (_EQUITY, _MISC, _BSE_MISC):
        return _row(row, "BSE", "EQ", row.text("underSym"))
    if kind == _INDEX:
        return _row(row, "BSE_INDEX", "INDEX", _BSE_NAMES.symbol("BSE_INDEX", row.text("underSym")))
    return None


def _contract(row: Row, exchange: str) -> MasterRow:
    right = row.text("optType", "")
    if right not in ("CE", "PE"):
        if right not in ("XX", ""):
            raise BadValue("optType: none of CE, PE and XX")
        right = "FUT"
    expiry = _day(row.integer("expiryDate"))
    strike = 0.0 if right == "FUT" else row.number("strikePrice")
    return _row(row, exchange, right, _symbol(row, right, expiry, strike), expiry, strike)


def _symbol(row: Row, right: str, expiry: date, strike: float) -> str:
    """From the details, ``NIFTY 24 Nov 26 26000 CE``, or from the row's other columns where they have
    another form, as older files do."""
    found = _DETAILS.fullmatch(row.text("symDetails"))
    if found is not None and (found[5] is None) == (right == "FUT"):
        name, day, month, year, printed = found.groups()
        try:
            fits = parse_date(f"{day}-{month}-{year}") == expiry
        except BadValue:
            fits = False
        if fits:
            stem = f"{name}{day:0>2}{month.upper()}{year}"
            return f"{stem}FUT" if right == "FUT" else f"{stem}{printed.removesuffix('.0')}{right}"
    name = row.text("underSym")
    if not name:
        raise BadValue("underSym: empty")
    return future_symbol(name, expiry) if right == "FUT" else option_symbol(name, expiry, strike, right)


def _row(
    row: Row, exchange: str, kind: str, symbol: str, expiry: date | None = None, strike: float = 0.0
) -> MasterRow:
    token, ticker = row.text("fyToken"), row.text("symTicker")
    if not symbol or not ticker:
        raise BadValue("no symbol")
    if not (token.isascii() and token.isdigit()):
        raise BadValue("fyToken: not a number")
    return MasterRow(
        symbol=symbol,
        brsymbol=ticker,
        name=row.text("symDetails"),
        exchange=exchange,
        brexchange=exchange.removesuffix("_INDEX"),
        token=token,
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lot" if "lot" in row else "qtyMultiplier"),
        instrumenttype=kind,
        tick_size=row.number("tickSize"),
    )


def _day(seconds: int) -> date:
    """The date in UTC, which for these stamps is the Indian one."""
    try:
        return datetime.fromtimestamp(seconds, UTC).date()
    except (ValueError, OverflowError, OSError):
        raise BadValue("expiryDate: out of range") from None
