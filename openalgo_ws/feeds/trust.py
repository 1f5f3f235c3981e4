"""Ways to brokers, and whom we believe at the other end."""

from __future__ import annotations

from OpenSSL.SSL import Connection as TLSConnection
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from openalgo_ws.feeds.address import Address
from openalgo_ws.feeds.link import FeedReactor

__all__ = ["Trust"]


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

    def endpoint(
        self, reactor: FeedReactor, address: Address, timeout: float = 30.0
    ) -> IStreamClientEndpoint:
        """What connects to ``address``, by TLS where it says so."""
        endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, address.host, address.port, timeout)
        if address.secure:
            endpoint = wrapClientTLS(self.creator(address.host), endpoint)
        return endpoint


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
