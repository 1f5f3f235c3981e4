"""``openalgo-ws watch``: live ticks of a running server, as a table or as JSON lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec
from rich.console import Console
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall

from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.cli.ticker import Board
from openalgo_ws.client import (
    Authenticated,
    AuthenticationFailed,
    Client,
    Connected,
    Disconnected,
    Event,
    Malformed,
    MarketData,
    Notice,
    ServerError,
    Subscribed,
    SubscriptionFailed,
    parse_symbol,
)
from openalgo_ws.config import Secret, Settings, is_loopback
from openalgo_ws.demo import DEMO_KEY
from openalgo_ws.tick import Mode

__all__ = ["Watch", "watch"]

_MODES = {"ltp": Mode.LTP, "quote": Mode.QUOTE, "depth": Mode.DEPTH}


@click.command()
@click.argument("symbols", nargs=-1, required=True, metavar="EXCHANGE:SYMBOL…")
@click.option("--mode", type=click.Choice(list(_MODES), case_sensitive=False), default="quote")
@click.option("--depth", type=click.IntRange(1, 1000), default=5, help="Levels of the book to ask for.")
@click.option("--json", "as_json", is_flag=True, help="Print one tick a line instead of a table.")
@click.option("--url", help="Server to connect to (default: where this configuration listens).")
@click.option(
    "--api-key",
    envvar="OPENALGO_WS_API_KEY",
    show_envvar=True,
    help="The user's API key (default, on this machine only: the demo's).",
)
@click.option("--ca", type=click.Path(path_type=Path), help="PEM file of authorities to trust (wss://).")
@click.option("--throttle-ms", type=click.IntRange(0), help="Milliseconds between messages of a symbol.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many ticks.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), help="Stop after so many seconds.")
@pass_setup
def watch(
    setup: Setup,
    symbols: tuple[str, ...],
    mode: str,
    depth: int,
    as_json: bool,
    url: str | None,
    api_key: str | None,
    ca: Path | None,
    throttle_ms: int | None,
    count: int | None,
    duration: float | None,
) -> None:
    """Show live ticks of a running server, such as NSE:RELIANCE NSE_INDEX:NIFTY.

    Reconnects when the connection is lost. The exit code is 1 if the key was refused, if no symbol
    could be subscribed, or if the end came (--duration) without a single tick.
    """
    try:
        for text in symbols:
            parse_symbol(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    url = url or url_of(setup.settings)
    roots = _read(ca) if ca is not None else None
    key = api_key or _demo_key(url)

    from twisted.internet import reactor

    board = Board(Console(), _MODES[mode.lower()])
    show = _json_line if as_json else board.update
    job = Watch(reactor, show, count)
    try:
        client = Client(reactor, url, Secret(key), job.handle, trust_roots=roots)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    client.core.subscribe(symbols, _MODES[mode.lower()], depth, throttle_ms)
    code = _run(reactor, client, job, None if as_json else board, duration)
    raise SystemExit(code)


class Watch:
    """Takes the client's events; `done` fires with the exit code.

    ``show`` is called with each tick; after ``count`` of them it is over.
    """

    def __init__(self, reactor: Any, show: Callable[[MarketData], None], count: int | None) -> None:
        self.done: Deferred[int] = Deferred()
        self.ticks = 0
        self._show = show
        self._count = count
        self._said = ""
        self._held = 0

    def handle(self, event: Event | Connected | Disconnected) -> None:
        """One event of the client."""
        match event:
            case MarketData():
                self._tick(event)
            case AuthenticationFailed():
                self._say(f"the server refused the key: {event.message}")
                self.end(1)
            case Disconnected():
                self._held = 0
                self._say(f"not connected: {event.reason}")
            case Authenticated(broker=None):
                self._say("connected; this user has no broker session")
            case Subscribed():
                self._held += 1
                if event.pending:
                    self._say(f"{event.exchange}:{event.symbol} waits for its feed")
            case SubscriptionFailed():
                self._say(f"{event.exchange}:{event.symbol}: {event.code}: {event.message}")
            case ServerError() | Malformed() | Notice():
                self._say(_describe(event))
            case Connected() | Authenticated():
                self._said = ""

    def settled(self, held: int) -> None:
        """What the core still holds after an event; nothing: every symbol was refused."""
        if held == 0:
            self.end(1)

    def end(self, code: int) -> None:
        """It is over; the first code counts."""
        if not self.done.called:
            self.done.callback(code)

    def _tick(self, tick: MarketData) -> None:
        if self.done.called:
            return
        try:
            self._show(tick)
        except BrokenPipeError:
            # Whoever read our output has seen enough (head, for one).
            self.end(0)
            return
        self.ticks += 1
        if self._count is not None and self.ticks >= self._count:
            self.end(0)

    def _say(self, text: str) -> None:
        """Tell the person, on standard error; the same thing once."""
        if text != self._said:
            click.echo(text, err=True)
        self._said = text


def url_of(settings: Settings) -> str:
    """Where a server with these settings can be reached from this machine."""
    for endpoint in settings.listen:
        kind, _, rest = endpoint.partition(":")
        port = rest.partition(":")[0]
        if kind in ("tcp", "ssl") and port.isdigit():
            return f"{'wss' if kind == 'ssl' else 'ws'}://localhost:{port}"
    host = settings.websocket_host
    return f"ws://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{settings.websocket_port}"


def _demo_key(url: str) -> str:
    """The demo's key, which goes to this machine only."""
    host = urlsplit(url).hostname or ""
    if not is_loopback(host):
        raise click.UsageError("--api-key is needed for a server on another machine")
    return DEMO_KEY


def _json_line(tick: MarketData) -> None:
    click.echo(msgspec.json.encode(tick))


def _describe(event: ServerError | Malformed | Notice) -> str:
    match event:
        case ServerError(symbol=None):
            return f"the server says {event.code}: {event.message}"
        case ServerError():
            return f"{event.exchange}:{event.symbol}: {event.code}: {event.message}"
        case Notice():
            return f"feed {event.status}: {event.message}" if event.message else f"feed {event.status}"
    return f"the server sent something that can't be read: {event.reason}"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"can't read {path}: {type(error).__name__}") from error


def _run(reactor: Any, client: Client, job: Watch, board: Board | None, duration: float | None) -> int:
    """Run the reactor until the job is done, the time is over, or Ctrl-C; the exit code."""
    code = 1
    redraw = None if board is None else LoopingCall(board.draw)

    def finished(result: int) -> None:
        nonlocal code
        code = result
        if redraw is not None and redraw.running:
            redraw.stop()
        maybeDeferred(client.stopService).addBoth(lambda _: reactor.stop())

    def begin() -> None:
        client.startService()  # type: ignore[no-untyped-call]
        if redraw is not None:
            redraw.start(0.2)
        if duration is not None:
            reactor.callLater(duration, lambda: job.end(0 if job.ticks else 1))

    job.done.addCallback(finished)
    reactor.callWhenRunning(begin)
    # Ctrl-C is an ordinary end of watching.
    reactor.addSystemEventTrigger("before", "shutdown", lambda: job.end(0))
    with contextlib.nullcontext() if board is None else board.live():
        reactor.run()
    return code
