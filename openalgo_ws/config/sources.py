"""Where settings come from: command line over environment over file over default."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values

from openalgo_ws.config.check import check
from openalgo_ws.config.composite import ListOf, MapOf
from openalgo_ws.config.declare import BROKER, Declaration
from openalgo_ws.config.errors import NotAllowed, SettingsError
from openalgo_ws.config.kinds import expanded
from openalgo_ws.config.settings import DECLARATIONS, Settings

__all__ = ["DEFAULT_FILE", "Loaded", "find_file", "load", "read_file"]

#: Read from the working directory when no other file is named.
DEFAULT_FILE = ".env"


@dataclass(frozen=True)
class Loaded:
    """Settings and where each came from (attribute → ``--option``, ``environment``, file, ``default``)."""

    settings: Settings
    sources: Mapping[str, str]
    #: The file that was read, if any.
    file: Path | None = None
    #: Names that the file sets.
    in_file: frozenset[str] = frozenset()


def find_file(named: str | None) -> Path | None:
    """The configuration file: the one named (SettingsError if it can't be read), else ``.env`` if any."""
    if named is None:
        default = Path(DEFAULT_FILE)
        return default if default.is_file() else None
    try:
        path = expanded(named)
        if path.is_file() and os.access(path, os.R_OK):
            return path
    except ValueError:
        pass
    raise SettingsError("--config", named, "allowed is a file that can be read")


def read_file(path: Path) -> dict[str, str]:
    """The variables of a ``.env`` file; SettingsError if it can't be read or a line is no assignment."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), None, "can't be read as a file of NAME=value lines") from error
    values = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def load(
    options: Mapping[str, Sequence[str]],
    environ: Mapping[str, str],
    file: Path | None = None,
) -> Loaded:
    """Make settings from their sources.

    ``options`` holds, by attribute, the texts given on the command line; ``environ`` is the real
    environment. An empty variable counts as not set. Raises SettingsError for the first value
    that isn't allowed, whichever source it is in, and for values that contradict each other.
    """
    in_file = read_file(file) if file is not None else {}
    directory = file.parent if file is not None else Path()
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for declaration in DECLARATIONS:
        given = options.get(declaration.attribute)
        name, source = declaration.attribute, "default"
        if given:
            values[name], source = _from_texts(declaration, given), f"--{declaration.option}"
        elif declaration.per_broker:
            from_file = _per_broker(declaration, in_file, directory)
            from_environment = _per_broker(declaration, environ, Path())
            if from_file or from_environment:
                values[name] = MappingProxyType({**from_file, **from_environment})
                source = "environment" if from_environment else str(file)
        elif text := environ.get(declaration.variable, "").strip():
            values[name], source = _from_text(declaration, text, Path()), "environment"
        elif text := in_file.get(declaration.variable, "").strip():
            values[name], source = _from_text(declaration, text, directory), str(file)
        sources[name] = source
    settings = Settings(**values)
    check(settings)
    return Loaded(settings, MappingProxyType(sources), file, frozenset(in_file))


def _from_text(declaration: Declaration, text: str, directory: Path) -> Any:
    try:
        return declaration.kind.parse(text, directory)
    except NotAllowed as error:
        raise SettingsError(declaration.variable, error.part, error.allowed) from None
    except ValueError:
        raise refusal(declaration, declaration.variable, text) from None


def _from_texts(declaration: Declaration, texts: Sequence[str]) -> Any:
    """The value of an option; of one that takes a single value the last counts, as usual."""
    kind = declaration.kind
    try:
        if isinstance(kind, ListOf) and kind.separator is not None:
            return kind.parse_all([part for text in texts for part in kind.split(text)], Path())
        if isinstance(kind, ListOf | MapOf):
            return kind.parse_all(texts, Path())
        return kind.parse(texts[-1], Path())
    except NotAllowed as error:
        raise SettingsError(f"--{declaration.option}", error.part, error.allowed) from None
    except ValueError:
        raise refusal(declaration, f"--{declaration.option}", texts[-1]) from None


def _per_broker(declaration: Declaration, variables: Mapping[str, str], directory: Path) -> dict[str, Any]:
    """The values of all variables such as ``ZERODHA_FEED_URL``, by the broker's name."""
    assert isinstance(declaration.kind, MapOf)
    suffix = declaration.variable.removeprefix(BROKER)
    found = {}
    for variable, text in variables.items():
        broker = variable.removesuffix(suffix)
        if broker in ("", variable) or not text.strip():
            continue
        try:
            found[broker.lower()] = declaration.kind.item.parse(text.strip(), directory)
        except ValueError:
            raise refusal(declaration, variable, text, declaration.kind.item.allowed) from None
    return found


def refusal(declaration: Declaration, name: str, text: str, allowed: str | None = None) -> SettingsError:
    """The error for a text that isn't allowed; secrets are not repeated in it."""
    shown = None if declaration.kind.secret else text
    return SettingsError(name, shown, f"allowed is {allowed or declaration.kind.allowed}")
