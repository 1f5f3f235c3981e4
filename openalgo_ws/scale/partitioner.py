"""The division of instruments among members: feed processes, accounts, machines.

Rendezvous hashing (Thaler and Ravishankar, 1998): every member draws a number for every instrument,
from a hash of both names, and the highest draw owns the instrument. Nobody keeps a table, every
process in every version of Python comes to the same answer, and a member that comes or goes moves
its own share, about 1/n, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from math import ceil, log

__all__ = ["SymbolPartitioner"]

Key = tuple[str, str]

_DRAWS = 2**64


class SymbolPartitioner:
    """Divides instruments, named (symbol, exchange), among ``members``.

    A mapping gives each member's weight (> 0): one of weight 2 gets twice as much as one of weight 1.
    ValueError for no member, the same twice, or a weight that is not a positive number.
    """

    def __init__(self, members: Iterable[str] | Mapping[str, float]) -> None:
        names = list(members)
        weights = dict(members) if isinstance(members, Mapping) else dict.fromkeys(names, 1.0)
        if not names or len(weights) != len(names):
            raise ValueError("members are needed, each of them once")
        if not all(0 < weight < float("inf") for weight in weights.values()):
            raise ValueError("weights are positive numbers")
        self._weights = weights
        self._even = len(set(weights.values())) == 1
        self._salts = {name: blake2b(name.encode(), digest_size=16).digest() for name in names}

    @property
    def members(self) -> tuple[str, ...]:
        """The members, in the order in which they were given."""
        return tuple(self._weights)

    def owner(self, symbol: str, exchange: str) -> str:
        """Who owns an instrument. Depends on its name and the members' alone.

        What many instruments make for each member varies as chance does: of 50,000 among 8 each has
        6,250 give or take 80, among 64 each 780 give or take 28. `divide` is closer.
        """
        name = _named(symbol, exchange)
        return max(self._salts, key=lambda member: self._draw(name, member))

    def ranking(self, symbol: str, exchange: str) -> list[str]:
        """All members, the owner first: who would own it if those before were not there."""
        name = _named(symbol, exchange)
        return sorted(self._salts, key=lambda member: self._draw(name, member), reverse=True)

    def divide(self, keys: Iterable[Key], slack: float = 0.01) -> dict[str, list[Key]]:
        """A known set of instruments, divided so that nobody has more than ``1 + slack`` of its share
        (rounded up); each member's are in the order of ``keys``, a key that is there twice counts once.

        What a full member would own goes to the next of its `ranking` (bounded loads: Mirrokni, Thorup
        and Zadimoghaddam, 2016). The answer depends on the set and the members, not on the order; a
        member more or less still moves about 1/n. ValueError for a negative ``slack``.
        """
        if slack < 0:
            raise ValueError("slack is not negative")
        unique = dict.fromkeys(keys)
        total = sum(self._weights.values())
        room = {
            member: ceil((1 + slack) * len(unique) * weight / total)
            for member, weight in self._weights.items()
        }
        # In an order of their own: who comes too late must not depend on the caller's.
        placed: dict[Key, str] = {}
        for key in sorted(unique, key=lambda key: (_hash(_named(*key)), key)):
            member = self.owner(*key)
            if not room[member]:
                member = next(other for other in self.ranking(*key) if room[other])
            room[member] -= 1
            placed[key] = member
        divided: dict[str, list[Key]] = {member: [] for member in self._weights}
        for key in unique:
            divided[placed[key]].append(key)
        return divided

    def _draw(self, name: bytes, member: str) -> float:
        """What a member draws for an instrument: uniform, or so that its chance is its weight's."""
        draw = _hash(name + self._salts[member])
        return draw if self._even else self._weights[member] / -log((draw + 0.5) / _DRAWS)


def _named(symbol: str, exchange: str) -> bytes:
    return f"{exchange}:{symbol}".encode()


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
