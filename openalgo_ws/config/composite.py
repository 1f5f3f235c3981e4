"""Kinds that are several values of another kind, in one text or in options that are repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from openalgo_ws.config.kinds import Kind

__all__ = ["ListOf", "MapOf", "Names"]

T = TypeVar("T")


@dataclass(frozen=True)
class ListOf(Kind[tuple[T, ...]]):
    """Several values: separated in a variable, one at a time as repeated options."""

    item: Kind[T]
    #: What separates values within one text; None = white space.
    separator: str | None = ","

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return self.item.metavar

    @property
    def allowed(self) -> str:
        between = "spaces" if self.separator is None else f"“{self.separator}”"
        return f"{self.item.allowed}; several separated by {between}"

    def split(self, text: str) -> list[str]:
        """The texts of the single values."""
        return [part.strip() for part in text.split(self.separator) if part.strip()]

    def parse(self, text: str, directory: Path) -> tuple[T, ...]:
        return self.parse_all(self.split(text), directory)

    def parse_all(self, texts: Sequence[str], directory: Path) -> tuple[T, ...]:
        """The values of texts that are split already."""
        return tuple(self.item.parse(text, directory) for text in texts)

    def show(self, value: tuple[T, ...]) -> str:
        return (self.separator or " ").join(self.item.show(item) for item in value)


@dataclass(frozen=True)
class Names(Kind[tuple[str, ...]]):
    """One or more names in an order that matters, separated by commas."""

    metavar: str = "NAME,…"
    allowed: str = "names separated by commas"

    def parse(self, text: str, directory: Path) -> tuple[str, ...]:
        names = tuple(part.strip() for part in text.split(","))
        if not all(names) or not text.isprintable() or len(set(names)) != len(names):
            raise ValueError(text)
        return names

    def show(self, value: tuple[str, ...]) -> str:
        return ",".join(value)


@dataclass(frozen=True)
class MapOf(Kind[Mapping[str, T]]):
    """Values by name, written ``name=value``."""

    item: Kind[T]
    #: The word for the name in ``--help``.
    name: str = "NAME"
    #: What separates entries within one text.
    separator: str = ";"

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return f"{self.name}={self.item.metavar}"

    @property
    def allowed(self) -> str:
        return f"{self.metavar}, where the value is {self.item.allowed}"

    def split(self, text: str) -> list[str]:
        """The texts of the single entries."""
        return [part.strip() for part in text.split(self.separator) if part.strip()]

    def parse(self, text: str, directory: Path) -> Mapping[str, T]:
        return self.parse_all(self.split(text), directory)

    def parse_all(self, texts: Sequence[str], directory: Path) -> Mapping[str, T]:
        """The entries of texts that are split already; a name may occur once."""
        found: dict[str, T] = {}
        for text in texts:
            name, equals, value = (part.strip() for part in text.partition("="))
            if not name or not equals or name in found:
                raise ValueError(text)
            found[name] = self.item.parse(value, directory)
        return MappingProxyType(found)

    def show(self, value: Mapping[str, T]) -> str:
        return f"{self.separator} ".join(f"{name}={self.item.show(item)}" for name, item in value.items())
