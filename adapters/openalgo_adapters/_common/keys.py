"""Instruments under the keys that a stream knows them by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from openalgo_adapters._common.naming import same_name
from openalgo_ws.adapter import Change, Event, Rejected
from openalgo_ws.tick import Instrument

__all__ = ["Holding", "keyed"]


class Holding(Protocol):
    """What a codec keeps of an instrument."""

    @property
    def instrument(self) -> Instrument:
        """Whose it is."""


Key = TypeVar("Key")
Held = TypeVar("Held", bound=Holding)


def keyed(
    changes: Iterable[Change],
    key_of: Callable[[Instrument], Key | None],
    held: Mapping[Key, Held],
    refused: list[Event],
    *,
    keyless: str = "no segment or no token of this broker",
    taken: str = "its key is taken by another instrument",
) -> Iterator[tuple[Change, Key, Held | None]]:
    """The changes that the stream can tell apart by their key, each with what is ``held`` under it by then.

    An instrument without a key and one whose key another holds can't be served: what is wished of them
    goes to ``refused``, what is given back was never held.
    """
    for change in changes:
        instrument, _, new = change
        key = key_of(instrument)
        known = None if key is None else held.get(key)
        if key is None:
            why = keyless
        elif known is not None and not same_name(known.instrument, instrument):
            why = taken
        else:
            yield change, key, known
            continue
        if new is not None:
            refused.append(Rejected(why, (instrument,)))
