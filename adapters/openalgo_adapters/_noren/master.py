"""The family's instrument files, ``<EXCH>_symbols.txt`` (one zip per segment, new every morning).

Comma-separated with a header; every line ends with a comma. Columns are read by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date

import msgspec

from openalgo_adapters._common.naming import (
    IndexNames,
    expiry_text,
    future_symbol,
    option_symbol,
    squeeze,
    strike_text,
)
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.times import MONTHS
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = [
    "BSE_INDICES",
    "cash_symbol",
    "classic_files",
    "contract",
    "derivative",
    "expiry_of",
    "parse_classic",
    "plain",
    "right_of",
    "token_of",
]

_CASH = ("NSE", "BSE")
_DERIVATIVES = ("NFO", "BFO", "CDS", "MCX")
_INDICES = IndexNames.load("openalgo_adapters._noren", key=squeeze, otherwise=squeeze)
#: CDS rows up to this token are underlyings.
_CDS_UNDERLYINGS = 100
#: The month of a weekly contract: 1 to 9, O, N, D.
_WEEK_MONTH = "123456789OND"


def plain(
    *,
    symbol: str,
    brsymbol: str,
    name: str,
    exchange: str,
    brexchange: str,
    token: str,
    lotsize: int,
    tick_size: float,
) -> MasterRow:
    """A cash row or an index."""
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=brexchange,
        token=token,
        strike=-1.0,
        lotsize=lotsize,
        instrumenttype="INDEX" if exchange.endswith("_INDEX") else "EQ",
        tick_size=tick_size,
    )


def derivative(
    *,
    name: str,
    brsymbol: str,
    exchange: str,
    token: str,
    expiry: date,
    right: str,
    strike: float,
    lotsize: int,
    tick_size: float,
) -> MasterRow:
    """A future (``right`` FUT) or an option (CE, PE)."""
    future = right == "FUT"
    return MasterRow(
        symbol=future_symbol(name, expiry) if future else option_symbol(name, expiry, strike, right),
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=exchange,
        token=token,
        expiry=expiry_text(expiry),
        strike=-1.0 if future else strike,
        lotsize=lotsize,
        instrumenttype=right,
        tick_size=tick_size,
    )


def contract(
    row: Row,
    segment: str,
    brsymbol: str,
    *,
    option: str = "OptionType",
    strike: str = "StrikePrice",
    lot: str = "LotSize",
    tick_size: float | None = None,
) -> MasterRow | None:
    """A future or an option, given the columns whose names differ; None for a placeholder.

    Without a ``tick_size`` the row tells it.
    """
    expiry = expiry_of(row, "Expiry")
    if expiry is None:
        return None
    name = row.text("Symbol")
    if not name:
        raise BadValue("Symbol: empty")
    right = right_of(row.text("Instrument"), row.text(option))
    return derivative(
        name=name,
        brsymbol=brsymbol,
        exchange=segment,
        token=token_of(row),
        expiry=expiry,
        right=right,
        strike=-1.0 if right == "FUT" else row.number(strike),
        lotsize=row.integer(lot),
        tick_size=row.number("TickSize", 0.0) if tick_size is None else tick_size,
    )


#: In no file of the family.
BSE_INDICES = tuple(
    plain(
        symbol=name,
        brsymbol=name,
        name=name,
        exchange="BSE_INDEX",
        brexchange="BSE",
        token=token,
        lotsize=1,
        tick_size=0.05,
    )
    for name, token in (("SENSEX", "1"), ("BANKEX", "12"))
)


def classic_files(host: str) -> Callable[[Mapping[str, str]], Mapping[str, HttpRequest]]:
    """The six files of a host; no login is needed."""

    def files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
        return {
            f"{segment}_symbols.txt": HttpRequest(
                method="GET", url=f"https://{host}/{segment}_symbols.txt.zip"
            )
            for segment in (*_CASH, *_DERIVATIVES)
        }

    return files


def parse_classic(file: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    """A file of the classic layout.

    (conflict: whether NSE and BSE tick sizes are paise. They are rupees if any is below 1.)
    """
    rows = read_csv(data, _parse)
    return _in_rupees(list(rows)) if file.startswith(_CASH) else rows


def token_of(row: Row, column: str = "Token") -> str:
    """The token, whose digits are the key of the stream."""
    token = row.text(column)
    if not (token.isascii() and token.isdigit()):
        raise BadValue(f"{column}: not a number")
    return token


def right_of(instrument: str, option: str) -> str:
    """FUT, CE or PE by the columns Instrument and OptionType."""
    if instrument.startswith("FUT") or option == "XX":
        return "FUT"
    if option in ("CE", "PE"):
        return option
    raise BadValue("neither a future nor an option")


def expiry_of(row: Row, column: str) -> date | None:
    """The expiry; None where it does not parse: such rows are placeholders."""
    try:
        return row.date(column)
    except BadValue:
        return None


def cash_symbol(segment: str, brsymbol: str) -> str:
    """NSE's trading symbol without its series EQ or BE; other series, and BSE, as they are."""
    if segment == "NSE" and brsymbol.endswith(("-EQ", "-BE")):
        return brsymbol[:-3]
    return brsymbol


def _in_rupees(rows: list[MasterRow | BadRow]) -> Iterator[MasterRow | BadRow]:
    sizes = [row.tick_size for row in rows if isinstance(row, MasterRow) and row.tick_size > 0]
    paise = bool(sizes) and min(sizes) >= 1
    for row in rows:
        if paise and isinstance(row, MasterRow):
            yield msgspec.structs.replace(row, tick_size=row.tick_size / 100)
        else:
            yield row


def _parse(row: Row) -> MasterRow | None:
    segment = row.text("Exchange")
    brsymbol = row.text("TradingSymbol")
    name = row.text("Symbol")
    if not brsymbol or not (name or segment == "BFO"):
        return None
    if segment in _CASH:
        index = segment == "NSE" and row.text("Instrument") in ("INDEX", "UNDIND")
        exchange = "NSE_INDEX" if index else segment
        return plain(
            symbol=_INDICES.symbol(exchange, brsymbol) if index else cash_symbol(segment, brsymbol),
            brsymbol=brsymbol,
            name=name,
            exchange=exchange,
            brexchange=segment,
            token=token_of(row),
            lotsize=row.integer("LotSize", 1),
            tick_size=row.number("TickSize", 0.0),
        )
    if segment in _DERIVATIVES:
        return _contract(row, segment, brsymbol, name)
    raise BadValue("Exchange: none of ours")


def _contract(row: Row, segment: str, brsymbol: str, name: str) -> MasterRow | None:
    token = token_of(row)
    expiry = expiry_of(row, "Expiry")
    # (single source: the first rows of one broker's NFO file hold a token alone.)
    if expiry is None or (segment == "CDS" and int(token) <= _CDS_UNDERLYINGS):
        return None
    right = right_of(row.text("Instrument"), row.text("OptionType"))
    # (conflict: BFO has the one name or the other.)
    column = "StrikePrice" if "StrikePrice" in row else "Strike"
    strike = -1.0 if right == "FUT" else row.number(column)
    return derivative(
        name=_underlying(brsymbol, expiry, strike, right) if segment == "BFO" else name,
        brsymbol=brsymbol,
        exchange=segment,
        token=token,
        expiry=expiry,
        right=right,
        strike=strike,
        lotsize=row.integer("LotSize"),
        tick_size=row.number("TickSize", 0.0),
    )


def _underlying(brsymbol: str, expiry: date, strike: float, right: str) -> str:
    """The name of a BFO contract's underlying: its trading symbol without the tail.

    The file's Symbol is a product code there (BSXOPT). ``SENSEX26D1084700CE`` is SENSEX.
    """
    year, month = f"{expiry.year % 100:02d}", MONTHS[expiry.month - 1]
    monthly = f"{year}{month}"
    weekly = f"{year}{_WEEK_MONTH[expiry.month - 1]}{expiry.day:02d}"
    dated = f"{expiry.day:02d}{month}{year}"
    if right == "FUT":
        tails = [f"{monthly}FUT", f"{weekly}FUT", f"{dated}F"]
    else:
        number = strike_text(strike)
        tails = [f"{monthly}{number}{right}", f"{weekly}{number}{right}", f"{dated}{right[0]}{number}"]
    for tail in tails:
        if brsymbol.endswith(tail) and len(brsymbol) > len(tail):
            return brsymbol.removesuffix(tail)
    letters = re.match(r"[A-Za-z]+", brsymbol)
    if letters is None:
        raise BadValue("TradingSymbol: no name in it")
    return letters[0]
