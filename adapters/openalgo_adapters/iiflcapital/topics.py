"""The topics of the Bridge, and which of them an instrument takes."""

from __future__ import annotations

from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["SEGMENTS", "cost", "key_of", "order_topic", "topics_of"]

#: The segment of a topic; in capitals it is the broker's own name, and that of the contract file.
SEGMENTS = {
    "NSE": "nseeq",
    "BSE": "bseeq",
    "NFO": "nsefo",
    "BFO": "bsefo",
    "CDS": "nsecurr",
    "BCD": "bsecurr",
    "MCX": "mcxcomm",
    "NSE_INDEX": "nseeq",
    "BSE_INDEX": "bseeq",
}
#: Segments whose contracts stand under MCX as well; their own name tells.
_OTHER_COMMODITIES = frozenset({"nsecomm", "ncdexcomm"})
_DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX"})


def key_of(instrument: Instrument) -> str | None:
    """``nseeq/2885``: how topics name an instrument; None if they can't."""
    segment = SEGMENTS.get(instrument.exchange)
    token = instrument.token
    if segment is None or not (token.isascii() and token.isdigit() and len(token) <= 10):
        return None
    if instrument.exchange == "MCX" and instrument.brexchange.lower() in _OTHER_COMMODITIES:
        segment = instrument.brexchange.lower()
    return f"{segment}/{token}"


def topics_of(instrument: Instrument, key: str, wish: Wish | None) -> list[str]:
    """What to subscribe for a wish, in the broker's order; nothing for None."""
    if wish is None:
        return []
    topics = [f"prod/marketfeed/mw/v1/{key}"]
    # (conflict: the documentation has indices on "mw", the peer and a sample on "index": both.)
    if instrument.is_index:
        topics.append(f"prod/marketfeed/index/v1/{key}")
    elif wish.mode is not Mode.LTP and instrument.exchange in _DERIVATIVES:
        topics.append(f"prod/marketfeed/oi/v1/{key}")
    return topics


def cost(instrument: Instrument, wish: Wish) -> int:
    """How many topics a wish takes."""
    return len(topics_of(instrument, "", wish))


def order_topic(client: str) -> str:
    """Where the orders of a client are told of."""
    return f"prod/updates/order/v1/{client}"
