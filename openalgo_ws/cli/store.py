"""What the commands that work on the database share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, Database, DatabaseUnavailable
from openalgo_ws.config import Settings, SettingsError

__all__ = ["open_database", "opened", "vault_of"]


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database of the settings, with its tables made, for as long as it is needed.

    Raises BadDatabaseUrl and DatabaseUnavailable.
    """
    database = Database(settings.database_url.reveal())
    try:
        database.prepare()
        yield database
    finally:
        database.stop()


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The configured database, for as long as this lasts; one clear line if it can't be used."""
    try:
        with open_database(settings) as database:
            yield database
    except (BadDatabaseUrl, DatabaseUnavailable) as error:
        raise click.ClickException(f"DATABASE_URL: {error}") from None


def vault_of(settings: Settings) -> Vault:
    """What encrypts and hashes; one clear line if there is no pepper."""
    try:
        return Vault(settings.pepper(), settings.salt())
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
