"""RMoney's servers: the family's, and the look-up of the interactive host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from openalgo_adapters._xts.simulator import XtsServer
from openalgo_ws.adapter import HttpRequest, HttpResponse

__all__ = ["RmoneyServer"]

_UNIQUE_KEY = "demo-unique-key"


class RmoneyServer(XtsServer):
    """The servers of one account."""

    def http(self, request: HttpRequest) -> HttpResponse:
        if urlsplit(request.url).path != "/hostlookup":
            return super().http(request)
        place = "https://xts.rmoneyindia.co.in:3000/interactive"
        result = {"connectionString": place, "uniqueKey": _UNIQUE_KEY}
        body = json.dumps({"type": True, "code": "s-hostlookup-0001", "result": result})
        return HttpResponse(200, body.encode(), {"Content-Type": "application/json"})

    def interactive_proof(self, body: Mapping[str, Any]) -> dict[str, object]:
        proof = super().interactive_proof(body)
        return proof if body.get("uniqueKey") == _UNIQUE_KEY else dict.fromkeys(proof)
