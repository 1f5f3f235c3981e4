"""Adapters, found by entry point: anyone can ship one.

A package declares ``[project.entry-points."openalgo_ws.adapters"]`` with ``name = "module:adapter"``.
Nothing is imported before it is asked for, and one broken package does not hide the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from openalgo_ws.adapter import Adapter

__all__ = ["GROUP", "AdapterBroken", "AdapterNotFound", "Offered", "Registry"]

#: The entry-point group.
GROUP = "openalgo_ws.adapters"


class AdapterNotFound(LookupError):
    """No installed package offers an adapter of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no adapter {name!r}")
        self.name = name


class AdapterBroken(Exception):
    """A package offers the adapter, but it cannot be used; ``__cause__`` says why, if it is an error."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the adapter {name!r} cannot be used: {reason}")
        self.name = name
        self.reason = reason


class Registry:
    """The adapters on offer. Holds no adapter itself: `load` costs a look-up once it is imported."""

    def __init__(self, offers: Iterable[EntryPoint] | None = None) -> None:
        found = entry_points(group=GROUP) if offers is None else offers
        self._offers: Mapping[str, tuple[EntryPoint, ...]] = _by_name(found)

    def names(self) -> list[str]:
        """All names on offer, sorted, whether they load or not."""
        return sorted(self._offers)

    def load(self, name: str) -> Adapter:
        """The adapter of that name; raises `AdapterNotFound` or `AdapterBroken`."""
        offers = self._offers.get(name)
        if offers is None:
            raise AdapterNotFound(name)
        if len(offers) > 1:
            values = ", ".join(offer.value for offer in offers)
            raise AdapterBroken(name, f"several packages offer it: {values}")
        try:
            adapter = offers[0].load()
        except Exception as error:
            raise AdapterBroken(name, f"{type(error).__name__}: {error}") from error
        if not isinstance(adapter, Adapter):
            raise AdapterBroken(name, f"{offers[0].value} is not an Adapter")
        if adapter.name != name:
            raise AdapterBroken(name, f"it calls itself {adapter.name!r}")
        return adapter

    def all(self) -> tuple[dict[str, Adapter], list[AdapterBroken]]:
        """Every adapter that loads, by name in order, and the problems of those that do not."""
        adapters: dict[str, Adapter] = {}
        broken: list[AdapterBroken] = []
        for name in self.names():
            try:
                adapters[name] = self.load(name)
            except AdapterBroken as problem:
                broken.append(problem)
        return adapters, broken


class Offered:
    """The adapters of a registry that may be used: all, or those named in VALID_BROKERS."""

    def __init__(self, registry: Registry, names: Iterable[str] = ()) -> None:
        self._registry = registry
        self._names = frozenset(names)

    def names(self) -> list[str]:
        """Their names, sorted."""
        return [name for name in self._registry.names() if not self._names or name in self._names]

    def load(self, name: str) -> Adapter:
        """The adapter of that name; raises `AdapterNotFound` or `AdapterBroken`."""
        if self._names and name not in self._names:
            raise AdapterNotFound(name)
        return self._registry.load(name)


def _by_name(offers: Iterable[EntryPoint]) -> dict[str, tuple[EntryPoint, ...]]:
    grouped: dict[str, tuple[EntryPoint, ...]] = {}
    for offer in offers:
        earlier = grouped.get(offer.name, ())
        # The same offer twice is one package seen along two paths (a checkout and its install).
        if offer.value not in {other.value for other in earlier}:
            grouped[offer.name] = (*earlier, offer)
    return grouped
