"""Motilal Oswal's names and letters of exchanges, and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openalgo_ws.adapter import Cause, Event, LoginFailed, Rejected, Verdict

__all__ = ["EXCHANGES", "LETTERS", "exchange_of", "lost", "refusal"]

#: OpenAlgo exchange → the broker's name, its letter, and the letter of the type (cash, derivative).
#: (single source: the letter E for BSE's currencies, from the Node SDK.)
EXCHANGES: Mapping[str, tuple[str, str, str]] = {
    "NSE": ("NSE", "N", "C"),
    "BSE": ("BSE", "B", "C"),
    "NFO": ("NSEFO", "N", "D"),
    "BFO": ("BSEFO", "G", "D"),
    "CDS": ("NSECD", "C", "D"),
    "BCD": ("BSECD", "E", "D"),
    "MCX": ("MCX", "M", "D"),
    "NCDEX": ("NCDEX", "D", "D"),
}

#: The letters that a packet may begin with.
LETTERS = frozenset(letter for _, letter, _ in EXCHANGES.values())

_OPENALGO = {name: exchange for exchange, (name, _, _) in EXCHANGES.items()} | {
    "NSECO": "CDS",
    "BSECO": "BCD",
}


def exchange_of(name: str) -> str | None:
    """OpenAlgo's name of an exchange, by the broker's."""
    return _OPENALGO.get(name)


def refusal(message: Mapping[str, Any]) -> Event:
    """An error in JSON. Only a bad login ends the connection."""
    code, text = message.get("errorcode"), message.get("message")
    said = text[:200] if isinstance(text, str) and text else "the broker reports an error"
    if code == "MO1001":
        return LoginFailed(Verdict(Cause.TOKEN, "the broker knows no such user, or the token has expired"))
    return Rejected(said)


def lost(code: int | None) -> Verdict:
    """The socket is gone. What close codes mean isn't documented; the SDKs wait five seconds."""
    return Verdict(Cause.TRANSIENT, f"closed by the broker (code {code})", 5.0)
