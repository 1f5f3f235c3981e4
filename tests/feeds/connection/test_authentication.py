"""What a connection comes with: which credentials are chosen, and what a refusal says of them."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from openalgo_ws.adapter import AuthoriseFailed, Cause, HttpRequest, HttpResponse, Scope, Verdict
from openalgo_ws.feeds.authentication import Authentication, Objection
from openalgo_ws.feeds.credentials import CredentialDesk, Unreadable

ONE, TWO, THREE = {"token": "one"}, {"token": "two"}, {"token": "three"}
REFUSED = Verdict(Cause.TOKEN, "the token is refused")


def result(flow: Coroutine[Any, Any, Any]) -> Any:
    got: list[Any] = []
    Deferred.fromCoroutine(flow).addCallbacks(got.append, lambda failure: got.append(failure.value))
    [only] = got
    return only


def step(credentials: Any, environment: Any) -> Any:
    response = yield HttpRequest(method="POST", url="https://api.toy.example/login", json=dict(credentials))
    if response.status != 200:
        raise AuthoriseFailed(REFUSED)
    return {"token": f"session of {credentials['token']}"}


class Rig:
    def __init__(self, world: Any, adapter: Any, feed: Any, **changes: Any) -> None:
        self.world = world
        world.http.answer = lambda request: HttpResponse(200)
        self.desk = CredentialDesk(world.clock, adapter, lambda: world.store.read(), 10.0, Logger())
        self.authentication = Authentication(replace(feed, **changes), self.desk, world.authoriser)

    def choose(self, given: dict[str, str] | None = None) -> Any:
        return result(self.authentication.choose(given))

    def authorise(self, credentials: dict[str, str]) -> Any:
        return result(self.authentication.authorise(credentials))

    def refused(self, cause: Cause = Cause.TOKEN, *, served: bool = False) -> bool:
        """Whether a refusal of what was used last brings the credentials into doubt."""
        self.authentication.refused(Verdict(cause, "refused"), served=served)
        return self.desk.doubted


@pytest.fixture
def rig(world: Any, adapter: Any, feed: Any) -> Rig:
    return Rig(world, adapter, feed)


@pytest.fixture
def session(world: Any, adapter: Any, feed: Any) -> Rig:
    """One whose feed has an authorise step of session scope."""
    return Rig(world, adapter, feed, authorise=step, scope=Scope.SESSION)


def test_what_is_there_is_chosen_and_what_was_just_read_is_not_read_again(rig: Rig) -> None:
    assert rig.choose() == ONE
    assert rig.desk.used == ONE
    assert rig.choose(TWO) == TWO
    assert rig.world.store.reads == 1


def test_a_store_that_is_away_is_no_objection(rig: Rig) -> None:
    rig.world.store.broken = RuntimeError()
    assert isinstance(rig.choose(), Unreadable)


@pytest.mark.parametrize("unusable", [None, {}, {"token": ""}])
def test_unusable_ones_are_objected_to(rig: Rig, unusable: Any) -> None:
    rig.world.store.credentials = unusable
    assert isinstance(rig.choose(), Objection)
    assert rig.desk.used is None


def test_refused_ones_are_not_chosen_again(rig: Rig) -> None:
    rig.choose()
    assert rig.refused()
    assert str(rig.choose()) == str(rig.choose(ONE)) == "refused"


def test_others_are_chosen_at_once_but_once_in_a_row_until_a_login_has_lasted(rig: Rig) -> None:
    rig.choose()
    rig.refused()
    rig.world.store.credentials = TWO
    assert rig.choose() == TWO
    rig.refused()
    rig.world.store.credentials = THREE
    assert "will be tried" in str(rig.choose())
    # Somebody has looked: their turn has come.
    assert rig.choose(THREE) == THREE
    rig.refused()
    rig.world.store.credentials = ONE
    rig.authentication.settled()
    assert rig.choose() == ONE


def test_without_a_step_the_credentials_themselves_are_dialled_with(rig: Rig) -> None:
    assert rig.authorise(ONE).credentials == ONE
    assert rig.world.http.requests == []


@pytest.mark.parametrize(
    ("cause", "served", "doubted"),
    [(Cause.TOKEN, True, False), (Cause.TOKEN, False, True), (Cause.PLAN, True, True)],
)
def test_a_session_that_has_served_may_have_aged(
    session: Rig, cause: Cause, served: bool, doubted: bool
) -> None:
    session.authorise(session.choose())
    assert session.refused(cause, served=served) is doubted
    if not doubted:
        assert session.authorise(session.choose()).credentials == {"token": "session of one"}
        assert len(session.world.http.requests) == 2
        # That was made just now: it can't have aged.
        assert session.refused()


def test_a_session_that_others_had_made_may_have_aged(world: Any, adapter: Any, feed: Any) -> None:
    first, second = (Rig(world, adapter, feed, authorise=step, scope=Scope.SESSION) for _ in range(2))
    for one in (first, second):
        assert one.authorise(one.choose()).credentials == {"token": "session of one"}
    assert len(world.http.requests) == 1
    assert not second.refused()
    assert first.refused()


def test_it_is_made_anew_once_in_a_row(session: Rig) -> None:
    session.authorise(session.choose())
    assert not session.refused(served=True)
    session.authorise(session.choose())
    assert session.refused(served=True)
    session.authentication.settled()
    session.desk.use(ONE)
    assert not session.refused(served=True)


def test_a_step_that_fails_brings_the_credentials_into_doubt(session: Rig) -> None:
    session.authorise(session.choose())
    session.world.http.answer = lambda request: HttpResponse(401)
    failed = session.authorise(session.choose(TWO))
    assert failed.verdict is REFUSED
    assert session.refused()


def test_a_step_of_each_dial_has_nothing_that_could_have_aged(world: Any, adapter: Any, feed: Any) -> None:
    rig = Rig(world, adapter, feed, authorise=step, scope=Scope.DIAL)
    rig.authorise(rig.choose())
    assert rig.refused(served=True)
