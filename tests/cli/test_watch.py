"""What a person sees of live ticks."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from click import UsageError
from click.testing import CliRunner
from rich.console import Console
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol

from openalgo_ws.cli import main
from openalgo_ws.cli.ticker import Board
from openalgo_ws.cli.watch import Watch, url_of
from openalgo_ws.client import (
    AuthenticationFailed,
    ClientCore,
    Disconnected,
    MarketData,
    ServerError,
    SubscriptionFailed,
)
from openalgo_ws.config import Secret, Settings
from openalgo_ws.tick import Mode


def tick(ltp: float = 2500.05, **more: Any) -> MarketData:
    data = {"ltp": ltp, "timestamp": 1_700_000_000_123, **more}
    return MarketData("RELIANCE", "NSE", Mode.DEPTH, "zerodha", data, False)


def result(job: Watch) -> Any:
    return job.done.result if job.done.called else None


def test_it_ends_after_as_many_ticks_as_asked_for() -> None:
    seen: list[MarketData] = []
    job = Watch(seen.append, 2)

    for ltp in (1.0, 2.0, 3.0):
        job.handle(tick(ltp))

    assert [one.data["ltp"] for one in seen] == [1.0, 2.0]
    assert result(job) == 0


def test_a_refused_key_is_said_and_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    job = Watch(print, None)

    job.handle(AuthenticationFailed("AUTHENTICATION_ERROR", "Invalid API key"))

    assert capsys.readouterr().err == "the server refused the key: Invalid API key\n"
    assert result(job) == 1


def test_it_goes_on_while_one_symbol_is_held(capsys: pytest.CaptureFixture[str]) -> None:
    job = Watch(print, None)
    core = job.core = ClientCore(Secret("a key of a test"))
    core.subscribe(["NSE:A", "NSE:B"])

    def refuse(symbol: str) -> None:
        core.unsubscribe([f"NSE:{symbol}"])
        job.handle(SubscriptionFailed(symbol, "NSE", "SYMBOL_NOT_FOUND", "no such symbol"))

    refuse("A")
    assert result(job) is None
    refuse("B")
    assert result(job) == 1
    assert "NSE:A: SYMBOL_NOT_FOUND: no such symbol\n" in capsys.readouterr().err


def test_the_same_thing_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    job = Watch(print, None)

    for _ in range(3):
        job.handle(Disconnected("refused"))
    job.handle(ServerError("BROKER_CONNECTION_ERROR", "the broker said no", "A", "NSE"))

    assert capsys.readouterr().err.splitlines() == [
        "not connected: refused",
        "NSE:A: BROKER_CONNECTION_ERROR: the broker said no",
    ]


def test_a_closed_pipe_ends_it_quietly() -> None:
    def closed(one: MarketData) -> None:
        raise BrokenPipeError

    job = Watch(closed, None)
    job.handle(tick())

    assert result(job) == 0


@pytest.mark.parametrize(("ticks", "code"), [(0, 1), (1, 0)])
def test_without_a_tick_the_end_of_time_is_a_failure(ticks: int, code: int) -> None:
    job = Watch(lambda one: None, None)
    for _ in range(ticks):
        job.handle(tick())

    job.time_is_up()

    assert result(job) == code


def board_on(width: int) -> tuple[Board, Console]:
    """A table of books on a terminal so many columns wide."""
    console = Console(file=io.StringIO(), width=width)
    return Board(console, Mode.DEPTH), console


def drawn(board: Board, console: Console | None = None) -> str:
    console = Console(file=io.StringIO(), width=(console or Console(width=160)).width)
    console.print(board.table())
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_the_table_shows_the_latest_values_and_the_book() -> None:
    board = Board(Console(file=io.StringIO(), width=160), Mode.DEPTH)
    book = {
        "buy": [{"price": 2500.0, "quantity": 1200, "orders": 3}, {"price": 2499.95, "quantity": 7}],
        "sell": [{"price": 2500.1, "quantity": 55}],
    }

    board.update(tick(2400.0))
    board.update(tick(2500.05, change=-12.5, change_percent=-0.5, volume=1234567, depth=book))

    text = drawn(board)
    for shown in ("NSE:RELIANCE", "2,500.05", "-12.50", "1,234,567", "2,500.00 × 1,200", "2,499.95 × 7"):
        assert shown in text
    assert "2,400" not in text
    assert "03:43:20.123" in text  # 22:13:20 UTC


def test_the_table_holds_whatever_a_foreign_publisher_sends() -> None:
    board = Board(Console(file=io.StringIO(), width=160), Mode.DEPTH)

    board.update(tick(1.0, depth=[], change="x", volume=None, open={}, timestamp="now"))
    board.update(MarketData("S", "E", Mode.LTP, None, {"depth": {"buy": [1], "sell": None}}, True))

    assert "E:S" in drawn(board)


def test_a_narrow_terminal_has_fewer_columns_and_whole_prices() -> None:
    board, console = board_on(80)
    levels = [{"price": 2500.05, "quantity": 123_456}] * 5
    day = {"open": 2490.0, "high": 2510.0, "low": 2480.0, "volume": 1_234_567, "oi": 1}

    board.update(tick(2500.05, **day, change_percent=-0.5, depth={"buy": levels, "sell": levels}))

    text = drawn(board, console)
    assert text.count("2,500.05 × 123,456") == 10
    assert "-0.50" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "2,490" not in text


def test_a_symbol_that_is_too_long_is_broken_before_a_price_is() -> None:
    board, console = board_on(46)
    book = {"buy": [{"price": 100.05, "quantity": 1}]}

    board.update(MarketData("A" * 30, "NFO", Mode.DEPTH, None, {"ltp": 1.5, "depth": book}, False))

    text = drawn(board, console)
    assert text.count("A") == 30
    assert "100.05 × 1" in text


def test_a_column_comes_back_when_the_terminal_is_made_wider() -> None:
    board, console = board_on(60)
    board.update(tick(1.0, open=2490.0, volume=1_234_567))
    assert "2,490" not in drawn(board, console)

    console.width = 160

    assert "2,490" in drawn(board, console)


def test_without_a_tick_the_table_says_that_it_waits() -> None:
    assert "waiting for ticks" in drawn(Board(Console(file=io.StringIO()), Mode.LTP))


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (("tcp:9001:interface=127.0.0.1",), "ws://127.0.0.1:9001"),
        (("tcp:port=9001:interface=10.0.0.7",), "ws://10.0.0.7:9001"),
        (("tcp6:9001", "tcp:9002"), "ws://localhost:9001"),
        (("systemd:domain=INET:index=0", "tcp:0", "ssl:8443:privateKey=k.pem"), "wss://localhost:8443"),
    ],
)
def test_a_server_is_found_by_its_endpoints(listen: tuple[str, ...], url: str) -> None:
    assert url_of(Settings(listen=listen)) == url


@pytest.mark.parametrize("endpoint", ["unix:/run/openalgo-ws", "systemd:domain=INET:index=0", "tcp:0"])
def test_a_server_that_could_be_anywhere_must_be_named(endpoint: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        url_of(Settings(listen=(endpoint,)))


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "ws://127.0.0.1:8765"), ("0.0.0.0", "ws://localhost:8765"), ("::1", "ws://[::1]:8765")],
)
def test_the_server_of_this_configuration_is_the_default(host: str, url: str) -> None:
    assert url_of(Settings(websocket_host=host)) == url


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["RELIANCE"], "EXCHANGE:SYMBOL"),
        (["NSE:X", "--url", "ws://example.com"], "--api-key is needed"),
        (["NSE:X", "--url", "http://127.0.0.1"], "not a WebSocket URL"),
        (["NSE:X", "--ca", "/no/such/file"], "No such file"),
        ([], "Missing argument"),
    ],
)
def test_a_mistake_is_explained(arguments: list[str], complaint: str) -> None:
    outcome = CliRunner().invoke(main, ["watch", *arguments])

    assert outcome.exit_code == 2
    assert complaint in outcome.output


class Server(WebSocketServerProtocol):
    """Accepts any key and ticks once for every subscribe."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if json.loads(payload)["action"] == "authenticate":
            reply: dict[str, Any] = {"type": "auth", "status": "success", "user_id": "u", "broker": "b"}
        else:
            head = {"symbol": "RELIANCE", "exchange": "NSE", "mode": 2, "broker": "b"}
            reply = {"type": "market_data", **head, "data": {"ltp": 7.25, "timestamp": 1}}
        self.sendMessage(json.dumps(reply).encode())


class Process(ProcessProtocol):
    """Output and exit code of a process."""

    def __init__(self) -> None:
        self.out = b""
        self.err = b""
        self.ended: Deferred[int] = Deferred()
        self._awaited: tuple[bytes, Deferred[None]] | None = None

    def said(self, text: bytes) -> Deferred[None]:
        """Fires when the process has written this, on whichever channel."""
        found: Deferred[None] = Deferred()
        self._awaited = (text, found)
        self._look()
        return found

    def _look(self) -> None:
        if self._awaited is not None and self._awaited[0] in self.err + self.out:
            (_, found), self._awaited = self._awaited, None
            found.callback(None)

    def outReceived(self, data: bytes) -> None:
        self.out += data
        self._look()

    def errReceived(self, data: bytes) -> None:
        self.err += data
        self._look()

    def processEnded(self, reason: Any) -> None:
        self.ended.callback(0 if reason.check(ProcessDone) else reason.value.exitCode)


def spawned(reactor: Any, arguments: list[str], folder: Any, **environ: str) -> Process:
    """The command in a process of its own, in an empty folder."""
    process = Process()
    command = [sys.executable, "-c", "from openalgo_ws.cli import main; main()", "watch", *arguments]
    reactor.spawnProcess(process, sys.executable, command, env=environ, path=str(folder))
    return process


@pytest_twisted.ensureDeferred
async def test_it_prints_ticks_of_a_server(secret: Callable[[str], str], tmp_path: Any) -> None:
    from twisted.internet import reactor

    factory = WebSocketServerFactory()
    factory.protocol = Server
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    process = spawned(
        reactor,
        ["NSE:RELIANCE", "--json", "--count", "1", "--duration", "30"],
        tmp_path,
        OPENALGO_WS_API_KEY=secret("the-key-of-a-user"),
        WEBSOCKET_PORT=str(port.getHost().port),
    )

    code = await process.ended
    await maybeDeferred(port.stopListening)

    assert (code, process.err) == (0, b"")
    assert json.loads(process.out) == {
        "symbol": "RELIANCE",
        "exchange": "NSE",
        "mode": 2,
        "broker": "b",
        "data": {"ltp": 7.25, "timestamp": 1},
    }


@pytest_twisted.ensureDeferred
async def test_an_interrupt_gives_the_terminal_back(tmp_path: Any) -> None:
    from twisted.internet import reactor

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        process = spawned(
            reactor,
            ["NSE:RELIANCE", "--url", f"ws://127.0.0.1:{closed.getsockname()[1]}"],
            tmp_path,
            TERM="xterm",
            FORCE_COLOR="1",
        )
        await process.said(b"not connected")
        process.transport.signalProcess("INT")

        assert await process.ended == 0

    # The cursor, hidden while the table is live, is shown again.
    hidden, shown = process.out.rfind(b"\x1b[?25l"), process.out.rfind(b"\x1b[?25h")
    assert 0 <= hidden < shown
