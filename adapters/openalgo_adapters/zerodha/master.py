"""Kite's instrument dump (``GET https://api.kite.trade/instruments``, CSV, new every morning)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow
from openalgo_ws.tick import Instrument

__all__ = ["from_symtoken", "master_files", "parse_master"]

_TRADABLE = frozenset({"NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"})
_INDEX_EXCHANGE = {
    "NSE": "NSE_INDEX",
    "BSE": "BSE_INDEX",
    "MCX": "MCX_INDEX",
    "CDS": "CDS_INDEX",
    "GLOBAL": "GLOBAL_INDEX",
    "NSEIX": "GLOBAL_INDEX",
}
_INDICES = IndexNames.load("openalgo_adapters.zerodha")


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """One file for all exchanges. It is documented to need the login, and answered without."""
    headers = {"X-Kite-Version": "3"}
    key, token = credentials.get("api_key"), credentials.get("access_token")
    if key and token:
        headers["Authorization"] = f"token {key}:{token}"
    return {
        # (single source: ready at about 08:30 in India.)
        "instruments.csv": HttpRequest(
            method="GET", url="https://api.kite.trade/instruments", headers=headers
        )
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The dump's rows in OpenAlgo's words."""
    return read_csv(data, _parse)


def from_symtoken(row: MasterRow) -> Instrument:
    """The platform keeps ``instrument_token::::exchange_token`` (once with a single colon)."""
    return Instrument(
        row.symbol,
        row.exchange,
        row.token.partition(":")[0],
        row.brsymbol,
        row.brexchange,
        row.tick_size,
        row.lotsize,
    )


def _parse(row: Row) -> MasterRow:
    token = row.integer("instrument_token")
    if not 0 < token < 1 << 32:
        raise BadValue("instrument_token: out of range")
    brsymbol = row.text("tradingsymbol")
    if not brsymbol:
        raise BadValue("tradingsymbol: empty")
    kind = row.text("instrument_type")
    name = row.text("name")
    strike = row.number("strike", 0.0)
    exchange = _exchange(row)
    expiry = row.date("expiry") if row.text("expiry") else None

    if kind in ("FUT", "CE", "PE"):
        if expiry is None or not name:
            raise BadValue("a derivative without name or expiry")
        symbol = future_symbol(name, expiry) if kind == "FUT" else option_symbol(name, expiry, strike, kind)
    else:
        symbol = _INDICES.symbol(exchange, brsymbol)
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=row.text("exchange"),
        token=str(token),
        expiry="" if expiry is None else expiry_text(expiry),
        strike=strike,
        lotsize=row.integer("lot_size"),
        instrumenttype=kind,
        tick_size=row.number("tick_size"),
    )


def _exchange(row: Row) -> str:
    exchange = row.text("exchange")
    if row.text("segment") == "INDICES":
        try:
            return _INDEX_EXCHANGE[exchange]
        except KeyError:
            raise BadValue("exchange: no index exchange of ours") from None
    if exchange not in _TRADABLE:
        raise BadValue("exchange: none of ours")
    return exchange
