"""A certificate authority for tests, and server certificates that are right or wrong in known ways."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate

__all__ = ["Authority", "ServerCertificate", "untrusted"]

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class ServerCertificate:
    """A server's certificate and key, in PEM."""

    certificate: bytes
    key: bytes

    def options(self) -> CertificateOptions:
        """For ``listenSSL``: the server's side of TLS 1.2 or later."""
        options: CertificateOptions = PrivateCertificate.loadPEM(self.certificate + self.key).options()
        return options

    def write(self, folder: Path, stem: str = "server") -> tuple[Path, Path]:
        """``(stem.pem, stem.key)`` in the folder: certificate and key."""
        paths = folder / f"{stem}.pem", folder / f"{stem}.key"
        paths[0].write_bytes(self.certificate)
        paths[1].write_bytes(self.key)
        return paths


class Authority:
    """A CA made on the spot (elliptic curve keys: a few milliseconds each).

    ``pem`` is what a client must trust. Every certificate's host names are given; addresses like
    ``127.0.0.1`` become IP names.
    """

    def __init__(self, name: str = "Simulated Authority") -> None:
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 365 * _DAY)
            .not_valid_after(now + 365 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
        )

    @property
    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self._certificate.public_bytes(Encoding.PEM)

    def write(self, folder: Path, name: str = "authority.pem") -> Path:
        """The authority's certificate as a file, for a client to trust."""
        path = folder / name
        path.write_bytes(self.pem)
        return path

    def trust(self) -> Certificate:
        """The same for ``optionsForClientTLS(trustRoot=…)``."""
        return Certificate.loadPEM(self.pem)

    def valid(self, *names: str) -> ServerCertificate:
        """Valid now for these names (default: localhost and 127.0.0.1)."""
        return self._issue(names or ("localhost", "127.0.0.1"), -_DAY, 90 * _DAY)

    def expired(self, *names: str) -> ServerCertificate:
        """It ended yesterday."""
        return self._issue(names or ("localhost", "127.0.0.1"), -30 * _DAY, -_DAY)

    def not_yet(self, *names: str) -> ServerCertificate:
        """It begins tomorrow."""
        return self._issue(names or ("localhost", "127.0.0.1"), _DAY, 30 * _DAY)

    def wrong_name(self) -> ServerCertificate:
        """Valid, for somebody else."""
        return self._issue(("somebody.else.example",), -_DAY, 90 * _DAY)

    def _issue(self, names: tuple[str, ...], begin: timedelta, end: timedelta) -> ServerCertificate:
        key = generate_private_key(SECP256R1())
        now = datetime.now(UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, SHA256())
        )
        return ServerCertificate(certificate.public_bytes(Encoding.PEM), _pem(key))


def untrusted(*names: str) -> ServerCertificate:
    """Valid for these names, but signed by an authority that nobody trusts."""
    return Authority("Nobody You Know").valid(*names)


def _general_name(name: str) -> x509.GeneralName:
    try:
        address = ip_address(name)
    except ValueError:
        return x509.DNSName(name)
    return x509.IPAddress(address)


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
