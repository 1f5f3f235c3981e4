"""What every subcommand starts from: the settings, read when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping

import click

from openalgo_ws.config import Loaded, Settings, SettingsError, find_file, load

__all__ = ["Setup", "pass_setup"]


class Setup:
    """The configuration as this invocation of the command sees it.

    A subcommand that needs none (``adapters``, ``--help``) works whatever the configuration is.
    """

    def __init__(self, config: str | None, environ: Mapping[str, str]) -> None:
        self._config = config
        self._environ = environ
        self._loaded: Loaded | None = None

    def load(self) -> Loaded:
        """The settings and their sources; SettingsError if one isn't allowed."""
        if self._loaded is None:
            self._loaded = load({}, self._environ, find_file(self._config))
        return self._loaded

    @property
    def settings(self) -> Settings:
        """The settings; a mistake in them ends the command with one line and exit code 1."""
        try:
            return self.load().settings
        except SettingsError as error:
            raise click.ClickException(str(error)) from error


pass_setup = click.make_pass_decorator(Setup)
