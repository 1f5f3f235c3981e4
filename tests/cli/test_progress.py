"""The progress bar shows what it is told, and nothing where nobody looks."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from openalgo_ws.cli.progress import Bar


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_it_shows_how_far_it_is_on_a_terminal(terminal: bool, shown: bool) -> None:
    out = io.StringIO()
    bar = Bar("replay", lambda: (5, 10, "1,234 ticks"), Console(file=out, force_terminal=terminal, width=100))

    bar.open()
    bar.refresh()
    bar.close()

    assert ("replay" in out.getvalue() and "1,234 ticks" in out.getvalue()) is shown
