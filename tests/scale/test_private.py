"""The folder of the sockets between a server's processes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from openalgo_ws.scale.private import PathTooLong, private_folder


def test_only_this_user_may_look_into_it(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    folder = private_folder("openalgo-ws-")
    assert folder.parent == private
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_path_that_is_too_long_is_named_and_nothing_is_left(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = private / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(PathTooLong, match=f"TMPDIR is too long.*{long}"):
        private_folder("openalgo-ws-")
    assert not list(long.iterdir())
