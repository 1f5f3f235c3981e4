"""Firstock's symbol files: CSV with a header, one per segment, no login."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openalgo_adapters._common.naming import IndexNames, squeeze
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_adapters._noren.master import cash_symbol, contract, plain, token_of
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]


def _bare(name: str) -> str:
    return squeeze(name).replace("_", "").replace("&", "")


_INDICES = IndexNames.load("openalgo_adapters.firstock", key=_bare, otherwise=lambda name: "")


def master_files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
    """One file per segment."""
    url = "https://api.firstock.in/V1/symbols/{}?ref=firstock.in"
    return {
        f"{segment}_symbols.csv": HttpRequest(method="GET", url=url.format(segment))
        for segment in ("NSE", "BSE", "NFO", "BFO")
    }


def parse_master(file: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    """One file's rows."""
    return read_csv(data, _parse)


def _parse(row: Row) -> MasterRow | None:
    brsymbol, segment = row.text("TradingSymbol"), row.text("Exchange")
    if not brsymbol:
        return None
    if segment in ("NSE", "BSE"):
        index = (
            not row.text("ISIN") and row.number("TickSize", 0.0) == 0 and row.number("FreezeQty", 0.0) == 0
        )
        exchange = f"{segment}_INDEX" if index else segment
        name = row.text("CompanyName")
        return plain(
            symbol=_index_symbol(exchange, brsymbol, name) if index else cash_symbol(segment, brsymbol),
            brsymbol=brsymbol,
            name=name,
            exchange=exchange,
            brexchange=segment,
            token=token_of(row),
            lotsize=row.integer("LotSize", 1),
            tick_size=row.number("TickSize", 0.0),
        )
    if segment not in ("NFO", "BFO"):
        raise BadValue("Exchange: none of ours")
    return contract(row, segment, brsymbol)


def _index_symbol(exchange: str, brsymbol: str, company: str) -> str:
    return _INDICES.symbol(exchange, brsymbol) or _INDICES.symbol(exchange, company) or squeeze(brsymbol)
