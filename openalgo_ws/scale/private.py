"""A folder for the sockets between processes of one server, for this user alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["PathTooLong", "private_folder"]

#: What the path of a Unix socket may have (bytes), less what names it in the folder.
_MOST = 107 - 16


class PathTooLong(Exception):
    """A Unix socket in this folder would have too long a path; the message is one line for people."""


def private_folder(prefix: str) -> Path:
    """A new folder where temporary files are. PathTooLong if no socket could be there."""
    folder = tempfile.mkdtemp(prefix=prefix)
    if len(os.fsencode(folder)) > _MOST:
        shutil.rmtree(folder)
        raise PathTooLong(f"TMPDIR is too long a path for Unix sockets: {tempfile.gettempdir()}")
    return Path(folder)
