"""Kinds of values: how each is read from text, what is allowed, and how it is shown.

A kind knows no variable and no source. `Kind.parse` raises ValueError for text
that isn't allowed; `Kind.allowed` completes the sentence "allowed is …".

Here are the kinds of a single value that anybody may see; the others are in `masked` and `composite`.
"""

from __future__ import annotations

import ipaddress
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Generic, TypeVar

__all__ = [
    "Choice",
    "Clock",
    "Endpoint",
    "File",
    "Flag",
    "Kind",
    "Network",
    "NewFile",
    "Number",
    "Text",
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
class Endpoint(Kind[str]):
    """A Twisted server endpoint as a string."""

    metavar: str = "ENDPOINT"
    allowed: str = "a Twisted endpoint such as tcp:8765 or ssl:8443:privateKey=key.pem:certKey=cert.pem"

    def parse(self, text: str, directory: Path) -> str:
        kind, colon, rest = text.partition(":")
        if not kind.isidentifier() or not colon or not rest or not text.isprintable():
            raise ValueError(text)
        return text
