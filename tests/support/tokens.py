"""Tokens as brokers hand them out."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

__all__ = ["jwt"]


def jwt(**claims: object) -> str:
    """A JSON Web Token with these claims, and a signature that nobody can check."""
    parts = (json.dumps({"alg": "HS256"}), json.dumps(claims), "a signature")
    return ".".join(urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
