"""Paytm Money's security master (CSV with a header whose order is not fixed)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, unspaced
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_INDICES = IndexNames.load("openalgo_adapters.paytm")
_DERIVATIVES = {"NSE": "NFO", "BSE": "BFO"}


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """One file for everything, without a login."""
    return {
        "security_master.csv": HttpRequest(
            method="GET", url="https://developer.paytmmoney.com/data/v1/scrips/security_master.csv"
        )
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words."""
    return read_csv(data, _parse)


def _parse(row: Row) -> MasterRow | None:
    kind = row.text("instrument_type")
    if kind not in ("ES", "ETF", "I", "FUTIDX", "FUTSTK", "OPTIDX", "OPTSTK"):
        return None
    brexchange = row.text("exchange")
    if brexchange not in _DERIVATIVES:
        raise BadValue("exchange: none of ours")
    token = row.integer("security_id")
    if not 0 <= token < 1 << 32:
        raise BadValue("security_id: out of range")
    name = row.text("name")
    brsymbol = symbol = row.text("symbol")
    expiry = row.date("expiry_date") if row.text("expiry_date", "") else None
    strike = row.number("strike_price", 0.0)

    if kind in ("ES", "ETF"):
        exchange, instrumenttype = brexchange, "EQ"
    elif kind == "I":
        exchange, instrumenttype = f"{brexchange}_INDEX", "INDEX"
        brsymbol = unspaced(name)
        # (single source: NIFTY and BANKNIFTY, which come as "NIFTY" or as "Nifty 50".)
        symbol = _INDICES.symbol(exchange, brsymbol)
    else:
        exchange = _DERIVATIVES[brexchange]
        instrumenttype = "FUT" if kind.startswith("FUT") else _right(name)
        symbol = _derivative(name, expiry, strike, instrumenttype)
    if not symbol:
        raise BadValue("a row without a symbol")
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=brexchange,
        token=str(token),
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lot_size"),
        instrumenttype=instrumenttype,
        tick_size=row.number("tick_size"),
    )


def _right(name: str) -> str:
    """The right of an option, which no column has: ``NIFTY 30 DEC 26000 CALL``."""
    words = name.upper().split()
    if "CALL" in words:
        return "CE"
    if "PUT" in words:
        return "PE"
    if words and words[-1] in ("CE", "PE"):
        return words[-1]
    raise BadValue("name: neither call nor put")


def _derivative(name: str, expiry: date | None, strike: float, right: str) -> str:
    underlying = name.partition(" ")[0]
    if expiry is None or not underlying:
        raise BadValue("a derivative without name or expiry")
    if right == "FUT":
        return future_symbol(underlying, expiry)
    return option_symbol(underlying, expiry, strike, right)
