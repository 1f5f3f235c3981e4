"""mStock's scrip master (JSON, with the login), and the page of its documentation that has the indices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from html import unescape

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, squeeze
from openalgo_adapters._common.rows import Row, read_array
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["KNOWN_INDICES", "master_files", "parse_master"]

_SCRIPS = "OpenAPIScripMaster.json"
_INDEX_PAGE = "Annexure.html"
_SEGMENTS = frozenset({"NSE", "BSE", "NFO", "BFO", "MCX"})
#: Currency and interest rate contracts stand in the segments of the shares.
_CURRENCY = frozenset({"OPTCUR", "FUTCUR", "OPTIRC", "FUTIRC"})
_CURRENCY_EXCHANGE = {"NSE": "CDS", "BSE": "BCD"}
#: The series that a share's symbol goes without.
_PLAIN_SERIES = ("-EQ", "-BZ")
_TICK = 0.05

_PACKAGE = "openalgo_adapters.mstock"
_NSE_INDICES = IndexNames.load(_PACKAGE, key=squeeze, otherwise=squeeze)
#: Empty for what is no index.
_BSE_INDICES = IndexNames.load(_PACKAGE, key=squeeze, otherwise=lambda name: "")
#: A share of BSE has a code of six digits, an index a shorter one.
_SHARE_DIGITS = 6

_TABLE_ROW = re.compile(r"<tr\b", re.IGNORECASE)
_CELL = re.compile(r"<td\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """The master of all exchanges, and the page with NSE's indices, which it lacks."""
    headers = {
        "X-Mirae-Version": "1",
        "Authorization": f"Bearer {credentials.get('access_token', '')}",
        "X-PrivateKey": credentials.get("api_key", ""),
    }
    return {
        _SCRIPS: HttpRequest(
            method="GET",
            url="https://api.mstock.trade/openapi/typeb/instruments/OpenAPIScripMaster",
            headers=headers,
        ),
        _INDEX_PAGE: HttpRequest(method="GET", url="https://tradingapi.mstock.com/docs/v1/Annexure/"),
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """Either file's rows in OpenAlgo's words."""
    return _parse_page(data) if "annexure" in file.lower() else read_array(data, _parse)


def _parse(row: Row) -> MasterRow:
    token, brsymbol, segment = row.text("token"), row.text("name"), row.text("exch_seg")
    if not token or not brsymbol:
        raise BadValue("token or name: empty")
    if segment not in _SEGMENTS:
        raise BadValue("exch_seg: none of ours")
    name, kind = row.text("symbol", ""), row.text("instrumenttype", "")
    exchange = _CURRENCY_EXCHANGE.get(segment, segment) if kind in _CURRENCY else segment
    expiry = row.date("expiry") if row.text("expiry", "") else None
    strike = max(row.number("strike", 0.0), 0.0)
    if kind.startswith("FUT"):
        kind = "FUT"
        symbol = future_symbol(name, _needed(name, expiry))
    elif kind.startswith("OPT"):
        kind = brsymbol[-2:].upper()
        if kind not in ("CE", "PE"):
            raise BadValue("name: an option without CE or PE")
        symbol = option_symbol(name, _needed(name, expiry), strike, kind)
    elif segment == "BSE" and len(token) < _SHARE_DIGITS and _BSE_INDICES.symbol("BSE_INDEX", name):
        # Whether it is an index stands on the other page; its name and its token say it as well.
        exchange, symbol = "BSE_INDEX", _BSE_INDICES.symbol("BSE_INDEX", name)
    else:
        symbol = _plain(brsymbol)
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=segment,
        token=token,
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lotsize", 1),
        instrumenttype=kind,
        tick_size=row.number("tick_size", _TICK),
    )


def _needed(name: str, expiry: date | None) -> date:
    if expiry is None or not name:
        raise BadValue("a derivative without symbol or expiry")
    return expiry


def _plain(brsymbol: str) -> str:
    for series in _PLAIN_SERIES:
        if brsymbol.endswith(series) and brsymbol != series:
            return brsymbol.removesuffix(series)
    return brsymbol


def _parse_page(data: bytes) -> Iterator[MasterRow | BadRow]:
    """NSE's rows of the table "script, token, name, exchange"; the page has other tables as well."""
    found = False
    for part in _TABLE_ROW.split(data.decode("utf-8", "replace"))[1:]:
        cells = [_cell_text(cell) for cell in _CELL.split(part)[1:]]
        if len(cells) != 4:
            continue
        script, token, name, exchange = cells
        if exchange == "NSE" and token.isascii() and token.isdigit() and squeeze(script):
            found = True
            yield _index(script, token, name)
    if not found:
        yield BadRow(1, "no table of indices; the best known ones are taken instead")
        yield from KNOWN_INDICES


def _cell_text(cell: str) -> str:
    inside = re.split("</t", cell, maxsplit=1, flags=re.IGNORECASE)[0]
    return " ".join(unescape(_TAG.sub(" ", inside)).split())


def _index(script: str, token: str, name: str) -> MasterRow:
    return MasterRow(
        symbol=_NSE_INDICES.symbol("NSE_INDEX", script),
        brsymbol=name,
        name=script,
        exchange="NSE_INDEX",
        brexchange="NSE",
        token=token,
        instrumenttype="INDEX",
        tick_size=_TICK,
    )


#: What the page is known to hold, for a master that comes without it.
KNOWN_INDICES = (
    _index("NIFTY50", "26000", "Nifty 50"),
    _index("NIFTYBANK", "26009", "Nifty Bank"),
    _index("NIFTYNEXT50", "26013", "Nifty Next 50"),
    _index("INDIAVIX", "26017", "India VIX"),
    _index("NIFTYFINSERVICE", "26037", "Nifty Fin Service"),
    _index("NIFTYMIDSELECT", "26074", "NIFTY MID SELECT"),
)
