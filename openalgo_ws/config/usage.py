"""The settings as text: grouped help for a terminal, and the reference table of the docs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from openalgo_ws.config.declare import Declaration
from openalgo_ws.config.kinds import Flag
from openalgo_ws.config.settings import DECLARATIONS

__all__ = ["help_text", "markdown", "usage_of"]

#: An option in the help: how it is written, and what it does.
Entry = tuple[str, str]


def usage_of(declaration: Declaration) -> str:
    """How the option is written on the command line."""
    if isinstance(declaration.kind, Flag):
        return f"--[no-]{declaration.option}"
    return f"--{declaration.option} {declaration.kind.metavar}"


def help_text(general: Sequence[Entry], width: int) -> str:
    """All options, grouped, one paragraph each, wrapped to ``width`` columns."""
    lines = ["", "General"]
    for entry in general:
        lines += _paragraph(entry, width)
    for group, declarations in groupby(DECLARATIONS, key=lambda one: one.group):
        lines += ["", group]
        for declaration in declarations:
            lines += _paragraph((usage_of(declaration), _described(declaration)), width)
    return "\n".join(lines) + "\n"


def _described(declaration: Declaration) -> str:
    facts = [declaration.variable]
    if declaration.repeatable:
        facts.append("repeatable")
    if declaration.shown_default:
        facts.append(f"default: {declaration.shown_default}")
    return f"{declaration.help} [{'; '.join(facts)}]"


def _paragraph(entry: Entry, width: int) -> list[str]:
    usage, text = entry
    indent = " " * 8
    body = textwrap.wrap(
        text, max(width, 40), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    return [f"  {usage}", *body]


def markdown() -> str:
    """The reference page of all settings (``docs/settings.md``)."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from _INTRODUCTION.splitlines()
    for group, declarations in groupby(DECLARATIONS, key=lambda one: one.group):
        yield from ("", f"## {group}", "")
        yield from _table(declarations)


def _table(declarations: Iterable[Declaration]) -> Iterator[str]:
    yield "| variable | option | default | allowed | |"
    yield "|---|---|---|---|---|"
    for one in declarations:
        default = one.shown_default
        if default and one.default_text is None:
            default = f"`{default}`"
        cells = (
            f"`{one.variable}`",
            f"`{usage_of(one)}`" + (", repeatable" if one.repeatable else ""),
            default or "none",
            one.kind.allowed,
            one.help,
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


_INTRODUCTION = """\
# Settings

<!-- Made by `python -m openalgo_ws.config`; edit `openalgo_ws/config/settings/` instead. -->

Every setting is an environment variable, a line of a `.env` file and an option of
`twistd openalgo-ws`. An option wins over the environment, the environment over the file, the
file over the default. The file is `.env` in the working directory, or the one that `--config`
names; relative paths in it start from its own directory. An empty variable counts as not set.

A value that isn't allowed stops the start with one line that names it and exit code 1. Secrets
are better kept in the file or the environment than in options, which other users of the machine
can see.

`<BROKER>` stands for a broker's name in capitals: `ZERODHA_FEED_URL`. As an option the name goes
into the value: `--feed-url zerodha=ws://127.0.0.1:9000`."""
