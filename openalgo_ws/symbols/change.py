"""What a new master means for instruments that are held."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from openalgo_ws.symbols.index import SymbolIndex
from openalgo_ws.tick import Instrument

__all__ = ["MasterChange", "diff"]


class MasterChange(msgspec.Struct, frozen=True):
    """Held instruments that a new master moves or drops.

    ``changed`` are (old, new) pairs that the broker's stream knows by another token, symbol or
    segment now: they must be subscribed anew. Another lot or tick size alone is no such change.
    ``gone`` are those that the new master does not have.
    """

    changed: list[tuple[Instrument, Instrument]]
    gone: list[Instrument]


def diff(old: SymbolIndex, new: SymbolIndex, held: Iterable[tuple[str, str]]) -> MasterChange:
    """Compare two masters over the held instruments, named by (symbol, exchange).

    What the old master does not have either is passed over.
    """
    change = MasterChange([], [])
    for key in held:
        before, after = old.lookup(*key), new.lookup(*key)
        if before is None:
            continue
        if after is None:
            change.gone.append(before)
        elif _wire(before) != _wire(after):
            change.changed.append((before, after))
    return change


def _wire(instrument: Instrument) -> tuple[str, str, str]:
    return instrument.token, instrument.brsymbol, instrument.brexchange
