"""Sky's instrument file: a ZIP with ``CompactScrip.csv``, a row for each instrument of all exchanges."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, unspaced
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.times import MONTHS
from openalgo_adapters._common.values import BadValue
from openalgo_adapters._hdfc.codec import BROWSER
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_INDEX_SEGMENTS = {("NSE", "INDICES"): "NSE_INDEX", ("BSE", "IDX"): "BSE_INDEX"}
_DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "MCX"})
#: What is in the column where there is no expiry.
_NO_EXPIRY = date(1, 1, 1)

_TAIL = r"(?:FUT|[0-9]+(?:\.[0-9]+)?[CP]E)"
_REST = re.compile(_TAIL)
_DAY = r"(?:0[1-9]|[12][0-9]|3[01])"
#: Where the underlying ends: before year and month, or year, month in one character, and day. Only
#: for what doesn't agree with its expiry, as 26D18 and 185300 can be told apart by that alone.
_UNDERLYING = (
    re.compile(rf"(.+?)[0-9]{{2}}(?:{'|'.join(MONTHS)}){_TAIL}"),
    re.compile(rf"(.+?)[0-9]{{2}}[1-9]{_DAY}{_TAIL}"),
    re.compile(rf"(.+?)[0-9]{{2}}[OND]{_DAY}{_TAIL}"),
)


_INDICES = IndexNames.load("openalgo_adapters.hdfcsky", key=unspaced, otherwise=unspaced)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """One file for all exchanges, without a login."""
    return {
        "CompactScrip.csv": HttpRequest(
            method="GET",
            url="https://hdfcsky.com/api/v1/contract/Compact?info=download",
            headers={"User-Agent": BROWSER},
        )
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words; of two with one name the first."""
    seen: set[tuple[str, str]] = set()
    for row in read_csv(data, _parse):
        if isinstance(row, MasterRow):
            name = (row.symbol, row.exchange)
            if name in seen:
                continue
            seen.add(name)
        yield row


def _parse(row: Row) -> MasterRow | None:
    brexchange = row.text("exchange")
    token, brsymbol = row.text("exchange_token"), row.text("trading_symbol")
    if not token or not brsymbol or brexchange not in ("NSE", "BSE", *_DERIVATIVES):
        return None
    if not (token.isascii() and token.isdigit()):
        raise BadValue("exchange_token: not a number")
    company = row.text("company_name", "")
    strike = max(0.0, row.number("strike", 0.0))
    expiry = row.date("expiry") if row.text("expiry", "") else _NO_EXPIRY
    kind = _kind(row, brsymbol, expiry)
    exchange = brexchange
    if brexchange in _DERIVATIVES:
        if kind == "EQ":
            # Spot prices, which the feed has no instrument for.
            return None
        name = _underlying(brsymbol, expiry) or company
        if not name:
            raise BadValue("trading_symbol: no underlying in it")
        symbol = future_symbol(name, expiry) if kind == "FUT" else option_symbol(name, expiry, strike, kind)
    else:
        segment = row.text("segment")
        exchange = _INDEX_SEGMENTS.get((brexchange, segment), brexchange)
        name = company or brsymbol
        if exchange != brexchange:
            symbol = _INDICES.symbol(exchange, brsymbol)
        else:
            symbol = brsymbol.removesuffix("-EQ" if brexchange == "NSE" else f"-{segment}")
    if not symbol:
        return None
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=brexchange,
        token=token,
        expiry="" if expiry == _NO_EXPIRY else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lot_size", 0),
        instrumenttype=kind,
        tick_size=row.number("tick_size", 0.0),
    )


def _kind(row: Row, brsymbol: str, expiry: date) -> str:
    right = row.text("option_type", "")
    if right in ("CE", "PE"):
        if expiry == _NO_EXPIRY:
            raise BadValue("an option without an expiry")
        return right
    return "FUT" if expiry != _NO_EXPIRY and brsymbol.endswith("FUT") else "EQ"


def _underlying(brsymbol: str, expiry: date) -> str:
    """What the trading symbol of a derivative begins with; empty if it has another form."""
    year, month, day = expiry.year % 100, expiry.month - 1, expiry.day
    for code in (f"{year:02d}{MONTHS[month]}", f"{year:02d}{'123456789OND'[month]}{day:02d}"):
        underlying, _, rest = brsymbol.partition(code)
        if underlying and _REST.fullmatch(rest):
            return underlying
    for form in _UNDERLYING:
        found = form.fullmatch(brsymbol)
        if found is not None:
            return found[1]
    return ""
