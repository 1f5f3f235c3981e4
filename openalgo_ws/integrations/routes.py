"""What OpenAlgo's browser clients ask a Flask application for: where the gateway is, and their key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, request, session

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database, DatabaseUnavailable
from openalgo_ws.accounts.keys import read_rows
from openalgo_ws.cli.listening import Listening, listening_of
from openalgo_ws.config import Settings

__all__ = ["KeyOf", "UserOf", "key_reader", "routes", "session_user"]

Answer = tuple[dict[str, Any], int, dict[str, str]]

#: The user of the present request, None where nobody is logged in.
UserOf = Callable[[], str | None]
#: A user's API key, None where there is none. Raises `DatabaseUnavailable`.
KeyOf = Callable[[str], str | None]


def session_user() -> str | None:
    """The user that the session names as OpenAlgo's does: ``session["user"]``."""
    user = session.get("user")
    return user if isinstance(user, str) and user else None


def key_reader(settings: Settings) -> KeyOf:
    """Reads keys from the gateway's database. SettingsError without a pepper."""
    if settings.demo:
        # Its database is inside the gateway's process.
        return lambda user: None
    vault = Vault(settings.pepper(), settings.salt())
    database = Database(settings.database_url.reveal())

    def key_of(user: str) -> str | None:
        row = database.call(read_rows).get(user)
        return None if row is None else vault.decrypt(row.encrypted)

    return key_of


def routes(settings: Settings, user_of: UserOf, key_of: KeyOf) -> Blueprint:
    """``/api/websocket/config`` and ``/api/websocket/apikey``."""
    blueprint = Blueprint("openalgo_ws", __name__, url_prefix="/api/websocket")

    @blueprint.get("/config")
    def config() -> dict[str, Any]:
        url = settings.websocket_url or _url(settings)
        return {"status": "success", "websocket_url": url, "is_secure": url.startswith("wss:")}

    @blueprint.get("/apikey")
    def apikey() -> Answer:
        user = user_of()
        if user is None:
            return _answer(401, status="error", message="log in first")
        try:
            key = key_of(user)
        except DatabaseUnavailable:
            return _answer(503, status="error", message="keys can't be read at the moment")
        if key is None:
            return _answer(404, status="error", message="this user has no key that can be shown")
        return _answer(200, status="success", api_key=key)

    return blueprint


def _answer(code: int, **body: Any) -> Answer:
    """One person's answer: no cache keeps it for the next."""
    return body, code, {"Cache-Control": "no-store", "Vary": "Cookie"}


def _url(settings: Settings) -> str:
    """Where the browser reaches the gateway: on the host by which it reached this page."""
    found = next(filter(None, map(listening_of, settings.endpoints())), None)
    listening = found or Listening(settings.websocket_host, settings.websocket_port, False)
    host = urlsplit(f"//{request.host}").hostname or listening.host
    scheme = "wss" if listening.tls else "ws"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listening.port}"
