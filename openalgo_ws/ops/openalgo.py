"""What OpenAlgo's browser clients ask a server for before they connect: where to, and with which key."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.web.server import Request

from openalgo_ws.accounts.service import AccountsUnavailable
from openalgo_ws.ops.access import Access

__all__ = ["Keys", "user_names", "websocket_config", "websocket_key"]

Answer = tuple[int, dict[str, Any]]


class Keys(Protocol):
    """The accounts: `openalgo_ws.accounts.service.Accounts`."""

    async def users(self) -> list[str]: ...

    async def api_key(self, user_id: str) -> str | None: ...


def websocket_config(request: Request, url: str | None, port: int, secure: bool) -> dict[str, Any]:
    """``/api/websocket/config``. Without a ``url`` of the operator's, the gateway is at the host that
    the request names: it is reached by the same name."""
    if url is None:
        host = request.getRequestHostname().decode("latin-1")
        url = f"{'wss' if secure else 'ws'}://{f'[{host}]' if ':' in host else host}:{port}"
    return {"status": "success", "websocket_url": url, "is_secure": url.startswith("wss:")}


async def websocket_key(request: Request, access: Access, keys: Keys) -> Answer:
    """``/api/websocket/apikey``: the key of the user that ``?user=`` names, or of the only one.

    Never without an admin token: every program of the machine could ask.
    """
    if not access.has_token:
        return 403, _error("WS_ADMIN_TOKEN is not set: keys are not shown")
    try:
        named = request.args.get(b"user", [])
        users = await keys.users()
        user = named[0].decode("utf-8", "replace") if named else users[0] if len(users) == 1 else None
        if user is None:
            return 400, _error("name the user: ?user=")
        key = await keys.api_key(user) if user in users else None
    except AccountsUnavailable:
        return 503, _error("keys can't be read at the moment")
    if key is None:
        return 404, _error("this user has no key that can be shown")
    return 200, {"status": "success", "api_key": key}


async def user_names(access: Access, keys: Keys) -> Answer:
    """``/api/users``: whose feeds the status page can show, and whether one logs in to it."""
    try:
        return 200, {"users": await keys.users(), "login": access.has_token}
    except AccountsUnavailable:
        return 503, _error("users can't be read at the moment")


def _error(message: str) -> dict[str, Any]:
    return {"status": "error", "message": message}
