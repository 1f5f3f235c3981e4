"""The configuration: every setting once, and the sources it is read from.

Command-line option over real environment variable over ``.env`` (or ``--config``
file) over default. A value that isn't allowed stops the start with one line
that names it (`SettingsError`).
"""

from openalgo_ws.config.check import endpoint_parts, is_loopback, stays_on_loopback
from openalgo_ws.config.declare import Declaration
from openalgo_ws.config.errors import SettingsError
from openalgo_ws.config.secret import Secret, masked_url
from openalgo_ws.config.settings import DECLARATIONS, Settings
from openalgo_ws.config.sources import Loaded, find_file, load

__all__ = [
    "DECLARATIONS",
    "Declaration",
    "Loaded",
    "Secret",
    "Settings",
    "SettingsError",
    "endpoint_parts",
    "find_file",
    "is_loopback",
    "load",
    "masked_url",
    "stays_on_loopback",
]
