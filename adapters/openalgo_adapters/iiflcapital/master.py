"""The contract files: one CSV per segment, and one of indices. No login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, unspaced
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

#: OpenAlgo exchange by file, which is the broker's segment.
_SHARES = {"NSEEQ": "NSE", "BSEEQ": "BSE"}
_CONTRACTS = {
    "NSEFO": "NFO",
    "BSEFO": "BFO",
    "NSECURR": "CDS",
    "BSECURR": "BCD",
    "MCXCOMM": "MCX",
    # (single source: the peer files these two under MCX.)
    "NSECOMM": "MCX",
    "NCDEXCOMM": "MCX",
}
_INDEX_FILE = "INDICES"
_FILES = (*_SHARES, *_CONTRACTS, _INDEX_FILE)
_TICK = 0.01


_INDICES = IndexNames.load("openalgo_adapters.iiflcapital", key=unspaced, otherwise=unspaced)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """All files."""
    return {
        f"{name}.csv": HttpRequest(
            method="GET", url=f"https://api.iiflcapital.com/v1/contractfiles/{name}.csv"
        )
        for name in _FILES
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """One file's rows in OpenAlgo's words. Its name is the segment."""
    segment = PurePosixPath(file).stem.upper()

    def parse(row: Row) -> MasterRow | None:
        if segment == _INDEX_FILE:
            return _index(row)
        if segment in _SHARES:
            return _share(row, segment)
        if segment in _CONTRACTS:
            return _contract(row, segment)
        raise BadValue("a file of another name")

    return read_csv(data, parse)


def _share(row: Row, segment: str) -> MasterRow | None:
    name = row.text("Underlying Instrument Symbol")
    if not name or not row.text("Instrument ID") or row.text("Instrument Type") == "INDEX":
        return None
    return MasterRow(
        symbol=name,
        brsymbol=row.text("Trading Symbol"),
        name=row.text("Underlying Instrument Name"),
        exchange=_SHARES[segment],
        brexchange=segment,
        token=_token(row),
        lotsize=row.integer("Lot Size", 1),
        instrumenttype="EQ",
        tick_size=row.number("Tick Size", _TICK),
    )


def _contract(row: Row, segment: str) -> MasterRow | None:
    name, right = row.text("Underlying Instrument Symbol"), row.text("Option Type")
    if not name or not right or not row.text("Instrument ID"):
        return None
    if right not in ("XX", "CE", "PE"):
        raise BadValue("Option Type: none of the known")
    expiry = row.date("Expiry")
    strike = 0.0 if right == "XX" else row.number("Strike Price")
    symbol = future_symbol(name, expiry) if right == "XX" else option_symbol(name, expiry, strike, right)
    return MasterRow(
        symbol=symbol,
        brsymbol=row.text("Trading Symbol"),
        name=row.text("Underlying Instrument Name"),
        exchange=_CONTRACTS[segment],
        brexchange=segment,
        token=_token(row),
        expiry=expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("Lot Size", 1),
        instrumenttype="FUT" if right == "XX" else right,
        tick_size=row.number("Tick Size", _TICK),
    )


def _index(row: Row) -> MasterRow:
    segment = row.text("Exchange")
    if segment not in _SHARES:
        raise BadValue("Exchange: none of ours")
    exchange = f"{_SHARES[segment]}_INDEX"
    symbol = _INDICES.symbol(exchange, row.text("Underlying Instrument Name"))
    if not symbol:
        raise BadValue("Underlying Instrument Name: empty")
    return MasterRow(
        symbol=symbol,
        brsymbol=row.text("Trading Symbol"),
        name=symbol,
        exchange=exchange,
        brexchange=segment,
        token=_token(row),
        lotsize=1,
        instrumenttype="INDEX",
        tick_size=_TICK,
    )


def _token(row: Row) -> str:
    token = row.integer("Instrument ID")
    if not 0 <= token < 1 << 32:
        raise BadValue("Instrument ID: out of range")
    return str(token)
