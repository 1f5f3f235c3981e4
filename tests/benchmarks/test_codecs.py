"""What the benchmark of the codecs says when one is slow. How fast they are is never a test."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from openalgo_ws.tick import Mode

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "codecs.py"
#: Ticks a second that no codec reaches.
NEVER = 1e15


@pytest.fixture
def codecs() -> Any:
    spec = spec_from_file_location("benchmark_of_codecs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("adapter", "floor", "code", "said"),
    [
        ("angel", 0, 0, ""),
        ("angel", NEVER, 1, "angel: no reason is written down"),
        ("firstock", NEVER, 0, "firstock: an LTP tick costs what a depth tick costs"),
        ("of_nobody", 0, 1, "of_nobody"),
    ],
)
def test_a_slow_codec_has_to_give_its_reason(
    codecs: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    adapter: str,
    floor: float,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(codecs, "FLOOR", {Mode.LTP: floor})
    monkeypatch.setattr(sys, "argv", ["codecs.py", adapter, "--seconds", "0.001", "--instruments", "3"])
    assert codecs.main() == code
    assert said in " ".join(capsys.readouterr().out.split())
