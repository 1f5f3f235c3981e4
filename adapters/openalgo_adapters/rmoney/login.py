"""RMoney's interactive login: ask where, then log in there with the key that the answer holds."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from openalgo_adapters._xts.login import Steps, app, result_of, session_of, stored_session
from openalgo_ws.adapter import AuthoriseFailed, Cause, Environment, HttpRequest, Verdict

__all__ = ["interactive_login"]

_LOOKUP = "https://xts.rmoneyindia.co.in:4000/hostlookup"
_DOMAIN = ".rmoneyindia.co.in"


def interactive_login(credentials: Mapping[str, str], environment: Environment) -> Steps:
    """As `openalgo_adapters._xts.login.interactive_login`, at the host that is looked up.

    A login in the browser gives the session itself, which is then used as it is.
    """
    session = stored_session(credentials)
    if session is not None:
        return session
    body = app(credentials)
    answer = yield HttpRequest(
        method="POST",
        url=_LOOKUP,
        # (conflict: the peer writes "AccessPassword"; the broker's client sends another version.)
        json={"accesspassword": "2021HostLookUpAccess", "version": "interactive_1.0.1"},
    )
    result = result_of(answer)
    # (conflict: the peer reads "UniqueKey".)
    place, key = result.get("connectionString"), result.get("uniqueKey", result.get("UniqueKey"))
    if not isinstance(place, str) or not isinstance(key, str) or not _is_ours(place):
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "the host look-up gave no host of the broker"))
    answer = yield HttpRequest(
        method="POST", url=f"{place.rstrip('/')}/user/session", json=body | {"uniqueKey": key}
    )
    token, user = session_of(answer)
    return {**credentials, "interactive_token": token, "interactive_user_id": user}


def _is_ours(url: str) -> bool:
    """Whether the app's secret may be sent there."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and (parts.hostname or "").endswith(_DOMAIN)
    except ValueError:
        return False
