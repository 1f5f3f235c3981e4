"""The pages of the project lead somewhere, and speak of options that there are."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from docs.brokers_table import page as brokers_page
from openalgo_ws.cli import main
from openalgo_ws.options import Options

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
#: `ows` is how docs/deploy.md abbreviates it.
COMMAND = re.compile(
    r"^(?:\.venv/bin/|docker compose .* exec gateway )?(openalgo-ws|ows|twistd -n openalgo-ws)\b(.*)$",
    re.MULTILINE,
)
#: A file that an administrator is told to use; what follows is for the shell.
DEPLOYED = re.compile(r"\bdeploy/([A-Za-z][\w./-]*\w)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]

    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert missing == []


def test_the_table_of_brokers_is_current() -> None:
    written = (ROOT / "docs" / "brokers.md").read_text()
    assert written == brokers_page(), "run python docs/brokers_table.py > docs/brokers.md"


def test_what_is_to_be_installed_is_there() -> None:
    named = {name for page in PAGES for name in DEPLOYED.findall(page.read_text())}

    assert len(named) >= 6
    assert [name for name in named if not (ROOT / "deploy" / name).exists()] == []


def commands() -> list[tuple[str, list[str]]]:
    """The lines in the pages that call a command of ours: (command, words)."""
    found = []
    for page in PAGES:
        for command, rest in COMMAND.findall(page.read_text()):
            found.append(("openalgo-ws" if command == "ows" else command, rest.partition("#")[0].split()))
    return found


def test_the_commands_in_the_pages_exist() -> None:
    assert len(commands()) >= 10
    server = set(Options({}).synonyms)
    for command, words in commands():
        options = {word.removeprefix("--").partition("=")[0] for word in words if word.startswith("--")}
        if command != "openalgo-ws":
            assert options <= server, words
            continue
        group: click.Command = main
        context = click.Context(main)
        known: set[str] = set()
        for word in words:
            if isinstance(group, click.Group) and not word.startswith("-"):
                inner = group.get_command(context, word)
                if inner is None:
                    continue  # the value of an option of the group
                group = inner
        for parameter in (*main.params, *group.params):
            known |= {option.removeprefix("--") for option in parameter.opts}
        assert group is not main, words
        assert options <= known, words
