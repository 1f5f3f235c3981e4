"""Angel One's scrip master: one JSON array of all exchanges, new once a day, without login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, squeeze
from openalgo_adapters._common.rows import Row, read_array
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_FILE = "OpenAPIScripMaster.json"
_FUTURES = frozenset({"FUTIDX", "FUTSTK", "FUTCOM", "FUTCUR", "FUTIRC", "FUTIRT"})
_OPTIONS = frozenset({"OPTIDX", "OPTSTK", "OPTFUT", "OPTCUR", "OPTIRC"})
#: Those that the stream carries; the file may have others.
_SEGMENTS = frozenset({"NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NCDEX"})
_INDEX = "AMXIDX"
_INDEX_EXCHANGE = {"NSE": "NSE_INDEX", "BSE": "BSE_INDEX", "MCX": "MCX_INDEX"}
#: Cut at the end of a share's name only. (conflict: the peer deletes them anywhere.)
_SUFFIXES = ("-EQ", "-BE", "-MF", "-SG")
_INDICES = IndexNames.load("openalgo_adapters.angel", key=squeeze, otherwise=squeeze)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """The one file."""
    return {
        _FILE: HttpRequest(
            method="GET",
            url=f"https://margincalculator.angelbroking.com/OpenAPI_File/files/{_FILE}",
        )
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words."""
    return read_array(data, _parse)


def _parse(row: Row) -> MasterRow | None:
    token, brsymbol, segment = row.text("token"), row.text("symbol"), row.text("exch_seg")
    for column, value in (("token", token), ("symbol", brsymbol), ("exch_seg", segment)):
        if not value:
            raise BadValue(f"{column}: empty")
    if segment not in _SEGMENTS:
        return None
    name, kind = row.text("name", ""), row.text("instrumenttype", "")
    exchange = _INDEX_EXCHANGE.get(segment, segment) if kind == _INDEX else segment
    expiry = row.date("expiry") if row.text("expiry", "") else None
    strike = _strike(row, segment, kind)
    if kind in _FUTURES:
        kind = "FUT"
        symbol = future_symbol(name, _needed(name, expiry))
    elif kind in _OPTIONS:
        kind = brsymbol[-2:].upper()
        if kind not in ("CE", "PE"):
            raise BadValue("symbol: an option without CE or PE")
        symbol = option_symbol(name, _needed(name, expiry), strike, kind)
    else:
        symbol = _plain(exchange, brsymbol)
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=segment,
        token=token,
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lotsize"),
        instrumenttype=kind,
        # Paise on every exchange. (single source: on CDS as well.)
        tick_size=row.number("tick_size", 0.0) / 100,
    )


def _strike(row: Row, segment: str, kind: str) -> float:
    raw = row.number("strike", 0.0)
    if raw <= 0:
        return 0.0
    return raw / (10_000_000 if segment == "CDS" and kind in _OPTIONS else 100)


def _needed(name: str, expiry: date | None) -> date:
    if expiry is None or not name:
        raise BadValue("a derivative without name or expiry")
    return expiry


def _plain(exchange: str, brsymbol: str) -> str:
    """A share's or an index's symbol."""
    if exchange == "MCX_INDEX":
        return brsymbol
    if exchange == "NSE_INDEX":
        return _INDICES.symbol(exchange, brsymbol)
    if exchange == "BSE_INDEX":
        return _INDICES.symbol(exchange, brsymbol.upper().removeprefix("S&P "))
    for suffix in _SUFFIXES:
        if brsymbol.endswith(suffix):
            return brsymbol.removesuffix(suffix)
    return brsymbol
