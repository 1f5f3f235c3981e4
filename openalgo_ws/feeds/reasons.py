"""Failures in words for people, without what might be secret in them."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed, DNSLookupError
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

__all__ = ["is_tls_failure", "place_of", "reason_of"]


def is_tls_failure(failure: Failure) -> bool:
    """Whether TLS broke the connection: no common ground, or a certificate that is not believed."""
    return isinstance(_innermost(failure).value, SSL.Error | VerificationError | CertificateError)


def reason_of(failure: Failure) -> str:
    """What broke a connection or a call. Only messages that are known to hold no secret are quoted."""
    failure = _innermost(failure)
    error = failure.value
    if isinstance(error, VerificationError | CertificateError):
        return "the certificate is not one of this host"
    if isinstance(error, SSL.Error):
        details = error.args[0] if error.args and isinstance(error.args[0], list) else []
        text = "; ".join(str(detail[-1]) for detail in details if detail) or "broken off"
        return f"TLS: {text}"
    if isinstance(error, ConnectingCancelledError):
        return "given up"
    if isinstance(error, ConnectError | ConnectionClosed | DNSLookupError):
        return str(error).rstrip(".") or type(error).__name__
    return type(error).__name__


def place_of(failure: Failure) -> str:
    """Kind and place of an unexpected exception, without its message: that may quote anything."""
    error = failure.value
    place = failure.frames[-1] if failure.frames else None
    where = f" in {place[0]}, line {place[2]} of {place[1].rpartition('/')[2]}" if place else ""
    return f"{type(error).__name__}{where}"


def _innermost(failure: Failure) -> Failure:
    while isinstance(failure.value, ResponseFailed | RequestTransmissionFailed) and failure.value.reasons:
        failure = failure.value.reasons[0]
    return failure
