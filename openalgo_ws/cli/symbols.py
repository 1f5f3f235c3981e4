"""``openalgo-ws symbols``: load, update and search instrument masters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
)
from rich.table import Table
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, DatabaseUnavailable
from openalgo_ws.accounts.sessions import read_session
from openalgo_ws.adapter import Adapter
from openalgo_ws.cli.brokers import argument_adapter
from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.cli.store import open_database
from openalgo_ws.config import Settings, SettingsError
from openalgo_ws.symbols.loader import MAX_FILE, Master, MasterError, Report, describe, parse
from openalgo_ws.symbols.store import Found, NotOurs, Stored, find, replace, stored
from openalgo_ws.symbols.update import Downloaded, Downloader, download

__all__ = ["symbols"]

T = TypeVar("T")

#: Columns of a terminal from which on the table of instruments has all of its own.
_WIDE = 110
#: Columns where the output is not a terminal.
_PIPE = 200

#: Rows left out that are described without ``--verbose``.
_SHOWN = 10


@click.group()
def symbols() -> None:
    """Load, update and search instrument masters.

    A broker's master says which token its feed knows a symbol by. It is new every morning; a
    running server follows a load or update within a minute. In an OpenAlgo installation's database
    the platform loads the instruments, and only “search” works.
    """


@symbols.command()
@click.argument("broker")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("-v", "--verbose", is_flag=True, help="Describe every row that was left out.")
@pass_setup
def load(setup: Setup, broker: str, files: tuple[Path, ...], verbose: bool) -> None:
    """Load a broker's instruments from its files, plain, gzip or zip.

    Give all files of the broker at once: together they replace what was loaded before. A row that
    is broken is reported with its line, and the rest loads. If a file can't be read at all, nothing
    is replaced.
    """
    adapter = argument_adapter(broker)
    with _progress() as bars, _errors():
        contents = ((path.name, _content(path)) for path in files)
        master = _parsed(adapter, contents, bars)
        _stored(setup.settings, adapter, master, bars)
    _tell(adapter, master.report, verbose)


@symbols.command()
@click.argument("broker")
@click.option(
    "--user", metavar="NAME", help="Fetch with this user's login. Most brokers give their files to everybody."
)
@click.option(
    "--partial", is_flag=True, help="Load what came even if a file is missing: its exchanges are then gone."
)
@click.option("-v", "--verbose", is_flag=True, help="Describe every row that was left out.")
@pass_setup
def update(setup: Setup, broker: str, user: str | None, partial: bool, verbose: bool) -> None:
    """Fetch a broker's instruments from the broker and load them."""
    adapter = argument_adapter(broker)
    with _progress() as bars, _errors():
        credentials = {} if user is None else _credentials(setup.settings, adapter, user)
        came = _fetched(adapter, credentials, bars)
        for error in came.failed:
            bars.console.print(escape(str(error)), style="red", highlight=False)
        if came.failed and not (partial and came.files):
            raise click.ClickException("nothing was loaded; what was there before stays")
        master = _parsed(adapter, came.files, bars)
        _stored(setup.settings, adapter, master, bars)
    _tell(adapter, master.report, verbose)


@symbols.command()
@click.argument("text", nargs=-1, required=True)
@click.option("--broker", help="Only this broker's.")
@click.option("--exchange", help="Only on this exchange, such as NSE or NFO.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Most instruments to show of each broker.",
)
@pass_setup
def search(setup: Setup, text: tuple[str, ...], broker: str | None, exchange: str | None, limit: int) -> None:
    """Find instruments by words of their symbol or name, such as “nifty 26000 ce”.

    The best come first. The exit code is 1 if nothing was found.
    """
    words = " ".join(text)
    with _errors(), open_database(setup.settings) as database:
        found, there = database.call(
            lambda connection: (
                find(
                    connection,
                    words,
                    broker=broker,
                    exchange=exchange.upper() if exchange else None,
                    limit=limit,
                ),
                stored(connection),
            )
        )
    if not found:
        click.echo(_nothing(words, broker, there), err=True)
        raise SystemExit(1)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE)
    console.print(table_of(found, wide=console.width >= _WIDE))


def table_of(found: Sequence[Found], wide: bool) -> Table:
    """One row an instrument; the broker's symbol and the name only where there is room."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in ("broker", "exchange", "symbol", "token"):
        table.add_column(column, overflow="fold", no_wrap=column == "symbol")
    for column in ("expiry", "strike", "lot", "tick"):
        table.add_column(column, justify="right", no_wrap=True)
    if wide:
        table.add_column("broker's symbol", overflow="fold")
        table.add_column("name", overflow="fold")
    for one in found:
        row = one.row
        cells = [one.broker, row.exchange, row.symbol, row.token, row.expiry]
        cells += [f"{number:.10g}" if number else "" for number in (row.strike, row.lotsize, row.tick_size)]
        table.add_row(*map(escape, [*cells, row.brsymbol, row.name] if wide else cells))
    return table


@contextmanager
def _errors() -> Iterator[None]:
    """What can go wrong, in one line and exit code 1."""
    try:
        yield
    except BadDatabaseUrl as error:
        raise click.ClickException(f"DATABASE_URL: {error}") from None
    except (DatabaseUnavailable, MasterError, NotOurs, SettingsError) as error:
        raise click.ClickException(str(error)) from None


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        console=Console(stderr=True),
        transient=True,
    )


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise MasterError(f"{path.name}: {error.strerror}") from None
    if len(content) > MAX_FILE:
        raise MasterError(f"{path.name}: larger than {MAX_FILE // 2**20} MB")
    return content


def _parsed(adapter: Adapter, files: Any, bars: Progress) -> Master:
    task = bars.add_task("reading", total=None, count="")
    try:
        return parse(
            adapter,
            files,
            lambda name, rows: bars.update(
                task, description=f"reading {escape(name)}", count=f"{rows:,} rows"
            ),
        )
    finally:
        bars.remove_task(task)


def _stored(settings: Settings, adapter: Adapter, master: Master, bars: Progress) -> None:
    total = len(master.rows)
    task = bars.add_task("storing", total=total, count="")
    with open_database(settings) as database:
        database.call(
            lambda connection: replace(
                connection,
                adapter.name,
                master.rows,
                lambda rows: bars.update(task, completed=rows, count=f"{rows:,} rows"),
            )
        )


def _fetched(adapter: Adapter, credentials: Mapping[str, str], bars: Progress) -> Downloaded:
    tasks: dict[str, Any] = {}

    def progress(name: str, size: int, total: int | None) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(f"fetching {escape(name)}", total=total, count="")
        bars.update(tasks[name], completed=size, count=f"{size / 2**20:.1f} MB")

    def flow(reactor: Any) -> Awaitable[Downloaded]:
        return download(Downloader(reactor), adapter, credentials, progress)

    return _run(flow)


def _run(flow: Callable[[Any], Awaitable[T]]) -> T:
    """Run a flow on the reactor, which serves this one and is then used up."""
    outcome: list[T | Failure] = []

    def main(reactor: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(_awaited(flow(reactor))).addBoth(outcome.append)

    try:
        react(main)
    except SystemExit:
        if not outcome:
            raise click.Abort from None
    (result,) = outcome
    if isinstance(result, Failure):
        result.raiseException()
    return result


async def _awaited(flow: Awaitable[T]) -> T:
    return await flow


def _credentials(settings: Settings, adapter: Adapter, user: str) -> dict[str, str]:
    vault = Vault(settings.pepper(), settings.salt())
    with open_database(settings) as database:
        row = database.call(lambda connection: read_session(connection, vault, user))
    if row is None or row.broker != adapter.name:
        raise click.ClickException(
            f"{user} has no session with {adapter.title}: use “openalgo-ws login” first"
        )
    credentials = adapter.credentials_from(row, settings.broker_environment())
    missing = adapter.missing(credentials)
    if missing:
        raise click.ClickException(f"the session of {user} lacks {', '.join(missing)}")
    return credentials


def _tell(adapter: Adapter, report: Report, verbose: bool) -> None:
    """What was loaded, on standard output; what was left out, on standard error."""
    for count, what, items in (
        (report.bad, "broken", report.faults),
        (report.repeated, "repeated", report.duplicates),
    ):
        if count:
            rows = "row" if count == 1 else "rows"
            click.echo(f"{count:,} {what} {rows} left out:", err=True)
            for line in describe(items if verbose else items[:_SHOWN], count):
                click.echo(f"  {line}", err=True)
    total = sum(report.files.values())
    exchanges = ", ".join(f"{name} {count:,}" for name, count in sorted(report.exchanges.items()))
    click.echo(f"{adapter.title}: {total:,} instruments loaded ({exchanges})")


def _nothing(words: str, broker: str | None, there: Sequence[Stored]) -> str:
    known = [one.broker for one in there if one.rows]
    if broker is not None and broker not in known:
        return f"there are no instruments of {broker}: use “openalgo-ws symbols update {broker}”"
    if not known:
        return "there are no instruments yet: use “openalgo-ws symbols update BROKER”"
    return f"nothing found for “{words}”"
