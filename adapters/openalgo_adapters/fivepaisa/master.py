"""5paisa's scrip master: one CSV file of all exchanges, without login, some 165,000 rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, squeeze
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_adapters.fivepaisa.wire import EXCHANGES
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

#: Series whose rows are taken. (single source: the peer thereby leaves out most of BSE's.)
_SERIES = frozenset({"EQ", "BE", "XX", "  "})
_CASH = "C"
_INDEX_EXCHANGE = {"NSE": "NSE_INDEX", "BSE": "BSE_INDEX"}
#: Codes of cash rows above this are indices.
_LAST_SHARE = 999_900
_INDICES = IndexNames.load("openalgo_adapters.fivepaisa", key=squeeze, otherwise=squeeze)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """The file of all segments."""
    return {
        "ScripMaster.csv": HttpRequest(
            method="GET",
            url="https://openapi.5paisa.com/VendorsAPI/Service1.svc/ScripMaster/segment/all",
        )
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words; of indices with the same name, the first."""
    seen: set[tuple[str, str]] = set()
    for row in read_csv(data, _parse):
        if isinstance(row, MasterRow) and row.instrumenttype == "INDEX":
            if (row.exchange, row.symbol) in seen:
                continue
            seen.add((row.exchange, row.symbol))
        yield row


def _parse(row: Row) -> MasterRow | None:
    segment = (row.text("Exch"), row.text("ExchType"))
    exchange = EXCHANGES.get(segment)
    if exchange is None or row.get("Series") not in _SERIES:
        return None
    code, root, brsymbol = row.integer("ScripCode"), row.text("SymbolRoot"), row.text("Name").upper()
    if code < 0 or not root or not brsymbol:
        raise BadValue("ScripCode, SymbolRoot or Name: not usable")
    series = row.text("Series")
    kind = series if series in ("EQ", "BE") else row.text("ScripType")
    expiry: date | None = None
    strike, name, symbol = 0.0, root, root
    if segment[1] == _CASH:
        if code > _LAST_SHARE:
            exchange, kind = _INDEX_EXCHANGE[exchange], "INDEX"
            name = symbol = _INDICES.symbol(exchange, root)
            if not symbol:
                raise BadValue("SymbolRoot: no name of an index")
    elif kind == "XX":
        expiry, kind = row.date("Expiry"), "FUT"
        symbol = future_symbol(root, expiry)
    elif kind in ("CE", "PE"):
        expiry, strike = row.date("Expiry"), row.number("StrikeRate")
        symbol = option_symbol(root, expiry, strike, kind)
    else:
        raise BadValue("ScripType: neither a future nor an option")
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=exchange,
        token=str(code),
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("LotSize"),
        instrumenttype=kind,
        tick_size=row.number("TickSize"),
    )
