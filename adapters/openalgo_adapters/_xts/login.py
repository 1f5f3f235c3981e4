"""The two logins: of the market-data app and of the interactive app. Each ends the one before it."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from openalgo_adapters._xts.codec import Host
from openalgo_adapters._xts.socketio import is_page
from openalgo_ws.adapter import (
    Authorise,
    AuthoriseFailed,
    Cause,
    Environment,
    HttpRequest,
    HttpResponse,
    Verdict,
)

__all__ = [
    "Steps",
    "app",
    "interactive_login",
    "market_login",
    "result_of",
    "session_of",
    "stored_session",
]

Steps = Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]


def market_login(host: Host) -> Authorise:
    """The login for ticks; gives ``market_token`` and ``market_user_id``.

    (single source: it ends the token of an earlier login with the same app, wherever that was made.)
    """

    def log_in(credentials: Mapping[str, str], environment: Environment) -> Steps:
        body = {
            "appKey": credentials.get("api_key_market", ""),
            "secretKey": credentials.get("api_secret_market", ""),
            "source": "WebAPI",
        }
        answer = yield HttpRequest(method="POST", url=host.call("auth/login"), json=body)
        if answer is not None and answer.status == 404 and host.second_login:
            url = f"https://{host.name}/{host.second_login}/auth/login"
            answer = yield HttpRequest(method="POST", url=url, json=body)
        token, user = session_of(answer)
        return {**credentials, "market_token": token, "market_user_id": user}

    return log_in


def interactive_login(host: Host, *, by_browser: bool = False) -> Authorise:
    """The login for order updates; gives ``interactive_token`` and ``interactive_user_id``.

    A session that is there already is taken as it is: a new login would end it, and with it whatever
    trades by it. ``by_browser``: the login wants what a login in the browser has given.
    """

    def log_in(credentials: Mapping[str, str], environment: Environment) -> Steps:
        session = stored_session(credentials)
        if session is not None:
            return session
        body = app(credentials)
        if by_browser:
            body["accessToken"] = credentials.get("interactive_access_token", "")
        else:
            body["source"] = "WebAPI"
        answer = yield HttpRequest(
            method="POST", url=f"https://{host.name}/interactive/user/session", json=body
        )
        token, user = session_of(answer)
        return {**credentials, "interactive_token": token, "interactive_user_id": user}

    return log_in


def stored_session(credentials: Mapping[str, str]) -> Mapping[str, str] | None:
    """The credentials with the session they hold, None if they hold none."""
    user = credentials.get("interactive_user_id") or credentials.get("market_user_id")
    if not credentials.get("interactive_token") or not user:
        return None
    return {**credentials, "interactive_user_id": user}


def app(credentials: Mapping[str, str]) -> dict[str, str]:
    """The interactive app; raises `AuthoriseFailed` where none is given."""
    key, secret = credentials.get("api_key"), credentials.get("api_secret")
    if not key or not secret:
        raise AuthoriseFailed(
            Verdict(Cause.TOKEN, "order updates need api_key and api_secret of an interactive app")
        )
    return {"appKey": key, "secretKey": secret}


def session_of(answer: HttpResponse | None) -> tuple[str, str]:
    """Token and user id from the answer to a login; raises `AuthoriseFailed`."""
    result = result_of(answer)
    token, user = result.get("token"), result.get("userID")
    if not isinstance(token, str) or not isinstance(user, str) or not token:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "the login was answered without a token"))
    return token, user


def result_of(answer: HttpResponse | None) -> Mapping[str, object]:
    """What a call has brought; raises `AuthoriseFailed`."""
    if answer is None:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "the login was not answered"))
    status = answer.status
    if status == 429:
        raise AuthoriseFailed(Verdict(Cause.TOO_MANY, "too many logins (HTTP 429)", 60.0))
    if status >= 500:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, f"the login failed (HTTP {status})"))
    if status == 404 or is_page(answer.body):
        raise AuthoriseFailed(Verdict(Cause.FATAL, f"no login at this address (HTTP {status})"))
    body = answer.json()
    if not isinstance(body, dict) or status >= 400 or body.get("type") == "error":
        raise AuthoriseFailed(Verdict(Cause.TOKEN, f"the broker refused the login (HTTP {status})"))
    result = body.get("result")
    return result if isinstance(result, dict) else {}
