"""Tradejini's symbol store: a list of groups, and a CSV file for each, without login."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from urllib.parse import quote

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, unspaced
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.times import parse_date
from openalgo_adapters._common.values import BadValue, json_object, number
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["EXCHANGES", "linked_files", "master_files", "parse_master"]

#: OpenAlgo has no name for two of the broker's segments (MCD, BCO).
EXCHANGES = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NFO",
    "BFO": "BFO",
    "CDS": "CDS",
    "BCD": "BCD",
    "MCX": "MCX",
    "NCO": "NCO",
    "NSE_INDEX": "NSE",
    "BSE_INDEX": "BSE",
}

_STORE = "symbol-store"
_URL = f"https://api.tradejini.com/v2/api/mkt-data/scrips/{_STORE}"
#: The folder may be gone: whoever loads files goes by their base names.
_NAME = re.compile(rf"(?:{_STORE}/)?(?P<group>\w+)(?: \(idFormat (?P<format>\w+)\))?")

_FUTURE = "instrument_symbol_exchange_expiry"
_OPTION = "instrument_symbol_exchange_expiry_strike_optType"
#: By group, for a list that does not say it.
_FORMATS = {
    "Securities": "instrument_symbol_series_exchange",
    **dict.fromkeys(("FutureContracts", "CurrencyFuture", "CommodityFuture"), _FUTURE),
    **dict.fromkeys(("NSEOptions", "BSEOptions", "CurrencyOptions", "CommodityOptions"), _OPTION),
    "Index": "instrument_symbol_exchange",
}
_TICK = 0.05


_INDICES = IndexNames.load("openalgo_adapters.tradejini", key=unspaced, otherwise=unspaced)


def master_files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
    """The list of the groups."""
    return {_STORE: HttpRequest(method="GET", url=f"{_URL}?version=0")}


def linked_files(file: str, data: bytes) -> Mapping[str, HttpRequest]:
    """The groups that the list names, as far as we read them; {} for what is no list."""
    if file != _STORE:
        return {}
    try:
        body = json_object(data).get("d")
    except BadValue:
        return {}
    groups = body.get("symbolStore") if isinstance(body, dict) else None
    found = {}
    for group in groups if isinstance(groups, list) else ():
        name = group.get("name") if isinstance(group, dict) else None
        if isinstance(name, str) and name in _FORMATS:
            layout = group.get("idFormat")
            layout = layout if isinstance(layout, str) and layout else _FORMATS[name]
            request = HttpRequest(method="GET", url=f"{_URL}/{quote(name, safe='')}?version=0")
            found[f"{_STORE}/{name} (idFormat {layout})"] = request
    return found


def parse_master(file: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    """One group's rows; its name, and how ids are made up, are in that of the file."""
    known = _NAME.match(file)
    group = known["group"] if known else ""
    if known is None or group not in _FORMATS:
        return []
    layout = (known["format"] or _FORMATS[group]).split("_")
    return read_csv(data, lambda row: _parse(row, group, layout))


def _parse(row: Row, group: str, layout: list[str]) -> MasterRow | None:
    brsymbol, token = row.text("id"), row.text("excToken")
    if row.text("asset", "").lower() == "spot" or "spot" in brsymbol.lower():
        return None
    if not token.removeprefix("-").isdigit():
        raise BadValue("excToken: not a number")
    values = brsymbol.split("_")
    parts = Row(zip(layout, values, strict=True) if len(values) == len(layout) else ())
    segment = values[-1] if group == "Index" else _segment(parts, values)
    if segment not in EXCHANGES:
        return None
    if group == "Index":
        return _index(row, brsymbol, token, segment)
    if group == "Securities":
        symbol, name, kind = row.text("dispName"), row.text("desc", ""), "EQ"
        if not symbol:
            raise BadValue("dispName: empty")
        expiry, strike = "", 0.0
    else:
        day = _expiry(parts.text("expiry", "") or row.text("expiry", ""))
        if day is None:
            return None
        name = parts.text("symbol", "") or row.text("symbol", "")
        if not name:
            raise BadValue("a contract without the symbol of its underlying")
        expiry, strike, kind = expiry_text(day), 0.0, "FUT"
        symbol = future_symbol(name, day)
        if group.endswith("Options"):
            strike = number(parts.text("strike", "") or row.text("strike", ""))
            kind = (parts.text("optType", "") or row.text("optType", "")).upper()
            if kind not in ("CE", "PE"):
                raise BadValue("an option that is neither CE nor PE")
            symbol = option_symbol(name, day, strike, kind)
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name or symbol,
        exchange=segment,
        brexchange=segment,
        token=token,
        expiry=expiry,
        strike=strike,
        lotsize=row.integer("lot", 1),
        instrumenttype=kind,
        tick_size=row.number("tick", _TICK),
    )


def _index(row: Row, brsymbol: str, token: str, segment: str) -> MasterRow:
    exchange = f"{segment}_INDEX"
    if exchange not in EXCHANGES:
        raise BadValue("id: an index of another exchange")
    name = row.text("dispName", "")
    symbol = _INDICES.symbol(exchange, row.text("symbol", "") or name)
    if not symbol:
        raise BadValue("symbol: empty")
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=segment,
        token=token,
        instrumenttype="INDEX",
        tick_size=_TICK,
    )


def _segment(parts: Row, values: list[str]) -> str:
    """The exchange in the id: at its place, or wherever it is in an id of another make."""
    found = parts.text("exchange", "")
    return found or next((value for value in values[1:] if value in EXCHANGES), "")


def _expiry(text: str) -> date | None:
    # (conflict: some pages of the documents show 25APR2024, live ids have 2026-11-24.)
    try:
        return parse_date(text)
    except BadValue:
        return None
