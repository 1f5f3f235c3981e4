"""The JavaScript client's own unit tests, run by Node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.nodejs import node

HERE = Path(__file__).parent / "js"
#: Seconds that a file of tests may take.
PATIENCE = 120


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.name)
def test_it_passes_on_node(file: Path) -> None:
    command, environ = node()
    ran = subprocess.run(
        [*command, "--test", "--test-reporter=tap", str(file)],
        capture_output=True,
        text=True,
        env=environ,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert "# fail 0" in ran.stdout
    assert "# pass 0" not in ran.stdout
