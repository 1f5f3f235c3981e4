"""What Alice Blue wants over HTTP before each socket is opened."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from openalgo_ws.adapter import (
    AuthoriseFailed,
    Cause,
    Environment,
    HttpRequest,
    HttpResponse,
    Verdict,
)

__all__ = ["open_session", "order_token"]

# (conflict: the client's host; the peer has the same paths on ant.aliceblueonline.com.)
_BASE = "https://a3.aliceblueonline.com/open-api"

Steps = Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]


def open_session(credentials: Mapping[str, str], environment: Environment) -> Steps:
    """End the former socket session, which also ends its socket, and create a new one."""
    # There may have been none to end: the answer does not matter.
    yield _session(credentials, "invalidateWsSess")
    _checked((yield _session(credentials, "createWsSess")), "the socket session")
    return credentials


def order_token(credentials: Mapping[str, str], environment: Environment) -> Steps:
    """The token of the order socket, as ``order_token``."""
    answer = yield HttpRequest(
        method="GET", url=f"{_BASE}/order-notify/ws/createWsToken", headers=_headers(credentials)
    )
    if answer is not None and answer.status == 200 and not answer.body.strip():
        raise AuthoriseFailed(Verdict(Cause.PLAN, "order updates are not enabled for this account"))
    result = _checked(answer, "order updates").get("result")
    first = result[0] if isinstance(result, list) and result else None
    token = first.get("orderToken") if isinstance(first, dict) else None
    if not isinstance(token, str) or not token:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "the broker gave no order token"))
    return {**credentials, "order_token": token}


def _session(credentials: Mapping[str, str], call: str) -> HttpRequest:
    return HttpRequest(
        method="POST",
        url=f"{_BASE}/od/v1/profile/{call}",
        headers=_headers(credentials),
        json={"source": "API", "userId": credentials.get("user_id", "")},
    )


def _headers(credentials: Mapping[str, str]) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {credentials.get('session_id', '')}"}


def _checked(answer: HttpResponse | None, what: str) -> Mapping[str, Any]:
    """The answer's object if its status is Ok; AuthoriseFailed if it isn't."""
    if answer is None or answer.status >= 500:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, f"no answer to the request for {what}"))
    if answer.status == 429:
        raise AuthoriseFailed(Verdict(Cause.TOO_MANY, f"too many requests for {what}", 60.0))
    body = answer.json()
    status = body.get("status") if isinstance(body, dict) else None
    if answer.status in (401, 403) or (isinstance(status, str) and status.upper() != "OK"):
        raise AuthoriseFailed(Verdict(Cause.TOKEN, f"the broker refused {what}"))
    if status is None or not isinstance(body, dict):
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, f"an answer without status to {what}"))
    return body
