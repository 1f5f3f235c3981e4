"""Where Kotak's sockets are, which depends on the account."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from openalgo_adapters.kotak.segments import host_of
from openalgo_ws.adapter import Environment, HttpRequest, HttpResponse

__all__ = ["find_sockets"]

_CONFIG = "https://lapi.kotaksecurities.com/5config/config"


def find_sockets(
    credentials: Mapping[str, str], environment: Environment
) -> Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]:
    """Look up ``sfeed_url`` and ``realtime_url`` for the account's data centre.

    Without a data centre, or an answer, the URLs of the login or the default ones are taken.
    """
    centre = credentials.get("data_center") or _centre(credentials.get("base_url", ""))
    if not centre:
        return credentials
    answer = yield HttpRequest(method="GET", url=f"{_CONFIG}?appVersion=1.2.3&platform=api&environment=prod")
    configs = _configs(answer)
    source = configs.get(f"{centre}_broadcast_source")
    found = dict(credentials)
    for name, what in (("sfeed_url", "broadcast"), ("realtime_url", "interactive")):
        url = configs.get(f"{centre}_{source}_{what}_endpoint")
        if isinstance(url, str):
            url = url.replace("https://", "wss://", 1)
            if url.startswith("wss://"):
                found[name] = url
    return found


def _configs(answer: HttpResponse | None) -> Mapping[str, object]:
    body = answer.json() if answer is not None and answer.status == 200 else None
    data = body.get("data") if isinstance(body, dict) else None
    configs = data.get("configs") if isinstance(data, dict) else None
    return configs if isinstance(configs, dict) else {}


def _centre(base_url: str) -> str:
    """The data centre that a host stands for: ``https://e43.kotaksecurities.com`` is E43."""
    label = host_of(base_url).partition(".")[0] if base_url else ""
    if label == "cis":
        return "ADC"
    return label.upper() if label.startswith("e") and label[1:].isdigit() else ""
