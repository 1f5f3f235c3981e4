"""``openalgo-ws adapters``: the brokers and what they offer."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from openalgo_ws.adapter import Adapter
from openalgo_ws.registry import Registry

__all__ = ["adapters", "table_of"]


@click.command()
@click.pass_context
def adapters(context: click.Context) -> None:
    """Show the installed adapters: limits, depth levels, exchanges and credentials of each broker.

    Limits are given per feed, as connections × instruments on each. The exit code is 1 if an
    installed adapter can't be used.
    """
    found, broken = Registry().all()
    console = Console()
    console.print(table_of(list(found.values())))
    for problem in broken:
        click.echo(f"{problem}", err=True)
    if broken:
        context.exit(1)


def table_of(adapters: list[Adapter]) -> Table:
    """One row a broker."""
    table = Table(title=f"{len(adapters)} adapters", title_justify="left", show_lines=True)
    for column in ("broker", "limits", "depth levels", "exchanges", "credentials"):
        table.add_column(column, overflow="fold")
    for adapter in adapters:
        table.add_row(
            f"[bold]{adapter.name}[/bold]\n{adapter.title}",
            _limits(adapter),
            _depth(adapter),
            " ".join(sorted(adapter.exchanges)),
            _credentials(adapter),
        )
    return table


def _limits(adapter: Adapter) -> str:
    lines = []
    for feed in adapter.feeds:
        limits = feed.limits
        text = f"{limits.connections} × {limits.per_connection}" if feed.market else "orders"
        if feed.market and limits.per_account is not None:
            text += f", {limits.per_account} in all"
        lines.append(f"{feed.name}: {text}" if len(adapter.feeds) > 1 else text)
    return "\n".join(lines)


def _depth(adapter: Adapter) -> str:
    """The levels by exchange; what holds for most exchanges first."""
    lines = []
    for exchange in sorted(adapter.depth_levels):
        levels = ", ".join(str(level) for level in adapter.depth_levels[exchange]) or "none"
        lines.append(f"{exchange}: {levels}" if exchange else levels)
    return "\n".join(lines)


def _credentials(adapter: Adapter) -> str:
    optional = [f"[dim]{name}[/dim]" for name in adapter.optional_fields]
    return "\n".join([*adapter.credential_fields, *optional])
