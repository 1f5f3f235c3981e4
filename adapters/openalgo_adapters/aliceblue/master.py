"""Alice Blue's contract master: a CSV per exchange, and one of indices. Columns are read by name.

(single source: the column set of V2 is documented only in part, so missing ones are put up with.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from openalgo_adapters._common.naming import IndexNames
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.times import parse_date
from openalgo_adapters._common.values import BadValue
from openalgo_adapters._noren.master import derivative, plain
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_URL = "https://v2api.aliceblueonline.com/restpy/static/contract_master/V2/"
_FILES = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "INDICES")
_DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX"})
_WITH_INDICES = frozenset({"NSE", "BSE", "MCX"})
# (single source: the peer strips a leading 999 from the tokens of indices. Not done: they are streamed as
# they stand.)
_INDICES = IndexNames.load("openalgo_adapters.aliceblue", otherwise=lambda name: "")
#: BSE indices whose OpenAlgo symbol does not begin with BSE.
_BARE = frozenset({"SENSEX", "BANKEX", "SENSEX50"})
# The one form or the other, never a guess: day and month would swap.
_EXPIRY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}-[0-9]{2}-[0-9]{4}", re.ASCII)


def master_files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
    """Eight files, no login."""
    return {f"{name}.csv": HttpRequest(method="GET", url=f"{_URL}{name}.csv") for name in _FILES}


def parse_master(file: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    """One file's rows."""
    return read_csv(data, _index if file.startswith("INDICES") else _parse)


def _index(row: Row) -> MasterRow | None:
    segment, printed = row.text("exch"), row.text("symbol")
    if not printed:
        return None
    if segment not in _WITH_INDICES:
        raise BadValue("exch: none of ours")
    exchange = f"{segment}_INDEX"
    return plain(
        symbol=_index_symbol(exchange, printed),
        brsymbol=printed,
        name=printed,
        exchange=exchange,
        brexchange=segment,
        token=_token(row, "token"),
        lotsize=1,
        tick_size=0.01,
    )


def _index_symbol(exchange: str, printed: str) -> str:
    close = printed.upper().replace(" ", "")
    known = _INDICES.symbol(exchange, printed.upper()) or _INDICES.symbol(exchange, close)
    if known:
        return known
    if exchange != "BSE_INDEX" or close.startswith("BSE") or close in _BARE:
        return close
    return f"BSE{close}"


def _parse(row: Row) -> MasterRow | None:
    brsymbol = row.text("Trading Symbol", "")
    segment, symbol = row.text("Exch"), row.text("Symbol", "")
    if not brsymbol or row.text("Exchange Segment", "") == "mcx_idx":
        return None
    if segment == "NSE" and row.text("Group Name", "") not in ("EQ", "BE"):
        return None
    if not symbol:
        raise BadValue("Symbol: empty")
    if segment in ("NSE", "BSE"):
        return plain(
            symbol=symbol,
            brsymbol=brsymbol,
            name=row.text("Instrument Name", ""),
            exchange=segment,
            brexchange=segment,
            token=_token(row, "Token"),
            lotsize=row.integer("Lot Size", 1),
            tick_size=row.number("Tick Size", 0.0),
        )
    if segment not in _DERIVATIVES:
        raise BadValue("Exch: none of ours")
    return _contract(row, segment, symbol, brsymbol)


def _contract(row: Row, segment: str, symbol: str, brsymbol: str) -> MasterRow | None:
    expiry = _expiry(row)
    if expiry is None:
        return None
    right = _right(row)
    contract = derivative(
        name=symbol,
        brsymbol=brsymbol,
        exchange=segment,
        token=_token(row, "Token"),
        expiry=expiry,
        right=right,
        strike=-1.0 if right == "FUT" else row.number("Strike Price"),
        lotsize=row.integer("Lot Size"),
        tick_size=row.number("Tick Size", 0.0),
    )
    return msgspec.structs.replace(contract, name=row.text("Instrument Name", ""))


def _right(row: Row) -> str:
    option, kind = row.text("Option Type", ""), row.text("Instrument Type", "")
    if option in ("", "XX") or kind.startswith("FUT") or kind in ("IF", "SF"):
        return "FUT"
    if option in ("CE", "PE"):
        return option
    raise BadValue("neither a future nor an option")


def _expiry(row: Row) -> date | None:
    text = row.text("Expiry Date", "")
    if not _EXPIRY.fullmatch(text):
        return None
    try:
        return parse_date(text)
    except BadValue:
        return None


def _token(row: Row, column: str) -> str:
    """Digits, though the file may print 2885.0."""
    token = row.integer(column)
    if token < 0:
        raise BadValue(f"{column}: out of range")
    return str(token)
