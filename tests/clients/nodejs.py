"""How to run Node."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

#: The oldest that the JavaScript client and its tests are for.
CLIENT = (20, 11)


def node(least: tuple[int, int] = (0, 0)) -> tuple[list[str], dict[str, str]]:
    """Node with a WebSocket, its own or Debian's package ``node-ws``: command and environment. The test
    is skipped without it, or if it is older than ``least``."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = (int(part) for part in version.strip().removeprefix("v").split(".")[:2])
    if (major, minor) < least:
        pytest.skip(f"Node {version.strip()} is older than {least[0]}.{least[1]}")
    flags = ["--experimental-websocket"] if (20, 10) <= (major, minor) < (22, 0) else []
    return [program, *flags], {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
