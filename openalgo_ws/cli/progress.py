"""How far a long command has come, on standard error, where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["Bar", "Progressed"]

#: Done, of how much (None: nobody knows), and what there is to say.
Progressed = tuple[float, float | None, str]


class Bar:
    """A progress bar that is drawn by `refresh` from what ``ask`` says. Silent without a terminal."""

    def __init__(self, title: str, ask: Callable[[], Progressed], console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._ask = ask
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=None, said="")

    def open(self) -> None:
        """Take the terminal."""
        self._progress.start()

    def refresh(self) -> None:
        """Draw the present state."""
        done, total, said = self._ask()
        self._progress.update(self._task, completed=done, total=total, said=said, refresh=True)

    def close(self) -> None:
        """Draw the last state and give the terminal back."""
        self.refresh()
        self._progress.stop()
