"""INDmoney's instrument files: equity, derivatives, indices; each a CSV file behind the access token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

# (conflict: examples of the documentation have other ids of indices than its file.)
_INDEX_NAMES = IndexNames.load("openalgo_adapters.indmoney")
_DERIVATIVES = {"NSE": "NFO", "BSE": "BFO"}
_TICK = 0.05


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """The three files."""
    return {
        f"{source}.csv": HttpRequest(
            method="GET",
            url=f"https://api.indstocks.com/market/instruments?source={source}",
            headers={"Authorization": credentials.get("access_token", "")},
        )
        for source in ("equity", "fno", "index")
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """A file's rows in OpenAlgo's words."""
    return read_csv(data, _parse_index if file.startswith("index") else _parse)


def _parse(row: Row) -> MasterRow | None:
    if row.text("INSTRUMENT_NAME").upper() == "INDEX":
        return _parse_index(row)
    place, segment = row.text("EXCH"), row.text("SEGMENT")
    if place not in _DERIVATIVES or segment not in ("E", "D", "FNO"):
        return None
    token, brsymbol = _names(row, "TRADING_SYMBOL")
    if segment == "E":
        return MasterRow(
            symbol=brsymbol,
            brsymbol=brsymbol,
            name=brsymbol,
            exchange=place,
            brexchange=place,
            token=token,
            lotsize=row.integer("LOT_UNITS", 1),
            instrumenttype="EQ",
            tick_size=row.number("TICK_SIZE", _TICK),
        )
    root = brsymbol.partition("-")[0]
    expiry = row.date("EXPIRY_DATE")
    # A future has a negative placeholder.
    strike = max(row.number("STRIKE_PRICE", 0.0), 0.0)
    kind = "FUT" if row.text("INSTRUMENT_NAME").upper().startswith("FUT") else row.text("OPTION_TYPE")
    return MasterRow(
        symbol=_contract(root, expiry, strike, kind),
        brsymbol=brsymbol,
        name=root,
        exchange=_DERIVATIVES[place],
        brexchange=place,
        token=token,
        expiry=expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("LOT_UNITS", 1),
        instrumenttype=kind,
        tick_size=row.number("TICK_SIZE", _TICK),
    )


def _parse_index(row: Row) -> MasterRow | None:
    """The index file has three columns, and the name of the index is in SEGMENT."""
    place = row.text("EXCH")
    if place not in _DERIVATIVES:
        return None
    exchange = f"{place}_INDEX"
    token, brsymbol = _names(row, "SEGMENT")
    symbol = _INDEX_NAMES.symbol(exchange, brsymbol)
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=symbol,
        exchange=exchange,
        brexchange=place,
        token=token,
        instrumenttype="INDEX",
    )


def _names(row: Row, column: str) -> tuple[str, str]:
    token, brsymbol = row.text("SECURITY_ID"), row.text(column)
    if not token or not brsymbol:
        raise BadValue(f"SECURITY_ID or {column}: empty")
    return token, brsymbol


def _contract(root: str, expiry: date, strike: float, kind: str) -> str:
    if kind == "FUT":
        return future_symbol(root, expiry)
    if kind not in ("CE", "PE"):
        raise BadValue("OPTION_TYPE: neither CE nor PE")
    return option_symbol(root, expiry, strike, kind)
