"""``python -m openalgo_ws.config``: write the settings' reference page to standard output."""

import sys

from openalgo_ws.config.usage import markdown

sys.stdout.write(markdown())
