"""Kinds of values of which some or all is never shown: secrets, and URLs that may hold one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from openalgo_ws.config.kinds import Choice, Kind
from openalgo_ws.config.secret import Secret, masked_url

__all__ = ["BusText", "DatabaseUrl", "SecretText", "SecretUrl", "Url"]


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
class SecretUrl(Kind[Secret]):
    """A URL of HTTP that is itself a secret, as those of chat services are."""

    metavar: str = "URL"
    secret: bool = True
    allowed: str = "a URL that begins with https:// or http:// and names no user"

    def parse(self, text: str, directory: Path) -> Secret:
        parts = urlsplit(text)
        # Asking for the port reads it.
        whole = parts.hostname and parts.port != 0 and "@" not in parts.netloc
        if parts.scheme not in ("https", "http") or not whole or not text.isascii():
            raise ValueError("not a URL")
        if not text.isprintable() or " " in text:
            raise ValueError("not a URL")
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
