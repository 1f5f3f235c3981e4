"""Writes docs/commands.md from the help of the commands.

python docs/commands_reference.py > docs/commands.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from openalgo_ws.cli import main
from openalgo_ws.options import Options

#: Columns of a line of help.
WIDTH = 100

HEAD = """# Commands

<!-- Made by `python docs/commands_reference.py`; edit the commands instead. -->

Two programs: `openalgo-ws` looks after a server, and `twistd openalgo-ws` is the server. Both read the
same [settings](settings.md).
"""

SERVER = """Every [setting](settings.md) is an option as well. Options of twistd itself stand before the name:
`twistd -n --pidfile= --logfile=- openalgo-ws --demo`.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for path, command in _commands(main, "openalgo-ws"):
        context = click.Context(command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH)
        parts.append(f"\n## `{path}`\n\n```\n{command.get_help(context)}\n```\n")
    about, general = Options({}).getUsage(WIDTH).strip().split("\n\n")[:2]
    parts.append(f"\n## `twistd openalgo-ws`\n\n{SERVER}\n```\n{about}\n\n{general}\n```\n")
    return "".join(parts)


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """A command, and those below it, each with its full name."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield from _commands(inner, f"{path} {name}")


if __name__ == "__main__":
    sys.stdout.write(page())
