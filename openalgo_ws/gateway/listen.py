"""Where clients connect: endpoint strings, and TLS whose renewed certificate is picked up."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet import ssl
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IOpenSSLContextFactory, IStreamServerEndpoint
from twisted.logger import Logger
from zope.interface import implementer

__all__ = [
    "BACKLOG",
    "EndpointError",
    "RenewingContextFactory",
    "certificate_files",
    "endpoint",
    "tls_context",
]


#: Connections that may wait to be accepted: when a server comes back, all its clients come at once, and
#: one that finds no room here tries again after a second, then after two more.
BACKLOG = 1024


_TLS_OPTIONS = {"port", "privateKey", "certKey", "extraCertChain", "interface", "backlog"}


class EndpointError(ValueError):
    """An endpoint string that can't be used; the message is one line for people."""


def endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """A server endpoint from its string, e.g. ``tcp:8765`` or
    ``ssl:8443:privateKey=key.pem:certKey=cert.pem``.

    For ``ssl:`` at least TLS 1.2 is asked for, and a certificate that is renewed on disk serves
    the next connection. Raises `EndpointError`.
    """
    parts = _split(description)
    if parts[0] == "ssl":
        return _tls(reactor, description, parts[1:])
    if parts[0] in ("tcp", "tcp6", "unix") and not any(part.startswith("backlog=") for part in parts):
        description += f":backlog={BACKLOG}"
    try:
        made: IStreamServerEndpoint = serverFromString(reactor, description)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise EndpointError(f"{description!r} is not an endpoint: {error}") from None
    return made


def certificate_files(description: str) -> tuple[Path, Path] | None:
    """The key and the certificate file of an ``ssl:`` endpoint; None for another kind."""
    parts = _split(description)
    if parts[0] != "ssl":
        return None
    options = dict(part.partition("=")[::2] for part in parts[1:] if "=" in part)
    key = options.get("privateKey", "server.pem")
    return Path(key), Path(options.get("certKey", key))


def tls_context(reactor: Any, description: str) -> RenewingContextFactory:
    """The certificate of an ``ssl:`` endpoint. Raises `EndpointError`."""
    parts = _split(description)
    options = dict(part.partition("=")[::2] for part in parts[1:] if "=" in part)
    chain = options.get("extraCertChain")
    files = certificate_files(description)
    if files is None:
        raise EndpointError(f"{description!r} has no certificate")
    return RenewingContextFactory(*files, Path(chain) if chain else None, reactor)


def _tls(reactor: Any, description: str, parts: Iterable[str]) -> IStreamServerEndpoint:
    positional = [part for part in parts if "=" not in part]
    options = dict(part.partition("=")[::2] for part in parts if "=" in part)
    unknown = options.keys() - _TLS_OPTIONS
    if unknown:
        raise EndpointError(f"{description!r}: unknown option {min(unknown)!r}")
    port = options.get("port", positional[0] if positional else "")
    backlog = options.get("backlog", str(BACKLOG))
    if not port.isdigit() or not backlog.isdigit() or int(port) > 65535:
        raise EndpointError(f"{description!r} names no port")
    factory = tls_context(reactor, description)
    return SSL4ServerEndpoint(reactor, int(port), factory, int(backlog), options.get("interface", ""))


def _split(description: str) -> list[str]:
    """Split at colons; a backslash makes the next character ordinary (as in Twisted)."""
    parts, current, characters = [], "", iter(description)
    for character in characters:
        if character == "\\":
            current += next(characters, "")
        elif character == ":":
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


@implementer(IOpenSSLContextFactory)
class RenewingContextFactory:
    """A TLS context from files, read again when they have changed.

    The files are looked at no more than once a second, when a client connects. A new certificate
    that can't be read is reported, and the old one serves on. Raises `EndpointError` when the
    first one can't be read.
    """

    log = Logger()

    def __init__(self, key: Path, certificate: Path, chain: Path | None, reactor: Any) -> None:
        self._key = key
        self._certificate = certificate
        self._chain = chain
        self._reactor = reactor
        self._checked = reactor.seconds()
        self._stamp = self._read_stamp()
        self._context = self._load()

    def getContext(self) -> SSL.Context:
        """The context for one connection."""
        now = self._reactor.seconds()
        if now - self._checked >= 1.0:
            self._checked = now
            self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return
            self._context = self._load()
        except EndpointError as error:
            self.log.error("the renewed certificate is not used: {error}", error=str(error))
            return
        self._stamp = stamp
        self.log.info("a renewed certificate is in use")

    def _read_stamp(self) -> list[tuple[int, int, int]]:
        stamps = []
        for path in (self._key, self._certificate, self._chain):
            if path is not None:
                try:
                    status = os.stat(path)
                except OSError as error:
                    raise EndpointError(f"can't read {path}: {error.strerror}") from None
                stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return stamps

    def _load(self) -> SSL.Context:
        try:
            key = crypto.load_privatekey(crypto.FILETYPE_PEM, self._key.read_bytes())
            certificates = _certificates(self._certificate.read_bytes())
            if self._chain is not None:
                certificates += _certificates(self._chain.read_bytes())
            options = ssl.CertificateOptions(
                privateKey=key,
                certificate=certificates[0],
                extraCertChain=certificates[1:],
                raiseMinimumTo=ssl.TLSVersion.TLSv1_2,
                # Browsers and others offer this by ALPN; a WebSocket begins as HTTP/1.1.
                acceptableProtocols=[b"http/1.1"],
            )
            return options.getContext()
        except OSError as error:
            raise EndpointError(f"can't read {error.filename}: {error.strerror}") from None
        except (crypto.Error, SSL.Error, ValueError, IndexError):
            raise EndpointError(f"{self._certificate} and {self._key} are no certificate and key") from None


def _certificates(pem: bytes) -> list[crypto.X509]:
    marker = b"-----BEGIN CERTIFICATE-----"
    return [crypto.load_certificate(crypto.FILETYPE_PEM, marker + rest) for rest in pem.split(marker)[1:]]
