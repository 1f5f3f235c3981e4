"""Certificates for tests: an authority of our own, and servers' certificates good and bad.

Made anew for each test run, in memory; small keys on an elliptic curve, so that it takes milliseconds.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import ssl

__all__ = ["Authority", "Identity"]

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A server's key and certificate, as PEM."""

    key_pem: bytes
    certificate_pem: bytes

    def options(self) -> ssl.CertificateOptions:
        """What a TLS server listens with."""
        return ssl.PrivateCertificate.loadPEM(self.key_pem + self.certificate_pem).options()


class Authority:
    """A certificate authority that nobody else trusts."""

    def __init__(self, name: str = "openalgo-ws tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + 2 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        """The authority's certificate, as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def root(self) -> ssl.Certificate:
        """The authority's certificate, as Twisted wants roots."""
        return ssl.Certificate.loadPEM(self.pem)

    def issue(self, *names: str, expired: bool = False) -> Identity:
        """A certificate for these host names and IP addresses (default: localhost and 127.0.0.1)."""
        names = names or ("localhost", "127.0.0.1")
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        until = now - _DAY if expired else now + _DAY
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - 2 * _DAY)
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return Identity(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            certificate.public_bytes(serialization.Encoding.PEM),
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
