"""Dhan's compact scrip master (CSV, all segments, new every morning, without login)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, squeeze
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_adapters.dhan.wire import SEGMENTS
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_FILE = "api-scrip-master.csv"

_FUTURES = ("FUTIDX", "FUTSTK", "FUTCOM", "FUTCUR")
#: OpenAlgo's exchange by the exchange's and the instrument's name; other rows are not ours.
_EXCHANGE: Mapping[tuple[str, str], str] = {
    **{(exchange, "EQUITY"): exchange for exchange in ("NSE", "BSE")},
    **{(exchange, "INDEX"): f"{exchange}_INDEX" for exchange in ("NSE", "BSE")},
    **{("NSE", kind): "NFO" for kind in ("FUTIDX", "FUTSTK", "OPTIDX", "OPTSTK", "OPTFUT")},
    **{("BSE", kind): "BFO" for kind in ("FUTIDX", "FUTSTK", "OPTIDX", "OPTSTK")},
    **{("NSE", kind): "CDS" for kind in ("FUTCUR", "OPTCUR")},
    **{("BSE", kind): "BCD" for kind in ("FUTCUR", "OPTCUR")},
    **{("MCX", kind): "MCX" for kind in ("FUTIDX", "FUTCOM", "OPTFUT")},
}
#: What isn't a standard name keeps the broker's own.
_NSE_INDICES = IndexNames.load("openalgo_adapters.dhan", key=squeeze)
_BSE_INDICES = IndexNames.load("openalgo_adapters.dhan")


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """The one file."""
    return {_FILE: HttpRequest(method="GET", url=f"https://images.dhan.co/api-data/{_FILE}")}


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words."""
    return read_csv(data, _parse)


def _parse(row: Row) -> MasterRow | None:
    kind = row.text("SEM_INSTRUMENT_NAME")
    exchange = _EXCHANGE.get((row.text("SEM_EXM_EXCH_ID"), kind))
    if exchange is None:
        return None
    token, brsymbol = row.text("SEM_SMST_SECURITY_ID"), row.text("SEM_TRADING_SYMBOL")
    if not token or not brsymbol:
        raise BadValue("no security id or no trading symbol")
    expiry = row.date("SEM_EXPIRY_DATE") if row.text("SEM_EXPIRY_DATE") else None
    strike = max(row.number("SEM_STRIKE_PRICE", 0.0), 0.0)
    if kind in ("EQUITY", "INDEX"):
        name = row.text("SM_SYMBOL_NAME")
        kind = "EQ" if kind == "EQUITY" else "INDEX"
        symbol = _plain(exchange, brsymbol)
    else:
        kind, name, symbol = _contract(row, kind, expiry, strike)
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=SEGMENTS[exchange][1],
        token=token,
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=int(row.number("SEM_LOT_UNITS")),
        instrumenttype=kind,
        tick_size=row.number("SEM_TICK_SIZE", 0.0) / 100,
    )


def _contract(row: Row, kind: str, expiry: date | None, strike: float) -> tuple[str, str, str]:
    """Type, root and symbol of a derivative. The root is in the name that people are shown."""
    words = row.text("SEM_CUSTOM_SYMBOL").split()
    if expiry is None or not words:
        raise BadValue("a derivative without name or expiry")
    root = words[0]
    if kind in _FUTURES:
        return "FUT", root, future_symbol(root, expiry)
    right = row.text("SEM_OPTION_TYPE")
    if right not in ("CE", "PE"):
        raise BadValue("SEM_OPTION_TYPE: neither CE nor PE")
    return right, root, option_symbol(root, expiry, strike, right)


def _plain(exchange: str, brsymbol: str) -> str:
    if exchange == "NSE_INDEX":
        return _NSE_INDICES.symbol(exchange, brsymbol)
    return _BSE_INDICES.symbol(exchange, brsymbol)
