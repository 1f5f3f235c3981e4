"""Scenes for the faults, and the table at the end: how long each took, in seconds of the test's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.upper import Scene, scenes

Row = tuple[str, float, float, int, int]
ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture
def make_scene() -> Iterator[Callable[..., Scene]]:
    """Makes the test's scene."""
    with scenes() as make:
        yield make


@pytest.fixture
def recovered(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Check a time to recover and a number of attempts against their limits, and note them."""

    def note(fault: str, *, took: float, limit: float, attempts: int, most: int) -> None:
        request.config.stash.setdefault(ROWS, []).append((fault, took, limit, attempts, most))
        assert took <= limit
        assert attempts <= most

    return note


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table."""
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("faults: seconds to recover, of the clock that the test moves")
    width = max(len(row[0]) for row in rows)
    line = f"{{:<{width}}}  {{:>7}}  {{:>7}}  {{:>8}}  {{:>5}}"
    terminalreporter.write_line(line.format("fault", "took", "limit", "attempts", "limit"))
    for fault, took, limit, attempts, most in rows:
        terminalreporter.write_line(line.format(fault, f"{took:.2f}", f"{limit:g}", attempts, most))
