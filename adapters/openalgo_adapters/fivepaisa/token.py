"""What the access token, a JWT, says of itself. Its signature is the broker's affair."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from openalgo_adapters._common.values import json_object

__all__ = ["claim"]


def claim(token: str, name: str) -> str:
    """A claim that is text; empty if the token isn't a JWT or doesn't have it."""
    value = _claims(token).get(name)
    return value if isinstance(value, str) else ""


def _claims(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    payload = parts[1]
    try:
        return json_object(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        # Not base64, not UTF-8 or not a JSON object.
        return {}
