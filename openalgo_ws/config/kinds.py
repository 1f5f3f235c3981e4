"""Kinds of values: how each is read from text, what is allowed, and how it is shown.

A kind knows no variable and no source. `Kind.parse` raises ValueError for text
that isn't allowed; `Kind.allowed` completes the sentence "allowed is …".
"""

from __future__ import annotations

import ipaddress
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from openalgo_ws.config.secret import Secret, masked_url

__all__ = [
    "BusText",
    "Choice",
    "Clock",
    "DatabaseUrl",
    "Endpoint",
    "File",
    "Flag",
    "Kind",
    "ListOf",
    "MapOf",
    "Names",
    "Network",
    "NewFile",
    "Number",
    "SecretText",
    "Text",
    "Url",
    "Whole",
    "expanded",
]

T = TypeVar("T")

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Kind(ABC, Generic[T]):
    """One kind of value."""

    #: Stands for the value in ``--help``.
    metavar: str = "VALUE"
    #: The value as given is never shown.
    secret: bool = False

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What is allowed, in words."""

    @abstractmethod
    def parse(self, text: str, directory: Path) -> T:
        """The value; ValueError if it isn't allowed. Relative paths are taken from ``directory``."""

    def show(self, value: T) -> str:
        """The value as text that `parse` would take (masked where it is secret)."""
        return str(value)


@dataclass(frozen=True)
class Text(Kind[str]):
    """Any text on one line."""

    metavar: str = "TEXT"
    allowed: str = "any text"

    def parse(self, text: str, directory: Path) -> str:
        if not text.isprintable():
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class Whole(Kind[int]):
    """A whole number in a range, both ends included."""

    least: int = 0
    most: int | None = None
    metavar: str = "N"

    @property
    def allowed(self) -> str:
        if self.most is None:
            return f"a whole number from {self.least}"
        return f"a whole number from {self.least} to {self.most}"

    def parse(self, text: str, directory: Path) -> int:
        # int() takes underscores and digits of other scripts; a configuration means neither.
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise ValueError(text)
        value = int(text)
        if value < self.least or (self.most is not None and value > self.most):
            raise ValueError(text)
        return value


@dataclass(frozen=True)
class Number(Kind[float]):
    """A finite number in a range, both ends included."""

    least: float = 0.0
    most: float | None = None
    metavar: str = "SECONDS"

    @property
    def allowed(self) -> str:
        if self.most is None:
            return f"a number from {self.least:g}"
        return f"a number from {self.least:g} to {self.most:g}"

    def parse(self, text: str, directory: Path) -> float:
        if "_" in text:
            raise ValueError(text)
        value = float(text)
        if not math.isfinite(value) or value < self.least or (self.most is not None and value > self.most):
            raise ValueError(text)
        return value

    def show(self, value: float) -> str:
        return f"{value:g}"


@dataclass(frozen=True)
class Flag(Kind[bool]):
    """Yes or no."""

    metavar: str = "true|false"
    allowed: str = "true or false (or yes, no, on, off, 1, 0)"

    def parse(self, text: str, directory: Path) -> bool:
        word = text.lower()
        if word in ("true", "yes", "on", "1"):
            return True
        if word in ("false", "no", "off", "0"):
            return False
        raise ValueError(text)

    def show(self, value: bool) -> str:
        return "true" if value else "false"


@dataclass(frozen=True)
class Choice(Kind[str]):
    """One of some words, in any case; the value is spelled as declared."""

    words: tuple[str, ...]
    #: Texts that count as a word: (what they contain, the word).
    synonym: tuple[str, str] | None = None

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return "|".join(self.words)

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self.words)

    def parse(self, text: str, directory: Path) -> str:
        for word in self.words:
            if word.lower() == text.lower():
                return word
        if self.synonym is not None and self.synonym[0] in text:
            return self.synonym[1]
        raise ValueError(text)


@dataclass(frozen=True)
class BusText(Kind["str | tuple[Secret, ...]"]):
    """One of some words, or the URLs of NATS servers, which may hold a password and are shown without."""

    words: tuple[str, ...]
    schemes: tuple[str, ...] = ("nats", "tls")
    secret: bool = True

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return "|".join((*self.words, "nats://HOST:PORT,…"))

    @property
    def allowed(self) -> str:
        schemes = " or ".join(f"{scheme}://" for scheme in self.schemes)
        return f"one of {', '.join(self.words)}, or URLs that begin with {schemes}, separated by commas"

    def parse(self, text: str, directory: Path) -> str | tuple[Secret, ...]:
        if "://" not in text:
            return Choice(self.words).parse(text, directory)
        url = Url(self.schemes)
        return tuple(Secret(url.parse(part.strip(), directory)) for part in text.split(","))

    def show(self, value: str | tuple[Secret, ...]) -> str:
        return value if isinstance(value, str) else ",".join(masked_url(one.reveal()) for one in value)


def expanded(text: str) -> Path:
    """A path as people write it, ``~`` for a home. ValueError if there is no such home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(text) from None


@dataclass(frozen=True)
class File(Kind[Path]):
    """The path of a file that exists."""

    metavar: str = "FILE"
    allowed: str = "a file that can be read"

    def parse(self, text: str, directory: Path) -> Path:
        path = directory / expanded(text)
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            raise ValueError(text) from error


@dataclass(frozen=True)
class NewFile(Kind[Path]):
    """The path of a file to write, in a folder that exists."""

    metavar: str = "FILE"
    allowed: str = "a file in a folder that exists"

    def parse(self, text: str, directory: Path) -> Path:
        path = directory / expanded(text)
        try:
            if path.parent.is_dir() and not path.is_dir():
                return path
        except (OSError, ValueError):
            pass
        raise ValueError(text)


@dataclass(frozen=True)
class Clock(Kind[time]):
    """A time of day."""

    metavar: str = "HH:MM"
    allowed: str = "a time of day such as 03:00"

    def parse(self, text: str, directory: Path) -> time:
        hour, colon, minute = text.partition(":")
        parts = (hour, minute)
        if not colon or not all(p.isascii() and p.isdigit() and 1 <= len(p) <= 2 for p in parts):
            raise ValueError(text)
        return time(int(hour), int(minute))

    def show(self, value: time) -> str:
        return value.strftime("%H:%M")


@dataclass(frozen=True)
class Network(Kind[IPNetwork]):
    """An IP address or a network."""

    metavar: str = "ADDRESS"
    allowed: str = "an address or network such as 10.0.0.1 or 10.0.0.0/8"

    def parse(self, text: str, directory: Path) -> IPNetwork:
        return ipaddress.ip_network(text)


@dataclass(frozen=True)
class Url(Kind[str]):
    """A URL of one of some schemes. It is shown without user, query and fragment."""

    schemes: tuple[str, ...]
    metavar: str = "URL"

    @property
    def allowed(self) -> str:
        return "a URL that begins with " + " or ".join(f"{scheme}://" for scheme in self.schemes)

    def parse(self, text: str, directory: Path) -> str:
        scheme, _, rest = text.partition("://")
        if scheme.lower() not in self.schemes or not rest or not text.isprintable() or " " in text:
            raise ValueError(text)
        return text

    def show(self, value: str) -> str:
        return masked_url(value)


@dataclass(frozen=True)
class Endpoint(Kind[str]):
    """A Twisted server endpoint as a string."""

    metavar: str = "ENDPOINT"
    allowed: str = "a Twisted endpoint such as tcp:8765 or ssl:8443:privateKey=key.pem:certKey=cert.pem"

    def parse(self, text: str, directory: Path) -> str:
        kind, colon, rest = text.partition(":")
        if not kind.isidentifier() or not colon or not rest or not text.isprintable():
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class SecretText(Kind[Secret]):
    """A secret, perhaps of a least length. Neither its value nor its length is ever shown."""

    least: int = 1
    metavar: str = "SECRET"
    secret: bool = True

    @property
    def allowed(self) -> str:
        return "a secret" if self.least <= 1 else f"a secret of at least {self.least} characters"

    def parse(self, text: str, directory: Path) -> Secret:
        if len(text) < self.least:
            raise ValueError("too short")
        return Secret(text)

    def show(self, value: Secret) -> str:
        return "(set)"


@dataclass(frozen=True)
class DatabaseUrl(Kind[Secret]):
    """An SQLAlchemy URL; a relative SQLite path is taken from the directory of its source."""

    metavar: str = "URL"
    secret: bool = True
    allowed: str = "an SQLAlchemy URL such as sqlite:///openalgo-ws.db or postgresql://user:…@host/name"

    def parse(self, text: str, directory: Path) -> Secret:
        scheme, separator, rest = text.partition("://")
        dialect = scheme.partition("+")[0]
        if not separator or not rest.strip("/") or dialect not in ("sqlite", "postgresql"):
            raise ValueError("not a database URL")
        if dialect == "sqlite" and rest.startswith("/") and not rest.startswith(("//", "/:memory:")):
            return Secret(f"{scheme}:///{directory / rest[1:]}")
        return Secret(text)

    def show(self, value: Secret) -> str:
        return masked_url(value.reveal())


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
