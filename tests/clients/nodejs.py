"""How to run Node."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def node() -> tuple[list[str], dict[str, str]]:
    """Node with a WebSocket, its own or Debian's package ``node-ws``: command and environment."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = (int(part) for part in version.strip().removeprefix("v").split(".")[:2])
    flags = ["--experimental-websocket"] if (20, 10) <= (major, minor) < (22, 0) else []
    return [program, *flags], {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
