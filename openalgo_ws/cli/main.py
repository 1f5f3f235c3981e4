"""The command group ``openalgo-ws``."""

from __future__ import annotations

import os

import click

from openalgo_ws import __version__
from openalgo_ws.cli.lazy import LazyGroup
from openalgo_ws.cli.setup import Setup

__all__ = ["main"]

_OFFERS = {
    "user": ("openalgo_ws.cli.users:user", "Add, list and delete users; replace their API keys."),
    "login": ("openalgo_ws.cli.login:login", "Store a user's broker credentials."),
    "symbols": ("openalgo_ws.cli.symbols:symbols", "Load and search instrument masters."),
    "adapters": ("openalgo_ws.cli.adapters:adapters", "Show the brokers and what they offer."),
    "watch": ("openalgo_ws.cli.watch:watch", "Show live ticks of a running server."),
    "record": ("openalgo_ws.cli.record:record", "Write live ticks of a running server to a file."),
    "replay": ("openalgo_ws.cli.replay:replay", "Feed a gateway with recorded ticks."),
    "simulate": ("openalgo_ws.cli.simulate:simulate", "Serve a simulated exchange as a broker does."),
    "conformance": ("openalgo_ws.cli.conformance:conformance", "Check adapters against recorded examples."),
    "doctor": ("openalgo_ws.cli.doctor:doctor", "Check the whole set-up and say what to do."),
}


@click.group(cls=LazyGroup, offers=_OFFERS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "--env-file",
    "config",
    metavar="FILE",
    help="File of NAME=value lines to read instead of .env in the working directory.",
)
@click.version_option(__version__, prog_name="openalgo-ws")
@click.pass_context
def main(context: click.Context, config: str | None) -> None:
    """Look after a market-data gateway: users, credentials, instruments, checks.

    The server itself is started with “twistd -n openalgo-ws”. Both read the same settings, from
    the environment and a .env file.
    """
    context.obj = Setup(config, os.environ)
