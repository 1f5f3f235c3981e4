"""Arrow's instrument file (CSV, new every morning at 08:00), and its list of further indices (JSON)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, unspaced
from openalgo_adapters._common.rows import Row, read_csv, read_objects
from openalgo_adapters._common.values import BadValue, json_object
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["EXCHANGES", "master_files", "parse_master"]

#: OpenAlgo exchange by segment.
EXCHANGES = {
    "NSECM": "NSE",
    "BSECM": "BSE",
    "NSEFO": "NFO",
    "BSEFO": "BFO",
    "MCXFO": "MCX",
    "NSECD": "CDS",
    "BSECD": "BCD",
    "NSECO": "NCO",
    "NSEIDX": "NSE_INDEX",
    "BSEIDX": "BSE_INDEX",
    "MCXIDX": "MCX_INDEX",
}
_CURRENCY = frozenset({"NSECD", "BSECD"})
#: (conflict: the documentation multiplies every strike by 100; the file's own are unscaled but for these.)
_CURRENCY_STRIKE = 100_000
_CURRENCY_TICK = 100

_INDEX_LIST = "index-list.json"
#: The segment of what is in the list alone.
_LISTED = "INDEX"


_INDICES = IndexNames.load("openalgo_adapters.arrow", key=unspaced, otherwise=unspaced)
_BSE_INDICES = IndexNames.load("openalgo_adapters.arrow", key=unspaced, otherwise=lambda name: "")


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """Both need the login."""
    headers = {"appID": credentials.get("app_id", ""), "token": credentials.get("access_token", "")}
    host = "https://edge.arrow.trade"
    return {
        "instruments.csv": HttpRequest(method="GET", url=f"{host}/all", headers=headers),
        _INDEX_LIST: HttpRequest(method="GET", url=f"{host}/info/index-list", headers=headers),
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """Either file's rows in OpenAlgo's words. The list repeats the file, which comes first and counts."""
    return _parse_list(data) if "index-list" in file else read_csv(data, _parse)


def _parse(row: Row) -> MasterRow | None:
    segment = row.text("ExchSeg")
    exchange = EXCHANGES.get(segment)
    if exchange is None:
        return None
    name = row.text("Symbol")
    brsymbol = row.text("TradingSymbol") or name
    if not brsymbol:
        raise BadValue("TradingSymbol: empty")
    expiry = row.date("Expiry") if row.text("Expiry") else None
    strike = max(0.0, row.number("StrikePrice", 0.0))
    tick = row.number("TickSize", 0.0)
    if segment in _CURRENCY:
        strike = round(strike / _CURRENCY_STRIKE, 6)
        tick = round(tick / _CURRENCY_TICK, 6)
    kind = _kind(row, exchange, expiry)
    underlying = row.text("Underlying") or name
    if kind != "EQ":
        symbol = _derivative(underlying, expiry, strike, kind)
    elif exchange.endswith("_INDEX"):
        symbol = _INDICES.symbol(exchange, name)
    else:
        symbol = brsymbol.removesuffix("-EQ")
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=underlying if kind != "EQ" else row.text("FullName") or name,
        exchange=exchange,
        brexchange=segment,
        token=_token(row, "Token"),
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("LotSize", 0),
        instrumenttype=kind,
        tick_size=tick,
    )


def _kind(row: Row, exchange: str, expiry: date | None) -> str:
    said = row.text("OptionType")
    if said in ("CE", "PE"):
        return said
    derivative = exchange not in ("NSE", "BSE") and not exchange.endswith("_INDEX")
    return "FUT" if said == "XX" or (derivative and expiry is not None) else "EQ"


def _derivative(underlying: str, expiry: date | None, strike: float, kind: str) -> str:
    if expiry is None or not underlying:
        raise BadValue("a derivative without name or expiry")
    return (
        future_symbol(underlying, expiry)
        if kind == "FUT"
        else option_symbol(underlying, expiry, strike, kind)
    )


def _token(row: Row, column: str) -> str:
    token = row.integer(column)
    if not 0 <= token < 1 << 32:
        raise BadValue(f"{column}: out of range")
    return str(token)


def _parse_list(data: bytes) -> Iterator[MasterRow | BadRow]:
    try:
        listed = json_object(data).get("data")
        if not isinstance(listed, list):
            raise BadValue("no array of indices")
    except BadValue as problem:
        yield BadRow(1, str(problem))
        return
    yield from read_objects(listed, _parse_listed)


def _parse_listed(row: Row) -> MasterRow:
    name = row.text("name")
    if not name:
        raise BadValue("name: empty")
    bse = _BSE_INDICES.symbol("BSE_INDEX", name)
    return MasterRow(
        symbol=bse or _INDICES.symbol("NSE_INDEX", name),
        brsymbol=name,
        name=name,
        exchange="BSE_INDEX" if bse else "NSE_INDEX",
        brexchange=_LISTED,
        token=_token(row, "token"),
        lotsize=0,
        instrumenttype="EQ",
    )
