"""TLS towards brokers: whom we believe."""

from __future__ import annotations

from OpenSSL.SSL import Connection as TLSConnection
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

__all__ = ["Trust"]


@implementer(IPolicyForHTTPS)
class Trust:
    """Makes TLS clients that verify a peer's certificate and its host name.

    ``roots`` are the only accepted signers, () = the platform's. ``verify`` False accepts anybody:
    the caller says so in the log.
    """

    def __init__(self, roots: tuple[Certificate, ...] = (), verify: bool = True) -> None:
        self.verify = verify
        self._root = trustRootFromCertificates(roots) if roots else None
        #: By host: loading the platform's roots takes milliseconds, and one serves many dials.
        self._creators: dict[str, IOpenSSLClientConnectionCreator] = {}

    def creator(self, host: str) -> IOpenSSLClientConnectionCreator:
        """What makes TLS connections to ``host`` (a name or an IP address)."""
        creator = self._creators.get(host)
        if creator is None:
            creator = self._creators[host] = (
                optionsForClientTLS(host, trustRoot=self._root) if self.verify else _Unverified(host)
            )
        return creator

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """`IPolicyForHTTPS`: the same for HTTPS calls."""
        return self.creator(hostname.decode("ascii"))


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """TLS with whoever answers."""

    def __init__(self, host: str) -> None:
        self._name = None if isIPAddress(host) or isIPv6Address(host) else host.encode("idna")
        self._context = CertificateOptions().getContext()

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> TLSConnection:
        connection = TLSConnection(self._context, None)
        if self._name is not None:
            connection.set_tlsext_host_name(self._name)
        return connection
