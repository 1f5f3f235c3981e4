"""``openalgo-ws record``: live ticks of a running server, into a file."""

from __future__ import annotations

import time
from pathlib import Path

import click
from twisted.internet.task import react

from openalgo_ws.cli.progress import Bar, Progressed
from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.cli.watch import MODES, Watch, connection_options, make_client, run_client
from openalgo_ws.recording import Recorder

__all__ = ["record"]

#: Seconds of ticks that are lost if this program is killed.
_FLUSH = 1.0


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("symbols", nargs=-1, required=True, metavar="EXCHANGE:SYMBOL…")
@click.option("--mode", type=click.Choice(list(MODES), case_sensitive=False), default="quote")
@click.option("--depth", type=click.IntRange(1, 1000), default=5, help="Levels of the book to ask for.")
@connection_options
@click.option("--throttle-ms", type=click.IntRange(0), default=0, help="Milliseconds between messages.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many ticks.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), help="Stop after so many seconds.")
@pass_setup
def record(
    setup: Setup,
    file: Path,
    symbols: tuple[str, ...],
    mode: str,
    depth: int,
    url: str | None,
    api_key: str | None,
    ca: Path | None,
    throttle_ms: int,
    count: int | None,
    duration: float | None,
) -> None:
    """Write live ticks to a new FILE such as ticks.jsonl.gz, until Ctrl-C, --count or --duration.

    Reconnects when the connection is lost. The exit code is as for “watch”.
    """
    job = Watch(lambda tick: recorder.write(tick, time.time() * 1000), count)
    client = make_client(setup, job, symbols, url, api_key, ca)
    client.core.subscribe(symbols, MODES[mode.lower()], depth, throttle_ms)
    try:
        recorder = Recorder(file)
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}") from error
    try:
        react(run_client, (client, job, _Progress(recorder, job, count, duration), duration))
    finally:
        try:
            recorder.close()
            click.echo(f"{recorder.ticks:,} ticks in {file}", err=True)
        except OSError as error:
            raise click.ClickException(f"{file}: {error.strerror}") from error


class _Progress:
    """The bar, and what is written to the file once a second."""

    def __init__(self, recorder: Recorder, job: Watch, count: int | None, duration: float | None) -> None:
        self._recorder = recorder
        self._job = job
        self._count = count
        self._duration = duration
        self._began = self._flushed = time.monotonic()
        self._bar = Bar("record", self._state)

    def open(self) -> None:
        self._bar.open()

    def refresh(self) -> None:
        now = time.monotonic()
        if now - self._flushed >= _FLUSH:
            self._flushed = now
            try:
                self._recorder.flush()
            except OSError as error:
                self._job.failed(error)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()

    def _state(self) -> Progressed:
        said = f"{self._recorder.ticks:,} ticks"
        if self._count is not None:
            return self._recorder.ticks, self._count, said
        return time.monotonic() - self._began, self._duration, said
