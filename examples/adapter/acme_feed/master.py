"""Acme's instrument file: ``segment,token,symbol,name,lot_size,tick_size`` (CSV, new every morning)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from math import isfinite

from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["COLUMNS", "master_files", "parse_master"]

COLUMNS = ("segment", "token", "symbol", "name", "lot_size", "tick_size")
_EXCHANGES = {"NSE": "NSE", "BSE": "BSE", "NSEI": "NSE_INDEX"}
#: What OpenAlgo calls an index, where that isn't Acme's name without blanks.
_INDICES = {"NIFTY 50": "NIFTY", "NIFTY BANK": "BANKNIFTY", "NIFTY FIN SERVICE": "FINNIFTY"}


def master_files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
    """One file, for everybody."""
    url = "https://api.acme.example/v1/instruments.csv"
    return {"instruments.csv": HttpRequest(method="GET", url=url)}


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words. A broken one is reported, and the rest loads."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if number > 1 and line.strip():
            try:
                # Line by line: an open quote must not swallow the rows after it.
                (fields,) = csv.reader([line.decode()], strict=True)
                yield _row(*fields)
            except (ValueError, TypeError, OverflowError, csv.Error) as problem:
                yield BadRow(number, type(problem).__name__)


def _row(segment: str, token: str, symbol: str, name: str, lot: str, tick: str) -> MasterRow:
    """Raises ValueError for a row that can't be meant, and TypeError for one of another length."""
    exchange, tick_size = _EXCHANGES.get(segment), float(tick)
    if exchange is None or not symbol or not 0 < int(token) < 1 << 32 or not isfinite(tick_size):
        raise ValueError
    return MasterRow(
        symbol=_INDICES.get(symbol, symbol.replace(" ", "")) if segment == "NSEI" else symbol,
        brsymbol=symbol,
        name=name,
        exchange=exchange,
        brexchange=segment,
        token=str(int(token)),
        lotsize=int(lot),
        instrumenttype="INDEX" if segment == "NSEI" else "EQ",
        tick_size=tick_size,
    )
