"""The adapter of a broker that a command was told of."""

from __future__ import annotations

from collections.abc import Callable

import click

from openalgo_ws.adapter import Adapter
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Registry

__all__ = ["argument_adapter", "find_adapter"]


def find_adapter(name: str) -> Adapter:
    """The adapter of a broker; one clear line if there is none."""
    return _find(name, click.ClickException)


def argument_adapter(broker: str) -> Adapter:
    """The same for a command's argument BROKER, whose usage is shown if there is none."""
    return _find(broker, lambda problem: click.BadParameter(problem, param_hint="BROKER"))


def _find(name: str, unknown: Callable[[str], click.ClickException]) -> Adapter:
    registry = Registry()
    try:
        return registry.load(name)
    except AdapterNotFound as error:
        names = ", ".join(registry.names()) or "none"
        raise unknown(f"{error}; there are: {names}") from None
    except AdapterBroken as error:
        raise click.ClickException(str(error)) from None
