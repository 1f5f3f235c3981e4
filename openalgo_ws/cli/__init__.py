"""The ``openalgo-ws`` command. Each subcommand is a module of its own, imported when it is used."""

from openalgo_ws.cli.main import main

__all__ = ["main"]
