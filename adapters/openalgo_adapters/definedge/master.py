"""Definedge's ``allmaster.csv``: all segments in one file, without a header, in a zip, no login."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openalgo_adapters._common.naming import IndexNames, squeeze
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.times import parse_date
from openalgo_adapters._common.values import BadValue
from openalgo_adapters._noren.master import cash_symbol, derivative, plain, right_of, token_of
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_COLUMNS = (
    "SEGMENT",
    "TOKEN",
    "SYMBOL",
    "TRADINGSYM",
    "INSTRUMENT",
    "EXPIRY",
    "TICKSIZE",
    "LOTSIZE",
    "OPTIONTYPE",
    "STRIKE",
    "PRICEPREC",
    "MULTIPLIER",
    "ISIN",
    "PRICEMULT",
    "COMPANY",
)
#: The columns up to MULTIPLIER are needed.
_LEAST = 12
_DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "MCX"})
_WITH_INDICES = frozenset({"NSE", "BSE", "MCX"})
#: No price has more decimals than this.
_MOST_DECIMALS = 9
# (single source: the peer, for some of the names of BSE.)
_INDICES = IndexNames.load("openalgo_adapters.definedge", key=squeeze, otherwise=squeeze)


def master_files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
    """One file for all segments."""
    url = "https://app.definedgesecurities.com/public/allmaster.zip"
    return {"allmaster.csv": HttpRequest(method="GET", url=url)}


def parse_master(file: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    """The file's rows; of two indices with one symbol the first is kept."""
    seen: set[tuple[str, str]] = set()

    def parse(row: Row) -> MasterRow | None:
        result = _parse(row)
        if result is not None and result.instrumenttype == "INDEX":
            if (result.exchange, result.symbol) in seen:
                return None
            seen.add((result.exchange, result.symbol))
        return result

    return read_csv(data, parse, columns=_COLUMNS, least=_LEAST)


def _parse(row: Row) -> MasterRow | None:
    segment, instrument, brsymbol = row.text("SEGMENT"), row.text("INSTRUMENT"), row.text("TRADINGSYM")
    if not brsymbol or not row.text("TOKEN"):
        return None
    index = instrument in ("IDX", "INDEX")
    if index and segment in _WITH_INDICES:
        exchange = f"{segment}_INDEX"
        symbol = _INDICES.symbol(exchange, brsymbol)
    elif segment in ("NSE", "BSE"):
        if segment == "NSE" and instrument not in ("EQ", "BE"):
            return None
        exchange, symbol = segment, cash_symbol(segment, brsymbol)
    elif segment in _DERIVATIVES and not index:
        return _contract(row, segment, instrument, brsymbol)
    else:
        raise BadValue("SEGMENT: none of ours")
    return plain(
        symbol=symbol,
        brsymbol=brsymbol,
        name=row.text("SYMBOL"),
        exchange=exchange,
        brexchange=segment,
        token=token_of(row, "TOKEN"),
        lotsize=row.integer("LOTSIZE", 1),
        tick_size=_tick_size(row),
    )


def _contract(row: Row, segment: str, instrument: str, brsymbol: str) -> MasterRow | None:
    # Text, not a number: 4122026 has lost the zero of 04-12-2026.
    expiry = row.text("EXPIRY").zfill(8)
    try:
        day = parse_date(f"{expiry[:2]}-{expiry[2:4]}-{expiry[4:]}")
    except BadValue:
        return None
    name = row.text("SYMBOL")
    if not name:
        raise BadValue("SYMBOL: empty")
    right = right_of(instrument, row.text("OPTIONTYPE"))
    return derivative(
        name=name,
        brsymbol=brsymbol,
        exchange=segment,
        token=token_of(row, "TOKEN"),
        expiry=day,
        right=right,
        strike=-1.0 if right == "FUT" else _strike(row),
        lotsize=row.integer("LOTSIZE"),
        tick_size=_tick_size(row),
    )


def _unit(row: Row) -> int:
    decimals = row.integer("PRICEPREC", 2)
    if not 0 <= decimals <= _MOST_DECIMALS:
        raise BadValue("PRICEPREC: out of range")
    return int(10**decimals)


def _strike(row: Row) -> float:
    # (conflict: the client cuts to an integer, the peer always divides by 100; with precision 4,
    # of currencies, this is unconfirmed.)
    divisor = row.number("MULTIPLIER", 1.0) * _unit(row)
    if divisor <= 0:
        raise BadValue("MULTIPLIER: out of range")
    return row.number("STRIKE") / divisor


def _tick_size(row: Row) -> float:
    # (single source: derived from the columns' meaning.)
    try:
        return row.number("TICKSIZE") / _unit(row)
    except BadValue:
        return 0.05
