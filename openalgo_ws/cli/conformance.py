"""``openalgo-ws conformance FILE…``: run vector files against the installed adapters."""

from __future__ import annotations

from pathlib import Path

import click

from openalgo_ws.conformance import CaseResult, VectorFileError, run_file
from openalgo_ws.registry import Registry

__all__ = ["conformance"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option("-v", "--verbose", is_flag=True, help="Show every difference, not only the first of a case.")
@click.pass_context
def conformance(context: click.Context, files: tuple[Path, ...], verbose: bool) -> None:
    """Run files of recorded examples (vectors) against the installed adapters.

    Prints one line a case and last a count. The exit code is 1 if any case failed or a file could
    not be read.
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
            click.echo(_line(path.stem, result))
            if verbose:
                for difference in result.problems:
                    click.echo(f"       {difference}")
            passed += result.passed
            failed += not result.passed
    click.echo(f"{passed} passed, {failed} failed")
    if failed or unread:
        context.exit(1)


def _line(file: str, result: CaseResult) -> str:
    """The outcome of a case on one line, whatever is in its name and its first problem."""
    line = f"{'ok  ' if result.passed else 'FAIL'} {file} {result.type}: {result.name}"
    if result.problems:
        line += f" | {result.problems[0]}"
    if len(result.problems) > 1:
        line += f" (and {len(result.problems) - 1} more)"
    return " ".join(line.split("\n"))
