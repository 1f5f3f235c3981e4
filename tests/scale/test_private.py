"""The folder of the sockets between a server's processes, and what else a server has for itself."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from openalgo_ws.bus.segment import folder as segments
from openalgo_ws.scale.private import PathTooLong, private_folder
from tests.support.process import ServerProcess


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [("--workers", "2"), ("--feed-shards", "2"), ("--demo",), ("--workers", "2", "--bus", "shm")],
    ids=" ".join,
)
def test_nothing_is_left_of_a_start_that_fails(
    process_of: Callable[..., ServerProcess], private: Path, options: tuple[str, ...]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        # The last that is opened.
        port = taken.getsockname()[1]
        server = process_of(*options, STATUS_PORT=str(port), TMPDIR=str(private))
        server.wait_for(f"can't listen on 127.0.0.1:{port}: Address already in use")
        assert server.end() == 1
    assert not list(private.iterdir())
    assert not list(segments().glob(f"openalgo-ws.{server.pid}*"))
