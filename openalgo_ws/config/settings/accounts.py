"""Users, keys and credentials."""

from __future__ import annotations

from dataclasses import dataclass

from openalgo_ws.config.declare import setting
from openalgo_ws.config.errors import SettingsError
from openalgo_ws.config.masked import DatabaseUrl, SecretText
from openalgo_ws.config.secret import Secret

__all__ = ["PEPPER_CHARACTERS", "AccountSettings"]

_ACCOUNTS = "Users, keys and credentials"

#: Least length of API_KEY_PEPPER.
PEPPER_CHARACTERS = 32


@dataclass(frozen=True, kw_only=True, repr=False)
class AccountSettings:
    """What concerns the database and what is secret in it."""

    database_url: Secret = setting(
        "DATABASE_URL",
        DatabaseUrl(),
        Secret("sqlite:///openalgo-ws.db"),
        _ACCOUNTS,
        "Database of users, keys and instruments (SQLAlchemy URL); may be an OpenAlgo installation's.",
    )
    api_key_pepper: Secret | None = setting(
        "API_KEY_PEPPER",
        SecretText(PEPPER_CHARACTERS),
        None,
        _ACCOUNTS,
        "Secret that API keys and stored credentials are protected with. Needed, except with --demo.",
        default_text="none",
    )
    fernet_salt: Secret | None = setting(
        "FERNET_SALT",
        SecretText(),
        None,
        _ACCOUNTS,
        "Salt of the encryption, 32 or more hexadecimal digits, as OpenAlgo has it.",
        default_text="OpenAlgo's static salt",
    )

    def pepper(self) -> str:
        """The pepper; SettingsError where there is none, for it has no safe default."""
        if self.api_key_pepper is None:
            raise SettingsError(
                "API_KEY_PEPPER",
                None,
                f"must be set to a secret of at least {PEPPER_CHARACTERS} characters, the same at every "
                "start (“openalgo-ws doctor” suggests one)",
            )
        return self.api_key_pepper.reveal()

    def salt(self) -> str | None:
        """The salt of what is encrypted; None for the platform's own."""
        return None if self.fernet_salt is None else self.fernet_salt.reveal()
