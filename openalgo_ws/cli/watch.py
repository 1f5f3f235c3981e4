"""``openalgo-ws watch``: live ticks of a running server, as a table or as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import click
import msgspec
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from openalgo_ws.cli.listening import listening_of
from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.cli.ticker import Board
from openalgo_ws.client import (
    Authenticated,
    AuthenticationFailed,
    Client,
    ClientCore,
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

__all__ = ["MODES", "Screen", "Watch", "connection_options", "make_client", "run_client", "url_of", "watch"]

F = TypeVar("F", bound=Callable[..., Any])

#: Listening there is listening on all addresses.
_ANY = ("", "0.0.0.0", "::")

MODES = {"ltp": Mode.LTP, "quote": Mode.QUOTE, "depth": Mode.DEPTH}


_CONNECTION_OPTIONS = (
    click.option("--url", help="Server to connect to (default: where this configuration listens)."),
    click.option(
        "--api-key",
        envvar="OPENALGO_WS_API_KEY",
        show_envvar=True,
        help="The user's API key (default, on this machine only: the demo's).",
    ),
    click.option("--ca", type=click.Path(path_type=Path), help="PEM file of authorities to trust (wss://)."),
)


def connection_options(function: F) -> F:
    """The options of a command that is a client: --url, --api-key, --ca."""
    for option in reversed(_CONNECTION_OPTIONS):
        function = option(function)
    return function


class Screen(Protocol):
    """What a person sees meanwhile."""

    def open(self) -> None: ...

    def refresh(self) -> None: ...

    def close(self) -> None: ...


@click.command()
@click.argument("symbols", nargs=-1, required=True, metavar="EXCHANGE:SYMBOL…")
@click.option("--mode", type=click.Choice(list(MODES), case_sensitive=False), default="quote")
@click.option("--depth", type=click.IntRange(1, 1000), default=5, help="Levels of the book to ask for.")
@click.option("--json", "as_json", is_flag=True, help="Print one tick a line instead of a table.")
@connection_options
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
    board = Board(Console(), MODES[mode.lower()])
    job = Watch(_json_line if as_json else board.update, count)
    client = make_client(setup, job, symbols, url, api_key, ca)
    client.core.subscribe(symbols, MODES[mode.lower()], depth, throttle_ms)
    react(run_client, (client, job, None if as_json else board, duration))


def make_client(
    setup: Setup,
    job: Watch,
    symbols: Sequence[str],
    url: str | None,
    api_key: str | None,
    ca: Path | None,
) -> Client:
    """A client as the options of a command say; its events go to ``job``. UsageError for a mistake."""
    try:
        for text in symbols:
            parse_symbol(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    url = url or url_of(setup.settings)
    roots = _read(ca) if ca is not None else None
    key = api_key or _demo_key(url)

    from twisted.internet import reactor

    try:
        client = Client(reactor, url, Secret(key), job.handle, trust_roots=roots)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    job.core = client.core
    return client


async def run_client(
    reactor: Any, client: Client, job: Watch, board: Screen | None, duration: float | None
) -> None:
    """Run the client until the job is done; SystemExit with its exit code."""
    timer = None if duration is None else reactor.callLater(duration, job.time_is_up)
    screen = None if board is None else LoopingCall(board.refresh)
    if board is not None and screen is not None:
        board.open()
        screen.clock = reactor
        screen.start(0.2)
    # Ctrl-C is an ordinary end of watching; the terminal must be given back.
    reactor.addSystemEventTrigger("before", "shutdown", job.end, 0)
    client.startService()  # type: ignore[no-untyped-call]
    try:
        code = await job.done
    finally:
        if timer is not None and timer.active():
            timer.cancel()
        if board is not None and screen is not None:
            screen.stop()
            board.close()
        await client.stopService()
    raise SystemExit(code)


class Watch:
    """Takes the client's events; `done` fires with the exit code.

    ``show`` is called with each tick; after ``count`` of them it is over. `core` is the client's.
    """

    def __init__(self, show: Callable[[MarketData], None], count: int | None) -> None:
        self.done: Deferred[int] = Deferred()
        self.core: ClientCore | None = None
        self.ticks = 0
        self._show = show
        self._count = count
        self._said = ""

    def handle(self, event: Event | Connected | Disconnected) -> None:
        """One event of the client."""
        match event:
            case MarketData():
                self._tick(event)
            case AuthenticationFailed():
                self._say(f"the server refused the key: {event.message}")
                self.end(1)
            case SubscriptionFailed():
                self._say(f"{event.exchange}:{event.symbol}: {event.code}: {event.message}")
                if self.core is not None and not self.core.held:
                    self.end(1)
            case _:
                text = _describe(event)
                if text is not None:
                    self._say(text)

    def time_is_up(self) -> None:
        """It has lasted as long as was asked for."""
        self.end(0 if self.ticks else 1)

    def _tick(self, tick: MarketData) -> None:
        if self.done.called:
            return
        try:
            self._show(tick)
        except BrokenPipeError:
            # Whoever read our output has seen enough (head, for one).
            self.end(0)
            return
        except OSError as error:
            self.failed(error)
            return
        self.ticks += 1
        if self._count is not None and self.ticks >= self._count:
            self.end(0)

    def failed(self, error: OSError) -> None:
        """What came can't be shown or kept any more: say so, and end."""
        self._say(f"what came can't be kept: {error.strerror}")
        self.end(1)

    def end(self, code: int) -> None:
        """It is over; the first code counts."""
        if not self.done.called:
            self.done.callback(code)

    def _say(self, text: str) -> None:
        """Tell the person, on standard error, and not the same thing twice in a row."""
        if not self.done.called and text != self._said:
            click.echo(text, err=True)
            self._said = text


def _describe(event: Event | Connected | Disconnected) -> str | None:
    """What a person wants to hear of an event, if anything."""
    match event:
        case Disconnected(reason):
            return f"not connected: {reason}"
        case Authenticated(broker=None):
            return "connected; this user has no broker session"
        case Subscribed(pending=True):
            return f"{event.exchange}:{event.symbol} waits for its feed"
        case ServerError():
            about = f"{event.exchange}:{event.symbol}: " if event.symbol else ""
            return f"{about}{event.code}: {event.message}"
        case Notice():
            return f"feed {event.broker}: {event.status} {event.message}".rstrip()
        case Malformed():
            return event.reason
        case _:
            return None


def url_of(settings: Settings) -> str:
    """Where a client on this machine reaches a server of this configuration.

    That is the first TCP port it listens on; UsageError if none is known (systemd, port 0).
    """
    for listening in map(listening_of, settings.endpoints()):
        if listening is not None and listening.port:
            host = "localhost" if listening.host in _ANY else listening.host
            if ":" in host:
                host = f"[{host}]"
            return f"{'wss' if listening.tls else 'ws'}://{host}:{listening.port}"
    raise click.UsageError("where this configuration listens is not known: say --url")


def _demo_key(url: str) -> str:
    """The demo's key, for a server on this machine alone."""
    if not is_loopback(urlsplit(url).hostname or ""):
        raise click.UsageError("--api-key is needed (or the variable OPENALGO_WS_API_KEY)")
    return DEMO_KEY


def _json_line(tick: MarketData) -> None:
    """Print a tick as one line of JSON."""
    line: dict[str, Any] = {
        "symbol": tick.symbol,
        "exchange": tick.exchange,
        "mode": tick.mode,
        "broker": tick.broker,
        **({"snapshot": True} if tick.snapshot else {}),
        "data": tick.data,
    }
    out = sys.stdout.buffer
    out.write(msgspec.json.encode(line) + b"\n")
    out.flush()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}") from error
