"""Checks clients' keys against the accounts, and says which broker serves them."""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_ws.accounts.service import Accounts, AccountsBusy, AccountsUnavailable
from openalgo_ws.gateway.context import Authenticated, Unavailable
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Registry

__all__ = ["KeyChecker"]


class KeyChecker:
    """The gateway's `Authenticator`.

    A user's broker is named where its session can be used: with all credentials, or, where publishers
    outside feed the bus (``any_session``), wherever there is a session at all.
    """

    def __init__(
        self,
        accounts: Accounts,
        registry: Registry,
        environment: Mapping[str, str],
        *,
        any_session: bool,
    ) -> None:
        self._accounts = accounts
        self._registry = registry
        self._environment = environment
        self._any_session = any_session

    async def authenticate(self, api_key: str) -> Authenticated | None:
        """Who the key belongs to, or None. Raises `Unavailable`."""
        try:
            identity = await self._accounts.authenticate(api_key)
            if identity is None:
                return None
            broker = identity.broker
            if broker is not None and not self._any_session:
                broker = await self._usable(identity.user_id, broker)
        except AccountsUnavailable:
            message = "Keys can't be checked at the moment, try again later"
            raise Unavailable("SERVER_ERROR", message) from None
        except AccountsBusy:
            raise Unavailable("RATE_LIMITED", "Too many keys are being checked, try again") from None
        return Authenticated(identity.user_id, broker)

    async def _usable(self, user: str, broker: str) -> str | None:
        row = await self._accounts.session(user)
        try:
            adapter = self._registry.load(broker)
        except (AdapterNotFound, AdapterBroken):
            return None
        if row is None or adapter.missing(adapter.credentials_from(row, self._environment)):
            return None
        return broker
