"""Where Upstox's sockets are: asked before every dial, because the address can be used once only.

The broker's own libraries dial a fixed address with the token and follow a redirect; that leads to
the same place.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

from openalgo_ws.adapter import (
    AuthoriseFailed,
    Cause,
    Environment,
    HttpRequest,
    HttpResponse,
    Verdict,
)

__all__ = ["find_market", "find_orders"]

_API = "https://api.upstox.com"

Steps = Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]


def find_market(credentials: Mapping[str, str], environment: Environment) -> Steps:
    """The market feed, as ``feed_url``."""
    return _find(f"{_API}/v3/feed/market-data-feed/authorize", credentials)


def find_orders(credentials: Mapping[str, str], environment: Environment) -> Steps:
    """The portfolio stream with order updates alone, as ``feed_url``."""
    return _find(f"{_API}/v2/feed/portfolio-stream-feed/authorize?update_types=order", credentials)


def _find(url: str, credentials: Mapping[str, str]) -> Steps:
    answer = yield HttpRequest(
        method="GET",
        url=url,
        headers={
            "Authorization": f"Bearer {credentials.get('access_token', '')}",
            "Accept": "application/json",
        },
    )
    return {**credentials, "feed_url": _address(answer)}


def _address(answer: HttpResponse | None) -> str:
    if answer is None:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "no answer to the request for a socket"))
    status = answer.status
    if status == 401:
        # The token ends at 03:30 in India. (single source; the peer says about 03:00.)
        raise AuthoriseFailed(Verdict(Cause.TOKEN, "the broker refused the access token (HTTP 401)"))
    if status == 403:
        raise AuthoriseFailed(Verdict(Cause.PLAN, "the app may not use this feed (HTTP 403)"))
    if status == 429:
        raise AuthoriseFailed(Verdict(Cause.TOO_MANY, "too many requests for a socket (HTTP 429)", 60.0))
    body = answer.json() if status == 200 else None
    data = body.get("data") if isinstance(body, dict) else None
    if isinstance(data, dict):
        # The second spelling is the older one.
        for name in ("authorized_redirect_uri", "authorizedRedirectUri"):
            url = data.get(name)
            if isinstance(url, str) and url.startswith("wss://"):
                return url
    raise AuthoriseFailed(Verdict(Cause.TRANSIENT, f"the broker named no socket (HTTP {status})"))
