"""``openalgo-ws simulate BROKER``: a simulated exchange, served as a broker serves it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from time import time
from typing import Any, NamedTuple

import click
from OpenSSL.crypto import Error as CryptoError
from OpenSSL.SSL import Error as TlsError
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, VerifyError
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import LoopingCall, react

from openalgo_ws.adapter import Adapter
from openalgo_ws.cli.brokers import argument_adapter
from openalgo_ws.config import is_loopback
from openalgo_ws.simulator.book import DEEPEST
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.faults import Faults
from openalgo_ws.simulator.master import write_master
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import LARGEST, localise, universe

__all__ = ["simulate"]

#: Seconds between two states of the status line.
_STATUS_INTERVAL = 2.0


class Plan(NamedTuple):
    """What was asked for on the command line."""

    adapter: Adapter
    host: str
    port: int
    instruments: int
    rate: float
    levels: int
    seed: int | None
    busy: int
    faults: tuple[str, ...]
    master: Path | None
    duration: float | None
    tls: CertificateOptions | None


@click.command()
@click.argument("broker")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Port (default: any free one).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--instruments", type=click.IntRange(1, LARGEST), default=1_000, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1_000_000),
    default=1_000.0,
    show_default=True,
    help="Ticks a second over all instruments.",
)
@click.option(
    "--levels",
    type=click.IntRange(1, DEEPEST),
    help="Levels of each book (default: the most this broker offers).",
)
@click.option("--seed", type=int, help="Repeat a run: the same seed gives the same prices.")
@click.option(
    "--busy",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="The first N instruments, which are the well-known ones, get every other tick.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[=VALUE]",
    help=f"Misbehave (repeatable): {', '.join(Faults.names())}.",
)
@click.option(
    "--master",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the instruments to this file, .csv or .json, in the columns of symtoken.",
)
@click.option("--duration", type=click.FloatRange(0, min_open=True), help="Stop after so many seconds.")
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve TLS with this certificate (PEM).",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The certificate's key (PEM).",
)
def simulate(
    broker: str,
    host: str,
    certificate: Path | None,
    key: Path | None,
    levels: int | None,
    **options: Any,
) -> None:
    """Serve a simulated exchange the way BROKER does, until Ctrl-C.

    Prints the line that points the server here, and the credentials to log in with. Listens on
    this machine alone unless --host says otherwise.
    """
    adapter = argument_adapter(broker)
    if adapter.simulator is None:
        raise click.ClickException(f"{adapter.title} has no simulator")
    for text in options["faults"]:
        try:
            Faults().command(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--fault") from None
    deepest = max((level for some in adapter.depth_levels.values() for level in some), default=5)
    plan = Plan(
        adapter=adapter,
        host=host,
        levels=min(deepest, DEEPEST) if levels is None else levels,
        tls=_tls(certificate, key),
        **options,
    )
    if not is_loopback(host):
        click.echo(f"Warning: {host} can be reached from other machines.", err=True)
    react(lambda reactor: Deferred.fromCoroutine(_run(reactor, plan)))


async def _run(reactor: Any, plan: Plan) -> None:
    broker = _broker(reactor, plan)
    try:
        if plan.master is not None:
            write_master(plan.master, broker.exchange.rows())
        broker.listen(plan.port, plan.host, plan.tls)
    except (OSError, CannotListenError) as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None
    _announce(broker, plan)
    status = LoopingCall(_Status(broker))
    status.clock = reactor
    if sys.stderr.isatty():
        status.start(_STATUS_INTERVAL, now=False)
    # Ctrl-C and SIGTERM end the reactor; whichever way it ends, the port is closed first.
    ended: Deferred[None] = Deferred()
    trigger = reactor.addSystemEventTrigger("before", "shutdown", lambda: _end(broker, status))
    if plan.duration is not None:
        reactor.callLater(plan.duration, ended.callback, None)
    await ended
    reactor.removeSystemEventTrigger(trigger)
    await _end(broker, status)


def _broker(reactor: Any, plan: Plan) -> SimulatedBroker:
    adapter = plan.adapter
    assert adapter.simulator is not None
    environment = SimulatedEnvironment(reactor, start=time() - reactor.seconds(), seed=plan.seed)
    listings = localise(universe(plan.instruments, environment.today(), set(adapter.exchanges)), adapter)
    exchange = Exchange(listings, environment.now, seed=plan.seed, levels=plan.levels, busy=plan.busy)
    broker = SimulatedBroker(adapter.simulator, exchange, reactor, environment, rate=plan.rate)
    for text in plan.faults:
        broker.faults.command(text)
    return broker


def _end(broker: SimulatedBroker, status: LoopingCall) -> Deferred[None]:
    if status.running:
        status.stop()
        click.echo("", err=True)
    return Deferred.fromCoroutine(broker.stop())


def _announce(broker: SimulatedBroker, plan: Plan) -> None:
    """Where it is and how to log in. The credentials open nothing but this simulator."""
    name = plan.adapter.name
    given = " ".join(f"--set {field}={shlex.quote(value)}" for field, value in broker.credentials.items())
    click.echo(f"export {name.upper()}_FEED_URL={broker.url}")
    click.echo(f"# {len(broker.exchange)} instruments, {plan.rate:g} ticks/s. To log in:")
    click.echo(f"openalgo-ws login NAME {given}".rstrip())
    for text in plan.faults:
        click.echo(f"# fault: {text}")
    sys.stdout.flush()


class _Status:
    """Rewrites one line on the terminal."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker
        self._frames = 0

    def __call__(self) -> None:
        journal, connections = self._broker.journal, self._broker.connections
        frames, self._frames = journal.frames_sent - self._frames, journal.frames_sent
        held = sum(served.connection.held() for served in connections)
        line = (
            f"{len(connections)} connections hold {held} instruments, "
            f"{frames / _STATUS_INTERVAL:.0f} frames/s, {len(journal.attempts)} attempts, "
            f"{journal.dropped} dropped"
        )
        click.echo(f"\r\033[K{line}", err=True, nl=False)


def _tls(certificate: Path | None, key: Path | None) -> CertificateOptions | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise click.UsageError("--certificate and --key go together")
    try:
        pem = certificate.read_bytes() + b"\n" + key.read_bytes()
        options: CertificateOptions = PrivateCertificate.loadPEM(pem).options()
        # Fails if the key is not the certificate's.
        options.getContext()
    except (OSError, ValueError, CryptoError, TlsError, VerifyError):
        raise click.ClickException(f"{certificate} and {key} are no certificate with its key") from None
    return options
