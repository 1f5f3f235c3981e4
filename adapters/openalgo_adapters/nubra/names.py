"""How Nubra knows an instrument: by name and exchange word, and (books, greeks) by its ref_id."""

from __future__ import annotations

from openalgo_ws.adapter import MasterRow
from openalgo_ws.tick import Instrument

__all__ = ["EXCHANGES", "from_symtoken", "plain_name", "ref_of", "word_of"]

#: OpenAlgo's exchange → the broker's word.
EXCHANGES = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NSE",
    "BFO": "BSE",
    "MCX": "MCX",
    "NSE_INDEX": "NSE",
    "BSE_INDEX": "BSE",
}

#: (conflict: the peer subscribes some indices by these names; the documentation's output has symbols.)
_ALIASES = {
    "NIFTY 50": "NIFTY",
    "NIFTY BANK": "BANKNIFTY",
    "NIFTY FINANCIAL SERVICES": "FINNIFTY",
    "BSE SENSEX": "SENSEX",
    "BSE SENSEX 50": "SENSEX50",
}
_LARGEST_REF = 2**63 - 1


def plain_name(name: str) -> str:
    """A name as it is compared."""
    name = name.upper()
    return _ALIASES.get(name, name)


def word_of(instrument: Instrument) -> str | None:
    """The exchange word; None where the broker streams nothing."""
    return EXCHANGES.get(instrument.exchange)


def ref_of(instrument: Instrument) -> int | None:
    """The ref_id; indices have none."""
    token = instrument.token
    if instrument.is_index or not token.isascii() or not token.isdigit() or len(token) > 19:
        return None
    return ref if 0 < (ref := int(token)) <= _LARGEST_REF else None


def from_symtoken(row: MasterRow) -> Instrument:
    """The platform's token may have the exchange's own behind it, after four colons or one."""
    return Instrument(
        row.symbol,
        row.exchange,
        row.token.partition(":")[0] or row.token,
        row.brsymbol,
        row.brexchange,
        row.tick_size,
        row.lotsize,
    )
