"""Groww's socket token: made for one key pair, and one pair is made for one connection."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any
from uuid import UUID

from openalgo_adapters._nats.nkey import BadSeed, KeyPair
from openalgo_ws.adapter import (
    AuthoriseFailed,
    Cause,
    Environment,
    HttpRequest,
    HttpResponse,
    Verdict,
)

__all__ = ["fetch_socket_token"]

_URL = "https://api.groww.in/v1/api/apex/v1/socket/token/create/"
_BY_STATUS = {
    400: Cause.FATAL,
    401: Cause.TOKEN,
    403: Cause.PLAN,
    404: Cause.FATAL,
    429: Cause.TOO_MANY,
}
_BY_CODE = {"GA001": Cause.FATAL, "GA004": Cause.FATAL, "GA005": Cause.TOKEN}


def fetch_socket_token(
    credentials: Mapping[str, str], environment: Environment
) -> Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]:
    """Adds ``nkey_seed``, ``socket_token`` and ``subscription_id``.

    A ``nkey_seed`` among the credentials is used instead of a random one, for tests.
    """
    pair = _pair(credentials, environment)
    response = yield HttpRequest(
        method="POST",
        url=_URL,
        headers={
            "Authorization": f"Bearer {credentials.get('access_token', '')}",
            "Content-Type": "application/json",
            "x-request-id": str(UUID(bytes=environment.random(16), version=4)),
            "x-client-id": "growwapi",
            "x-client-platform": "growwapi-python-client",
            "x-client-platform-version": "1.5.0",
            "x-api-version": "1.0",
        },
        json={"socketKey": pair.public},
    )
    if response is None:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "no answer to the request for a socket token"))
    answer = response.json()
    if response.status != 200:
        cause = _BY_STATUS.get(response.status, Cause.TRANSIENT)
        message = f"no socket token (HTTP {response.status})"
        raise AuthoriseFailed(Verdict(cause, message, 60.0 if cause is Cause.TOO_MANY else None))
    found = _fields(answer)
    return {
        **credentials,
        "nkey_seed": pair.seed,
        "socket_token": found["token"],
        "subscription_id": found.get("subscriptionId", ""),
    }


def _pair(credentials: Mapping[str, str], environment: Environment) -> KeyPair:
    seed = credentials.get("nkey_seed")
    if not seed:
        return KeyPair(environment.random(32))
    try:
        return KeyPair.from_seed(seed)
    except BadSeed as problem:
        raise AuthoriseFailed(Verdict(Cause.FATAL, f"nkey_seed: {problem}")) from None


def _fields(answer: Any) -> dict[str, str]:
    """The answer's text members, whether it is wrapped or not."""
    if not isinstance(answer, dict):
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "the answer with the socket token is not JSON"))
    error = answer.get("error")
    if answer.get("status") == "FAILURE" or isinstance(error, dict):
        code = error.get("code") if isinstance(error, dict) else None
        cause = _BY_CODE.get(code, Cause.TRANSIENT) if isinstance(code, str) else Cause.TRANSIENT
        shown = code if isinstance(code, str) and code.isalnum() and len(code) <= 8 else "no code"
        raise AuthoriseFailed(Verdict(cause, f"no socket token ({shown})"))
    payload = answer.get("payload")
    members = payload if isinstance(payload, dict) else answer
    found = {name: value for name, value in members.items() if isinstance(value, str)}
    if not found.get("token"):
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "an answer without a socket token"))
    return found
