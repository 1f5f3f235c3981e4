"""Groww's instrument file: CSV with a header whose columns have changed over time, without a login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_INDICES = IndexNames.load("openalgo_adapters.groww")
_DERIVATIVES = {"NSE": "NFO", "BSE": "BFO"}


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """One file for everything."""
    return {
        "instrument.csv": HttpRequest(
            method="GET", url="https://growwapi-assets.groww.in/instruments/instrument.csv"
        )
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words."""
    return read_csv(data, _parse)


def _parse(row: Row) -> MasterRow | None:
    brexchange, segment = row.text("exchange"), row.text("segment")
    brsymbol = row.text("trading_symbol")
    if brexchange not in _DERIVATIVES or segment not in ("CASH", "FNO") or not brsymbol:
        return None
    token = row.text("exchange_token")
    if not token:
        raise BadValue("exchange_token: empty")
    kind = row.text("instrument_type")
    if segment == "FNO":
        return _derivative(row, kind, brsymbol, brexchange, token)
    index = kind == "IDX"
    exchange = f"{brexchange}_INDEX" if index else brexchange
    return MasterRow(
        symbol=_INDICES.symbol(exchange, brsymbol) if index else brsymbol,
        brsymbol=brsymbol,
        name=row.text("name", "") or brsymbol,
        exchange=exchange,
        brexchange=brexchange,
        token=token,
        lotsize=row.integer("lot_size", 1),
        instrumenttype="INDEX" if index else "EQ",
        tick_size=row.number("tick_size", 0.05),
    )


def _derivative(row: Row, kind: str, brsymbol: str, brexchange: str, token: str) -> MasterRow:
    if kind not in ("FUT", "CE", "PE"):
        raise BadValue("instrument_type: neither future nor option")
    underlying = row.text("underlying_symbol")
    if not underlying:
        raise BadValue("underlying_symbol: empty")
    expiry = row.date("expiry_date")
    strike = row.number("strike_price", 0.0)
    future = kind == "FUT"
    return MasterRow(
        symbol=future_symbol(underlying, expiry)
        if future
        else option_symbol(underlying, expiry, strike, kind),
        brsymbol=brsymbol,
        name=underlying,
        exchange=_DERIVATIVES[brexchange],
        brexchange=brexchange,
        token=token,
        expiry=expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lot_size", 1),
        instrumenttype=kind,
        tick_size=row.number("tick_size", 0.05),
    )
