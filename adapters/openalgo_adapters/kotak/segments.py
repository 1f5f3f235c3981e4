"""Kotak's names of things: segments, their numbers, indices, hosts."""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_ws.adapter import MasterRow
from openalgo_ws.tick import Instrument

__all__ = ["EXCHANGE_OF", "INDICES", "SEGMENTS", "from_symtoken", "host_of"]

#: Segment of the stream by OpenAlgo exchange.
SEGMENTS: Mapping[str, str] = {
    "NSE": "nse_cm",
    "NSE_INDEX": "nse_cm",
    "NFO": "nse_fo",
    "CDS": "cde_fo",
    "NCO": "nse_com",
    "BSE": "bse_cm",
    "BSE_INDEX": "bse_cm",
    "BFO": "bse_fo",
    # (conflict: bcs-fo in the older feed's client.)
    "BCD": "bse_cd",
    "MCX": "mcx_fo",
    "NCDEX": "ncd_co",
}

#: OpenAlgo exchange of what is traded in a segment.
EXCHANGE_OF: Mapping[str, str] = {
    **{segment: name for name, segment in SEGMENTS.items() if not name.endswith("_INDEX")},
    "bcs-fo": "BCD",
    "bcs_fo": "BCD",
}

#: (OpenAlgo exchange, symbol) → the name under which both feeds know an index.
#: (conflict: the peer subscribes the master's number; both SDKs have names.)
INDICES: Mapping[tuple[str, str], str] = {
    ("NSE_INDEX", "NIFTY"): "Nifty 50",
    ("NSE_INDEX", "BANKNIFTY"): "Nifty Bank",
    ("NSE_INDEX", "FINNIFTY"): "Nifty Fin Service",
    ("NSE_INDEX", "MIDCPNIFTY"): "NIFTY MID SELECT",
    ("NSE_INDEX", "NIFTYNXT50"): "Nifty Next 50",
    ("NSE_INDEX", "INDIAVIX"): "INDIA VIX",
    ("NSE_INDEX", "NIFTY100"): "Nifty 100",
    ("NSE_INDEX", "NIFTY200"): "Nifty 200",
    ("NSE_INDEX", "NIFTY500"): "Nifty 500",
    ("NSE_INDEX", "NIFTYMIDCAP100"): "NIFTY MIDCAP 100",
    ("NSE_INDEX", "NIFTYPSUBANK"): "Nifty PSU Bank",
    ("NSE_INDEX", "NIFTYPHARMA"): "Nifty Pharma",
    ("NSE_INDEX", "NIFTYIT"): "Nifty IT",
    ("NSE_INDEX", "NIFTYPSE"): "Nifty PSE",
    ("NSE_INDEX", "NIFTYFMCG"): "Nifty FMCG",
    ("NSE_INDEX", "NIFTYAUTO"): "Nifty Auto",
    ("NSE_INDEX", "NIFTYCPSE"): "Nifty CPSE",
    ("BSE_INDEX", "SENSEX"): "SENSEX",
    # (single source: the peer.)
    ("BSE_INDEX", "BANKEX"): "BANKEX",
}


def from_symtoken(row: MasterRow) -> Instrument:
    """The platform keeps an index under its number; the feeds want its name."""
    token = row.token
    if row.exchange.endswith("_INDEX") and token.isdigit():
        token = INDICES.get((row.exchange, row.symbol), token)
    return Instrument(
        row.symbol, row.exchange, token, row.brsymbol, row.brexchange, row.tick_size, row.lotsize
    )


def host_of(base_url: str) -> str:
    """The host of a base URL, or of a bare server id such as ``E43``."""
    host = base_url.partition("://")[2] or base_url
    host = host.partition("/")[0].strip().lower()
    if "." in host:
        return host
    return f"{'cis' if host == 'adc' else host or 'mis'}.kotaksecurities.com"
