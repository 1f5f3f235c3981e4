"""Pocketful's contract files: five CSVs in one archive, without a login."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_INDICES = IndexNames.load("openalgo_adapters.pocketful", key=str.upper)
_EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "MCX")
_LETTERS = re.compile(r"[A-Z]+")


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """The archive with all of them."""
    url = "https://trade.pocketful.in/api/v1/contract/Compact?info=download&exchanges=NSE,NFO,BSE,BFO,MCX"
    return {"CompactScrip.zip": HttpRequest(method="GET", url=url)}


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """One file's rows in OpenAlgo's words. Its name begins with the exchange."""
    # (unconfirmed: the case and the order of the columns.)
    header, newline, rest = data.partition(b"\n")
    given = file[:3].upper()

    def parse(row: Row) -> MasterRow | None:
        return _parse(given if given in _EXCHANGES else row.text("exchange"), row)

    return read_csv(header.lower() + newline + rest, parse)


def _parse(exchange: str, row: Row) -> MasterRow | None:
    if exchange in ("NSE", "BSE"):
        return _cash(exchange, row)
    if exchange in ("NFO", "BFO", "MCX"):
        return _derivative(exchange, row)
    raise BadValue("exchange: none of ours")


def _cash(exchange: str, row: Row) -> MasterRow | None:
    brsymbol, company = row.text("trading_symbol"), row.text("company_name", "")
    segment, kind = row.text("segment", ""), row.text("instrument_name", "")
    if segment == ("INDICES" if exchange == "NSE" else "IDX"):
        exchange = f"{exchange}_INDEX"
        name = brsymbol if exchange == "NSE_INDEX" else company
        return _row(row, exchange, _INDICES.symbol(exchange, brsymbol), name, "INDEX")
    if exchange == "NSE":
        # Other series than EQ (BE, BZ, SM, …) are left out.
        return _row(row, exchange, brsymbol.removesuffix("-EQ"), company, "EQ") if kind == "EQ" else None
    return _row(row, exchange, brsymbol.partition("-")[0], company, "EQ")


def _derivative(exchange: str, row: Row) -> MasterRow | None:
    kind, right = row.text("instrument_name", ""), row.text("option_type", "")
    name = row.text("company_name", "")
    if exchange == "MCX":
        if kind == "COM":
            return None
        letters = _LETTERS.match(row.text("trading_symbol"))
        name = "" if letters is None else letters[0]
    futures = {"NFO": (), "BFO": ("SF", "IF"), "MCX": ("FUTCOM", "FUTIDX")}[exchange]
    if right in ("CE", "PE"):
        instrumenttype = right
    elif kind in futures or (right == "XX" and exchange != "MCX"):
        instrumenttype = "FUT"
    else:
        return None
    if not name:
        raise BadValue("a derivative without a name")
    expiry = row.date("expiry")
    symbol = (
        future_symbol(name, expiry)
        if instrumenttype == "FUT"
        else option_symbol(name, expiry, row.number("strike"), right)
    )
    return _row(row, exchange, symbol, name, instrumenttype)


def _row(row: Row, exchange: str, symbol: str, name: str, instrumenttype: str) -> MasterRow:
    token = row.integer("exchange_token")
    if not 0 <= token < 1 << 32:
        raise BadValue("exchange_token: out of range")
    brsymbol = row.text("trading_symbol")
    if not brsymbol or not symbol:
        raise BadValue("trading_symbol: empty")
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=row.text("exchange"),
        token=str(token),
        expiry=expiry_text(row.date("expiry")) if row.text("expiry", "") else "",
        strike=max(0.0, row.number("strike", 0.0)),
        lotsize=row.integer("lot_size"),
        instrumenttype=instrumenttype,
        tick_size=row.number("tick_size"),
    )
