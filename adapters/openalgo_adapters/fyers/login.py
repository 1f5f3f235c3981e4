"""Fyers' access token: what is in it, and what is asked for with it before a socket is opened."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Generator, Mapping
from typing import Any

from openalgo_adapters._common.values import BadValue, json_object
from openalgo_ws.adapter import (
    AuthoriseFailed,
    Cause,
    Environment,
    HttpRequest,
    HttpResponse,
    Verdict,
)

__all__ = ["authorisation", "check_expiry", "check_token", "claims", "find_tbt", "split_token"]

Steps = Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]


def split_token(credentials: Mapping[str, str]) -> tuple[str, str]:
    """App id and token; a stored ``app_id:token`` is taken apart."""
    app_id, colon, token = credentials.get("access_token", "").partition(":")
    if colon:
        return app_id, token
    return credentials.get("api_key", ""), app_id


def authorisation(credentials: Mapping[str, str]) -> Mapping[str, str]:
    """The header of HTTP calls, the tick-by-tick socket and the order socket."""
    return {"Authorization": ":".join(split_token(credentials))}


def claims(token: str) -> Mapping[str, Any]:
    """The token's claims (``exp``, ``hsm_key``), its signature unseen; {} if it can't be read."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    body = parts[1]
    try:
        return json_object(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
    except (BadValue, binascii.Error, ValueError):
        return {}


def check_token(credentials: Mapping[str, str], environment: Environment) -> Steps:
    """Ask nobody: an expired token, and one without a key for the feed, is not worth a connection."""
    found = claims(split_token(credentials)[1])
    _refuse_expired(found, environment)
    if not isinstance(found.get("hsm_key"), str) or not found["hsm_key"]:
        raise AuthoriseFailed(Verdict(Cause.TOKEN, "the access token holds no key for the feed"))
    return credentials
    yield


def check_expiry(credentials: Mapping[str, str], environment: Environment) -> Steps:
    """Ask nobody: an expired token is not worth a connection."""
    _refuse_expired(claims(split_token(credentials)[1]), environment)
    return credentials
    yield


def find_tbt(credentials: Mapping[str, str], environment: Environment) -> Steps:
    """Where the tick-by-tick socket is, as ``tbt_url``.

    (single source: HTTP 403 is said to mean that the account has no right to this feed, which then
    connects and stays silent. It is dialled all the same, as any other answer is passed over.)
    """
    _refuse_expired(claims(split_token(credentials)[1]), environment)
    answer = yield HttpRequest(
        method="GET",
        url="https://api-t1.fyers.in/indus/home/tbtws",
        headers=authorisation(credentials),
    )
    body = answer.json() if answer is not None and answer.status == 200 else None
    data = body.get("data") if isinstance(body, dict) else None
    url = data.get("socket_url") if isinstance(data, dict) else None
    if isinstance(url, str) and url.startswith("wss://"):
        return {**credentials, "tbt_url": url}
    return credentials


def _refuse_expired(found: Mapping[str, Any], environment: Environment) -> None:
    # (single source: tokens are said to end at 06:00 in India, the peer takes 03:00: `exp` decides.)
    expiry = found.get("exp")
    if isinstance(expiry, (int, float)) and expiry <= environment.now():
        raise AuthoriseFailed(Verdict(Cause.TOKEN, "the access token has expired"))
