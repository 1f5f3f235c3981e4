"""The user's profile, which some brokers are asked for before a socket is opened."""

from __future__ import annotations

from openalgo_ws.adapter import AuthoriseFailed, Cause, HttpResponse, Verdict

__all__ = ["given_profile"]


def given_profile(answer: HttpResponse | None, proof: str) -> HttpResponse:
    """The answer, if one came and it is no refusal. ``proof`` is what was shown with the request.

    AuthoriseFailed if there is no answer, the proof is refused, or there were too many requests.
    """
    if answer is None:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "no answer to the request for the profile"))
    if answer.status in (401, 403):
        raise AuthoriseFailed(Verdict(Cause.TOKEN, f"the broker refused {proof} (HTTP {answer.status})"))
    if answer.status == 429:
        raise AuthoriseFailed(Verdict(Cause.TOO_MANY, "too many requests (HTTP 429)", 60.0))
    return answer
