"""``openalgo-ws user``: who may connect."""

from __future__ import annotations

import shlex

import click
from rich.console import Console
from rich.table import Table

from openalgo_ws.accounts.store import (
    NoSuchUser,
    UserExists,
    add_user,
    delete_user,
    list_users,
    replace_key,
)
from openalgo_ws.cli.brokers import find_adapter
from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.cli.store import opened, vault_of

__all__ = ["user"]


@click.group()
def user() -> None:
    """Add, list and delete users; replace their API keys."""


@user.command()
@click.argument("name")
@click.option("--broker", required=True, help="The broker whose feed serves this user.")
@pass_setup
def add(setup: Setup, name: str, broker: str) -> None:
    """Add a user. The last line printed is the API key; it is not shown again."""
    if not name.isprintable() or name != name.strip() or not name:
        raise click.BadParameter("a name has visible characters, and no blanks around them")
    find_adapter(broker)
    vault = vault_of(setup.settings)
    with opened(setup.settings) as database:
        try:
            key = database.call(lambda connection: add_user(connection, vault, name, broker))
        except UserExists:
            raise click.ClickException(f"there is a user {name!r} already") from None
    click.echo(f"User {name} on {broker}. Next: openalgo-ws login {shlex.quote(name)} --ask")
    click.echo(key)


@user.command("list")
@pass_setup
def list_(setup: Setup) -> None:
    """Show all users."""
    vault = vault_of(setup.settings)
    with opened(setup.settings) as database:
        users = database.call(lambda connection: list_users(connection, vault))
    table = Table(title=f"{len(users)} users", title_justify="left")
    for column in ("user", "broker", "API key", "broker session"):
        table.add_column(column)
    for one in users:
        table.add_row(
            one.name, one.broker or "", "yes" if one.has_key else "no", "yes" if one.logged_in else "no"
        )
    Console().print(table)


@user.command()
@click.argument("name")
@pass_setup
def key(setup: Setup, name: str) -> None:
    """Replace a user's API key. The old one is void at once, and its open connections end."""
    vault = vault_of(setup.settings)
    with opened(setup.settings) as database:
        try:
            click.echo(database.call(lambda connection: replace_key(connection, vault, name)))
        except NoSuchUser:
            raise click.ClickException(f"there is no user {name!r}") from None


@user.command()
@click.argument("name")
@pass_setup
def delete(setup: Setup, name: str) -> None:
    """Delete a user with the key and the broker session."""
    with opened(setup.settings) as database:
        try:
            database.call(lambda connection: delete_user(connection, name))
        except NoSuchUser:
            raise click.ClickException(f"there is no user {name!r}") from None
    click.echo(f"User {name} is deleted.")
