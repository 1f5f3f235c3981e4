"""The options of ``twistd openalgo-ws``, made from the declarations of the settings."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from twisted.python import usage

from openalgo_ws import __version__
from openalgo_ws.config import DECLARATIONS, Declaration, Loaded, Settings, SettingsError, find_file, load
from openalgo_ws.config.kinds import Flag
from openalgo_ws.config.usage import help_text

__all__ = ["Options", "stop"]

_GENERAL = (
    (
        "--config FILE",
        "File of NAME=value lines to read instead of .env in the working directory. "
        "The real environment wins over it, options win over both.",
    ),
    ("--version", "Print the version and exit."),
    ("--help", "Print this text and exit."),
)


_KINDS = {declaration.attribute: declaration.kind for declaration in DECLARATIONS}


def stop(message: object) -> NoReturn:
    """End the process with one line on standard error and exit code 1, before anything runs."""
    raise SystemExit(f"openalgo-ws: {message}")


class Options(usage.Options):
    """Command line of the plug-in. After parsing, `settings` holds the whole configuration.

    A wrong option or value ends the process with one line and exit code 1: twistd's own way would
    print the whole help first.
    """

    synopsis = "[options]"
    longdesc = (
        "Market-data gateway: the feeds of Indian brokers on one WebSocket, in OpenAlgo's protocol. "
        "Try it without an account: twistd -n openalgo-ws --demo"
    )

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._environ = environ
        self._config: str | None = None
        self._given: dict[str, list[str]] = {}
        self.loaded: Loaded | None = None
        #: The file that was read.
        self.file: Path | None = None

    @property
    def settings(self) -> Settings:
        """The configuration; there is one as soon as the options have been parsed."""
        assert self.loaded is not None, "the options have not been parsed"
        return self.loaded.settings

    def opt_config(self, file: str) -> None:
        """Read this file instead of .env."""
        self._config = file

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        sys.stdout.write(f"openalgo-ws {__version__}\n")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            stop(f"{error} (see twistd openalgo-ws --help)")
        except SettingsError as error:
            stop(error)

    def postOptions(self) -> None:
        self.file = find_file(self._config)
        self.loaded = load(self._given, self._environ, self.file)

    def getUsage(self, width: int | None = None) -> str:
        columns = width or min(shutil.get_terminal_size().columns, 100)
        return f"\n{textwrap.fill(self.longdesc, columns)}\n{help_text(_GENERAL, columns)}"

    def arguments(self) -> list[str]:
        """The command line that gives another process the same configuration, with its environment."""
        made = [] if self.file is None else [f"--config={self.file.absolute()}"]
        for attribute, texts in self._given.items():
            option = attribute.replace("_", "-")
            for text in texts:
                if isinstance(_KINDS[attribute], Flag):
                    made.append(f"--{option}" if text == "true" else f"--no-{option}")
                else:
                    made.append(f"--{option}={text}")
        return made

    def given(self, attribute: str, text: str) -> None:
        """Note one occurrence of an option."""
        self._given.setdefault(attribute, []).append(text)


def _taking_value(declaration: Declaration) -> Callable[[Options, str], None]:
    def handler(self: Options, value: str) -> None:
        self.given(declaration.attribute, value)

    handler.__doc__ = declaration.help
    return handler


def _flag(declaration: Declaration, text: str) -> Callable[[Options], None]:
    def handler(self: Options) -> None:
        self.given(declaration.attribute, text)

    handler.__doc__ = declaration.help
    return handler


def _handlers() -> dict[str, Callable[..., Any]]:
    """The ``opt_`` methods that Twisted looks for, one per option."""
    found: dict[str, Callable[..., Any]] = {}
    for declaration in DECLARATIONS:
        if isinstance(declaration.kind, Flag):
            found[f"opt_{declaration.attribute}"] = _flag(declaration, "true")
            found[f"opt_no_{declaration.attribute}"] = _flag(declaration, "false")
        else:
            found[f"opt_{declaration.attribute}"] = _taking_value(declaration)
    return found


for _name, _handler in _handlers().items():
    setattr(Options, _name, _handler)
