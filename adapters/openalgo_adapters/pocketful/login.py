"""The client's code, which the address of the socket wants: asked of the profile where it isn't known."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from openalgo_adapters._common.profile import given_profile
from openalgo_ws.adapter import (
    AuthoriseFailed,
    Cause,
    Environment,
    HttpRequest,
    HttpResponse,
    Verdict,
)

__all__ = ["find_client"]


def find_client(
    credentials: Mapping[str, str], environment: Environment
) -> Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]:
    """The credentials with ``client_id``."""
    if credentials.get("client_id"):
        return credentials
    answer = yield HttpRequest(
        method="GET",
        url="https://trade.pocketful.in/api/v1/user/trading_info",
        headers={"Authorization": f"Bearer {credentials.get('access_token', '')}"},
    )
    answer = given_profile(answer, "the access token")
    body = answer.json() if answer.status == 200 else None
    data = body.get("data") if isinstance(body, dict) else None
    client = data.get("client_id") if isinstance(data, dict) else None
    if not isinstance(client, str) or not client:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, f"the profile names no client (HTTP {answer.status})"))
    return {**credentials, "client_id": client}
