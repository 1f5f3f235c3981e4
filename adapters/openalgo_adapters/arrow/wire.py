"""What Arrow's two sockets have in common: how they are opened, kept alive and refused."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from openalgo_ws.adapter import Cause, Dial, Verdict

__all__ = ["PONG", "dial", "refusal"]

#: The client's heartbeat, without which no tick is delivered. Nothing answers it.
PONG = "PONG"

#: (single source: the words by which the peer knows a refused login in any text.)
_REFUSALS = (
    "401",
    "403",
    "unauthorized",
    "forbidden",
    "invalid token",
    "token expired",
    "session expired",
    "invalid appid",
)


def dial(host: str, credentials: Mapping[str, str]) -> Dial:
    """The login is the address."""
    query = urlencode({"appID": credentials.get("app_id", ""), "token": credentials.get("access_token", "")})
    return Dial(url=f"wss://{host}?{query}")


def refusal(said: str) -> Verdict | None:
    """What an error or the reason of a close says about the login; None = nothing."""
    words = said.lower()
    if any(refused in words for refused in _REFUSALS):
        return Verdict(Cause.TOKEN, "the broker refused the login")
    return None
