"""Headers of Nubra's HTTP calls, and where the account's sockets are."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from openalgo_ws.adapter import AuthoriseFailed, Cause, Environment, HttpRequest, HttpResponse, Verdict

__all__ = ["find_sockets", "headers_of"]

_VERSION = "0.5.4"
#: Credentials that an answer may add, by the broker's name for them.
_SOCKETS = {"market_ws_url": "market_url", "order_service_ws_url": "orders_url"}


def headers_of(credentials: Mapping[str, str]) -> dict[str, str]:
    """What every HTTP call carries."""
    device = credentials.get("device_id", "")
    return {
        "x-device-id": device,
        "x-app-version": _VERSION,
        "x-device-os": "sdk",
        "Cookie": f"deviceId={device}",
        "Authorization": f"Bearer {credentials.get('session_token', '')}",
    }


def find_sockets(
    credentials: Mapping[str, str], environment: Environment
) -> Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]:
    """Ask where the sockets are. Without an answer they are where they usually are."""
    answer = yield HttpRequest(
        method="GET", url="https://api.nubra.io/userinfo", headers=headers_of(credentials)
    )
    if answer is not None and answer.status in (401, 440):
        raise AuthoriseFailed(Verdict(Cause.TOKEN, f"the session token is refused (HTTP {answer.status})"))
    body = answer.json() if answer is not None and answer.status == 200 else None
    info = body.get("env_info") if isinstance(body, dict) else None
    found = dict(credentials)
    for theirs, ours in _SOCKETS.items():
        url = info.get(theirs) if isinstance(info, dict) else None
        if isinstance(url, str) and url.startswith("wss://"):
            found[ours] = url
    return found
