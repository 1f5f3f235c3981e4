"""``openalgo-ws login``: a user's broker credentials, encrypted into the database."""

from __future__ import annotations

from collections.abc import Mapping

import click

from openalgo_ws.accounts.store import NoSuchUser, list_users
from openalgo_ws.accounts.store import login as store_login
from openalgo_ws.adapter import Adapter, AuthRow
from openalgo_ws.cli.brokers import find_adapter
from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.cli.store import opened, vault_of

__all__ = ["login"]


@click.command()
@click.argument("name")
@click.option(
    "--set", "pairs", multiple=True, metavar="FIELD=VALUE", help="A credential, in the broker's own words."
)
@click.option("--ask", is_flag=True, help="Ask for the fields that are not set, without showing them.")
@click.option("--broker", help="The broker (default: the user's own).")
@pass_setup
def login(setup: Setup, name: str, pairs: tuple[str, ...], ask: bool, broker: str | None) -> None:
    """Store a user's broker credentials. A running server takes them up by itself.

    “openalgo-ws adapters” shows which fields a broker needs. What is given with --set stays in the
    shell's history; --ask does not.
    """
    given = _fields(pairs)
    vault = vault_of(setup.settings)
    with opened(setup.settings) as database:
        users = {one.name: one for one in database.call(lambda c: list_users(c, vault))}
        if name not in users:
            raise click.ClickException(f"there is no user {name!r}: openalgo-ws user add {name} --broker …")
        broker = broker or users[name].broker
        if broker is None:
            raise click.ClickException(f"{name} has no broker yet: say --broker")
        adapter = find_adapter(broker)
        _refuse_unknown(adapter, given)
        if ask:
            for field in adapter.credential_fields:
                if field not in given:
                    given[field] = click.prompt(field, hide_input=True)
        columns = _columns(adapter, name, given, setup.settings.broker_environment())
        try:
            database.call(lambda c: store_login(c, vault, name, broker, columns))
        except NoSuchUser:
            raise click.ClickException(f"there is no user {name!r}") from None
    click.echo(f"{name} is logged in to {adapter.title}.")


def _refuse_unknown(adapter: Adapter, given: Mapping[str, str]) -> None:
    known = (*adapter.credential_fields, *adapter.optional_fields)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise click.ClickException(
            f"{adapter.name} has no field {', '.join(unknown)}; there are: {', '.join(known)}"
        )


def _columns(
    adapter: Adapter, user: str, given: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, str]:
    """The row to store, once it is sure that a server can read from it what it needs."""
    columns = adapter.row_for(given)
    row = AuthRow(name=user, broker=adapter.name, **columns)
    stored = adapter.credentials_from(row, environ)
    missing = adapter.missing(stored)
    if missing:
        raise click.ClickException(f"{adapter.name} needs {', '.join(missing)} as well")
    # The platform's form of a row can't hold every field and every text (a separator within one).
    alone = adapter.credentials_from(row, {})
    lost = sorted(field for field in given if given[field] not in (stored.get(field), alone.get(field)))
    if lost:
        raise click.ClickException(
            f"OpenAlgo's row for {adapter.name} can't hold this value of {', '.join(lost)}"
        )
    return columns


def _fields(pairs: tuple[str, ...]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        if not equals or not field:
            # What was given may be a secret by itself.
            raise click.BadParameter("--set wants FIELD=VALUE")
        if not value:
            raise click.BadParameter(f"--set wants FIELD=VALUE; {field!r} has no value")
        fields[field] = value
    return fields
