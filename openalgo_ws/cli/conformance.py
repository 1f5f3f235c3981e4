"""``openalgo-ws conformance FILE…``: run vector files against the installed adapters."""

from __future__ import annotations

from pathlib import Path

import click

from openalgo_ws.conformance import VectorFileError, run_file
from openalgo_ws.registry import Registry

__all__ = ["conformance"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.pass_context
def conformance(context: click.Context, files: tuple[Path, ...]) -> None:
    """Run files of recorded examples (vectors) against the installed adapters.

    Prints one line a case, the differences under a case that failed, and last a count. The exit
    code is 1 if any case failed or a file could not be read.
    """
    registry = Registry()
    passed = failed = 0
    unread = False
    for path in files:
        try:
            results = run_file(path, registry)
        except (OSError, VectorFileError) as problem:
            click.echo(f"ERROR {path}: {problem}", err=True)
            unread = True
            continue
        for result in results:
            click.echo(f"{'ok  ' if result.passed else 'FAIL'} {path.stem} {result.type}: {result.name}")
            for line in result.problems:
                click.echo(f"       {line}")
            passed += result.passed
            failed += not result.passed
    click.echo(f"{passed} passed, {failed} failed")
    if failed or unread:
        context.exit(1)
