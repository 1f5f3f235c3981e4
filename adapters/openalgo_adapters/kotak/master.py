"""Kotak's scrip master: CSV files whose dated addresses are asked for first, with the API's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from openalgo_adapters._common.naming import expiry_text, future_symbol, option_symbol
from openalgo_adapters._common.rows import ParseRow, Row, read_csv
from openalgo_adapters._common.values import BadValue, json_value
from openalgo_adapters.kotak.segments import INDICES, SEGMENTS, host_of
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["FIXED_ROWS", "linked_files", "master_files", "parse_master"]

_LISTING = "file-paths"
_PATH = "/script-details/1.0/masterscrip/file-paths"
_CONTRACTS = {"nse_fo": "NFO", "bse_fo": "BFO", "cde_fo": "CDS", "mcx_fo": "MCX", "nse_com": "NCO"}
_SEGMENTS = frozenset({"nse_cm", "bse_cm", *_CONTRACTS})
#: Segments whose expiry counts from 1980.
_FROM_1980 = frozenset({"nse_fo", "cde_fo"})
#: (conflict: the SDK adds 315511200; the date is the same.)
_SHIFT = 315_513_000

_IN_FILE = frozenset({"NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY"})

#: Indices that are streamed, and that no file holds.
FIXED_ROWS = tuple(
    MasterRow(
        symbol=symbol,
        brsymbol=name,
        name=name,
        exchange=exchange,
        brexchange=SEGMENTS[exchange],
        token=name,
        instrumenttype="INDEX",
    )
    for (exchange, symbol), name in INDICES.items()
    if exchange == "NSE_INDEX" and symbol not in _IN_FILE
)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """The list of the files. It wants ``consumer_key``; the files themselves want nothing."""
    return {
        _LISTING: HttpRequest(
            method="GET",
            url=f"https://{host_of(credentials.get('base_url', ''))}{_PATH}",
            headers={"Authorization": credentials.get("consumer_key", "")},
        )
    }


def linked_files(file: str, data: bytes) -> dict[str, HttpRequest]:
    """The files that the list names, as far as we read them; {} for what is no list."""
    if file != _LISTING:
        return {}
    try:
        body = json_value(data)
    except BadValue:
        return {}
    inner = body.get("data") if isinstance(body, dict) else None
    paths = inner.get("filesPaths") if isinstance(inner, dict) else None
    found = {}
    for url in paths if isinstance(paths, list) else ():
        if isinstance(url, str) and url.startswith("https://"):
            name = url.partition("?")[0].rpartition("/")[2]
            if _segment(name) in _SEGMENTS:
                found[name] = HttpRequest(method="GET", url=url)
    return found


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """A file's rows in OpenAlgo's words; its name says which segment it is."""
    segment = _segment(file)
    parse = _parser(segment)
    if parse is not None:
        # Some names end in blanks, one in a semicolon.
        header, end, rows = data.partition(b"\n")
        names = [name.strip(b" ;\r\t") for name in header.removeprefix(b"\xef\xbb\xbf").split(b",")]
        yield from read_csv(b",".join(names) + end + rows, parse)
    elif file != _LISTING:
        yield BadRow(1, f"{segment} is none of the segments that are known")


def _segment(file: str) -> str:
    return file.rpartition("/")[2].partition(".")[0].partition("-")[0]


def _parser(segment: str) -> ParseRow | None:
    if segment == "nse_cm":
        return _nse
    if segment == "bse_cm":
        return _bse
    if segment in _CONTRACTS:
        return lambda row: _contract(row, segment)
    return None


def _nse(row: Row) -> MasterRow | None:
    if row.text("pGroup") in ("EQ", "BE"):
        return _cash(row, "NSE")
    return None if row.text("pISIN") else _index(row, "NSE_INDEX")


def _bse(row: Row) -> MasterRow | None:
    if not row.text("pSymbolName"):
        return None
    return _cash(row, "BSE") if row.text("pISIN") else _index(row, "BSE_INDEX")


def _index(row: Row, exchange: str) -> MasterRow:
    symbol = row.text("pSymbolName")
    return _row(
        row,
        exchange,
        "INDEX",
        symbol,
        row.text("pDesc"),
        # Both feeds know an index by its name; where that isn't known, the number has to do.
        INDICES.get((exchange, symbol)) or _number(row),
    )


def _cash(row: Row, exchange: str) -> MasterRow:
    return _row(row, exchange, "EQ", row.text("pSymbolName"), row.text("pDesc"), _number(row))


def _contract(row: Row, segment: str) -> MasterRow | None:
    if not row.text("pTrdSymbol"):
        return None
    right = row.text("pOptionType")
    # A future's option type is XX, or empty in some files. (conflict: the peer loses the latter.)
    if right not in ("CE", "PE"):
        if right and right != "XX":
            raise BadValue("pOptionType: none of CE, PE and XX")
        if not right and not row.text("pInstType").startswith("FUT"):
            raise BadValue("neither a future nor an option")
        right = "FUT"
    name = row.text("pSymbolName")
    seconds = row.integer("lExpiryDate")
    expiry = _day(seconds + _SHIFT if segment in _FROM_1980 else seconds)
    strike = 0.0 if right == "FUT" else _scaled(row, "dStrikePrice")
    return _row(
        row,
        _CONTRACTS[segment],
        right,
        future_symbol(name, expiry) if right == "FUT" else option_symbol(name, expiry, strike, right),
        name,
        _number(row),
        expiry,
        strike,
    )


def _row(
    row: Row,
    exchange: str,
    kind: str,
    symbol: str,
    name: str,
    token: str,
    expiry: date | None = None,
    strike: float = 0.0,
) -> MasterRow:
    brsymbol = row.text("pTrdSymbol")
    if not symbol or not brsymbol:
        raise BadValue("no symbol")
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        # (conflict: the peer stores NSE and BSE for cash.)
        brexchange=row.text("pExchSeg"),
        token=token,
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lLotSize"),
        instrumenttype=kind,
        # (conflict: the peer divides currency by 100 too.)
        tick_size=max(0.0, _scaled(row, "dTickSize")),
    )


def _number(row: Row) -> str:
    token = row.text("pSymbol")
    if not (token.isascii() and token.isdigit()):
        raise BadValue("pSymbol: not a number")
    return token


def _scaled(row: Row, column: str) -> float:
    """A price in units of 10^−lPrecision."""
    precision = row.integer("lPrecision", 2)
    if not 0 <= precision <= 9:
        raise BadValue("lPrecision: out of range")
    return round(row.number(column, 0.0) / 10.0**precision, 9)


def _day(seconds: int) -> date:
    try:
        return datetime.fromtimestamp(seconds, UTC).date()
    except (ValueError, OverflowError, OSError):
        raise BadValue("lExpiryDate: out of range") from None
