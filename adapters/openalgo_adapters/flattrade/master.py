"""Flattrade's scrip master: eight CSV files with the same columns, no login."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openalgo_adapters._common.naming import IndexNames, squeeze
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._noren.master import cash_symbol, contract, plain, token_of
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_URL = "https://flattrade.s3.ap-south-1.amazonaws.com/scripmaster/"
_FILES = {
    "NSE_Equity.csv": "NSE",
    "BSE_Equity.csv": "BSE",
    "Nfo_Equity_Derivatives.csv": "NFO",
    "Nfo_Index_Derivatives.csv": "NFO",
    "Bfo_Equity_Derivatives.csv": "BFO",
    "Bfo_Index_Derivatives.csv": "BFO",
    "Currency_Derivatives.csv": "CDS",
    "Commodity.csv": "MCX",
}
_INDICES = IndexNames.load("openalgo_adapters.flattrade", key=squeeze, otherwise=squeeze)
_INDEX_WORD = {"NSE": ("INDEX", "UNDIND"), "BSE": ("INDEX", "UNDIND")}
#: There is no tick size in the files: a default, wrong for much of MCX.
_TICK = 0.05
_CDS_TICK = 0.0025


def master_files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
    """All eight files."""
    return {name: HttpRequest(method="GET", url=_URL + name) for name in _FILES}


def parse_master(file: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    """One file; its name says the segment."""
    segment = _FILES.get(file)
    if segment is None:
        return [BadRow(1, "no file of this broker")]
    return read_csv(data, lambda row: _parse(segment, row))


def _parse(segment: str, row: Row) -> MasterRow | None:
    brsymbol = row.text("Tradingsymbol")
    if not brsymbol or not row.text("Token"):
        return None
    if segment in _INDEX_WORD:
        index = row.text("Instrument") in _INDEX_WORD[segment]
        exchange = f"{segment}_INDEX" if index else segment
        return plain(
            symbol=_INDICES.symbol(exchange, brsymbol) if index else cash_symbol(segment, brsymbol),
            brsymbol=brsymbol,
            name=row.text("Symbol"),
            exchange=exchange,
            brexchange=segment,
            token=token_of(row),
            lotsize=row.integer("Lotsize", 1),
            tick_size=_TICK,
        )
    tick_size = _CDS_TICK if segment == "CDS" else _TICK
    return contract(
        row, segment, brsymbol, option="Optiontype", strike="Strike", lot="Lotsize", tick_size=tick_size
    )
