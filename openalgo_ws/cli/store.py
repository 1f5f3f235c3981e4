"""What the commands that work on the database share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, Database, DatabaseUnavailable
from openalgo_ws.adapter import Adapter
from openalgo_ws.config import Settings, SettingsError
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Registry

__all__ = ["find_adapter", "opened", "vault_of"]


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The configured database, for as long as this lasts; one clear line if it can't be used."""
    try:
        database = Database(settings.database_url.reveal())
        try:
            database.prepare()
            yield database
        finally:
            database.stop()
    except (BadDatabaseUrl, DatabaseUnavailable) as error:
        raise click.ClickException(f"DATABASE_URL: {error}") from None


def vault_of(settings: Settings) -> Vault:
    """What encrypts and hashes; one clear line if there is no pepper."""
    salt = settings.fernet_salt
    try:
        return Vault(settings.pepper(), None if salt is None else salt.reveal())
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def find_adapter(name: str) -> Adapter:
    """The adapter of a broker; one clear line if there is none."""
    registry = Registry()
    try:
        return registry.load(name)
    except AdapterNotFound as error:
        known = ", ".join(registry.names())
        raise click.ClickException(f"{error}; there are: {known}") from None
    except AdapterBroken as error:
        raise click.ClickException(str(error)) from None
