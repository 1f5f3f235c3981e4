"""Who is logged in: the user's name inside the token, and the client's id that order topics want."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error
from collections.abc import Generator, Mapping

from openalgo_adapters._common.profile import given_profile
from openalgo_adapters._common.values import BadValue, json_object
from openalgo_ws.adapter import (
    AuthoriseFailed,
    Cause,
    Environment,
    HttpRequest,
    HttpResponse,
    Verdict,
)

__all__ = ["find_client", "user_name"]


def user_name(session: str) -> str:
    """The claim ``preferred_username`` of a JWT; nothing if it has none, which the broker will refuse."""
    _, _, rest = session.partition(".")
    claims = rest.partition(".")[0]
    try:
        found = json_object(urlsafe_b64decode(claims + "=" * (-len(claims) % 4))).get("preferred_username")
    except (BadValue, Error, ValueError):
        return ""
    return found if isinstance(found, str) else ""


def find_client(
    credentials: Mapping[str, str], environment: Environment
) -> Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]:
    """The credentials with ``client_id``, from the profile: the user's name isn't always the same."""
    answer = yield HttpRequest(
        method="GET",
        url="https://api.iiflcapital.com/v1/profile",
        headers={"Authorization": f"Bearer {credentials.get('user_session', '')}"},
    )
    answer = given_profile(answer, "the session")
    body = answer.json() if answer.status == 200 else None
    result = body.get("result") if isinstance(body, dict) else None
    client = result.get("clientId") if isinstance(result, dict) else None
    if not isinstance(client, str) or not (client.isascii() and client.isalnum()):
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, f"the profile names no client (HTTP {answer.status})"))
    return {**credentials, "client_id": client}
