"""Replies as JSON text, in the two shapes that clients take (client protocol 1.2 and 1.4).

A reply is built in the default shape; `flat` translates the few that differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from openalgo_ws.gateway.formats import FLAT

__all__ = ["Replies", "error", "overall"]

_json = msgspec.json.Encoder().encode

Reply = dict[str, Any]


class Replies:
    """Writes the replies of one client in the shape it chose."""

    __slots__ = ("_flat",)

    def __init__(self, format: str) -> None:
        self._flat = format == FLAT

    def encode(self, reply: Mapping[str, Any], request_id: bytes | None = None) -> bytes:
        """The reply as JSON text with the request's id echoed."""
        body = dict(_flatten(reply) if self._flat else reply)
        if request_id is not None:
            body["request_id"] = msgspec.Raw(request_id)
        return _json(body)


def error(code: str, message: str, **more: Any) -> Reply:
    """An error that is not the answer to a request with a shape of its own."""
    return {"type": "error", "status": "error", "code": code, "message": message, **more}


def overall(succeeded: int, failed: int) -> str:
    """``success``, ``partial`` or ``error``."""
    if not failed:
        return "success"
    return "partial" if succeeded else "error"


def _flatten(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    kind, status = reply.get("type"), reply.get("status")
    if kind == "auth":
        if status == "success":
            return {"status": "authenticated", "message": "Connected"}
        return {"status": "error", "code": reply["code"], "message": reply["message"]}
    if kind == "error":
        return {key: value for key, value in reply.items() if key != "type"}
    if kind == "subscribe":
        entries = reply["subscriptions"]
        failed = [entry for entry in entries if entry["status"] == "error"]
        return _counted("subscribed", len(entries) - len(failed), failed)
    if kind == "unsubscribe":
        return _counted("unsubscribed", len(reply["successful"]), reply["failed"])
    return reply


def _counted(status: str, count: int, failed: list[Any]) -> Reply:
    counted: Reply = {"status": status, "count": count}
    if failed:
        counted["failed"] = failed
    return counted
