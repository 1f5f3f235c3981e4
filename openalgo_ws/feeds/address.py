"""Where a broker's URL leads, with the operator's override applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

__all__ = ["Address", "BadAddress", "resolve"]

#: Scheme → (whether TLS is spoken, the usual port).
_SCHEMES = {
    "ws": (False, 80),
    "http": (False, 80),
    "tcp": (False, 0),
    "wss": (True, 443),
    "https": (True, 443),
    "tls": (True, 443),
}
#: What may not stand in a request line or a header: it would end it.
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")


class BadAddress(ValueError):
    """A URL that can't be dialled. The message holds nothing of its path or query."""


@dataclass(frozen=True, repr=False)
class Address:
    """Where to connect, and what to ask for there."""

    secure: bool
    #: Name or IP address to connect to (and to verify the certificate against).
    host: str
    port: int
    #: Path and query, as they go on the request line. May carry secrets.
    resource: str
    #: The Host header: the broker's own host, whatever the override says.
    authority: str

    @property
    def netloc(self) -> str:
        """``host:port``, with brackets round an IPv6 address."""
        return f"{_bracketed(self.host)}:{self.port}"

    def __repr__(self) -> str:
        return f"<Address {self.netloc} for {self.authority}>"


def resolve(url: str, base: str | None = None) -> Address:
    """The address of ``url``; with ``base``, its scheme, host and port replace those of ``url``.

    Path and query stay as they are, byte for byte (only characters outside ASCII are percent
    encoded), and so does the Host header. `BadAddress` if either can't be used.
    """
    if _UNSAFE.search(url):
        raise BadAddress("the URL has a blank or a control character in it")
    parts = _split(url)
    secure, host, port = _place(parts)
    authority = _bracketed(host) if port == _SCHEMES[parts.scheme][1] else f"{_bracketed(host)}:{port}"
    if base is not None:
        replacement = _split(base)
        if replacement.path not in ("", "/") or replacement.query:
            raise BadAddress("a feed URL of the configuration has only scheme, host and port")
        secure, host, port = _place(replacement)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(secure, host, port, quote(resource, safe=_ALL_ASCII), authority)


#: Everything that stays as it is: brokers disagree about what must be escaped, so nothing is.
_ALL_ASCII = "".join(chr(code) for code in range(0x21, 0x7F))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        usable = parts.scheme in _SCHEMES and host.isascii() and host != "" and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadAddress(f"not a URL of a feed (scheme one of {', '.join(_SCHEMES)}; a host; a port)")
    return parts


def _place(parts: SplitResult) -> tuple[bool, str, int]:
    secure, usual = _SCHEMES[parts.scheme]
    port = parts.port or usual
    if not port or parts.hostname is None:
        raise BadAddress(f"a {parts.scheme}:// URL names its port")
    return secure, parts.hostname, port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
