"""``openalgo-ws doctor``: looks at everything a server needs and says what to do about the rest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.text import Text

from openalgo_ws.cli import findings
from openalgo_ws.cli.findings import Finding, Grade
from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.config import SettingsError
from openalgo_ws.registry import Registry

__all__ = ["doctor"]

_STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


@click.command()
@pass_setup
def doctor(setup: Setup) -> None:
    """Check the whole set-up and say what to do. The exit code is 1 if something is broken."""
    console = Console(soft_wrap=True, highlight=False)
    failed = False
    for grade, text in _examine(setup):
        failed = failed or grade is Grade.FAIL
        console.print(Text.assemble((f"{grade.value:5}", _STYLES[grade]), " ".join(text.splitlines())))
    raise SystemExit(int(failed))


def _examine(setup: Setup) -> Iterator[Finding]:
    from twisted.internet import reactor

    try:
        settings = setup.load().settings
    except SettingsError as error:
        yield Grade.FAIL, f"configuration: {error}"
        return
    yield Grade.OK, "configuration: every value is allowed"
    registry = Registry()
    yield from findings.adapters(registry)
    yield from findings.listening(settings, reactor)
    yield from findings.bus(settings)
    yield from findings.status(settings)
    yield from findings.descriptors(settings)
    yield from findings.files(settings)
    if settings.demo:
        yield Grade.OK, "demo: it brings its own pepper, database, user and exchange"
        return
    vault, finding = findings.pepper(settings)
    yield finding
    yield from findings.database(settings, vault, registry, datetime.now(UTC))
