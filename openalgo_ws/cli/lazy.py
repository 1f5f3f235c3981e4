"""A command group that imports a subcommand only when it is used, so that ``--help`` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

__all__ = ["LazyGroup", "Offer"]

#: Where a subcommand is (``module:attribute``), and its line in the group's help.
Offer = tuple[str, str]


class LazyGroup(click.Group):
    """Subcommands by name, in the order in which they are declared."""

    def __init__(self, *args: Any, offers: Mapping[str, Offer], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offers = offers

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._offers)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        offer = self._offers.get(cmd_name)
        if offer is None:
            return None
        module, _, attribute = offer[0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of subcommands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in self._offers.items()])
