"""Refused and changed credentials: when a connection dials again, and when it must not."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from openalgo_ws.adapter import AuthoriseFailed, Cause, HttpRequest, HttpResponse, Scope, Verdict
from openalgo_ws.feeds.connection import ConnectionState as S


def refuse(world: Any, way: str) -> None:
    """Let the newest attempt be refused because of its token."""
    if way == "upgrade":
        world.link.refuse(403)
    elif way == "close":
        world.link.open()
        world.link.end(world.closed(4001))
    else:
        world.link.open()
        world.link.say(f"{way} token")
    world.clock.advance(0)


@pytest.fixture(autouse=True)
def closed(world: Any) -> None:
    from openalgo_ws.feeds.link import Closed

    world.closed = lambda code: Closed(code, "")


@pytest.mark.parametrize("way", ["upgrade", "close", "no", "bye"])
def test_a_refused_token_is_read_again_and_never_dialled_again(world: Any, way: str) -> None:
    connection = world.connect()
    refuse(world, way)
    assert connection.state is S.AUTH_FAILED
    assert world.store.reads == 2
    world.pass_time(305, 5.0)
    assert len(world.dialler.links) == 1
    assert world.store.reads == 12
    assert connection.state is S.AUTH_FAILED


@pytest.mark.parametrize("way", ["upgrade", "close", "no", "bye"])
def test_a_token_that_was_replaced_meanwhile_is_dialled_at_once(world: Any, way: str) -> None:
    connection = world.connect()
    world.store.credentials = {"token": "two"}
    refuse(world, way)
    world.clock.advance(0)
    assert connection.state is S.DIALLING
    assert world.link.dial.url.endswith("?token=two")
    assert S.AUTH_FAILED not in world.states
    assert len(world.dialler.links) == 2


def test_plan_is_treated_like_a_token(world: Any) -> None:
    connection = world.connect()
    world.link.open()
    world.link.end(world.closed(4002))
    world.pass_time(120, 5.0)
    assert connection.state is S.AUTH_FAILED
    assert len(world.dialler.links) == 1
    assert connection.counters.ended["plan"] == 1


def test_a_new_token_is_noticed_by_the_recheck(world: Any) -> None:
    connection = world.connect()
    world.link.refuse(401)
    world.clock.advance(10)
    world.store.credentials = {"token": "two"}
    world.pass_time(21, 1.0)
    assert connection.state is S.DIALLING
    assert world.dialler.times == [0.0, 30.0]


def test_a_new_token_is_dialled_within_moments_of_being_told(world: Any) -> None:
    connection = world.connect()
    world.link.refuse(401)
    world.clock.advance(3)
    world.store.credentials = {"token": "two"}
    connection.credentials_changed()
    world.clock.advance(0)
    assert connection.state is S.DIALLING
    world.link.open()
    assert connection.state is S.LIVE


def test_tokens_that_change_with_every_refusal_do_not_make_a_loop(world: Any) -> None:
    connection = world.connect()
    for n in range(3):
        world.store.credentials = {"token": f"next {n}"}
        world.link.refuse(403)
        world.clock.advance(0)
    # One at once, the other after the recheck interval.
    assert len(world.dialler.links) == 2
    assert connection.state is S.AUTH_FAILED
    assert "will be tried" in connection.message
    world.pass_time(31, 1.0)
    assert len(world.dialler.links) == 3


def test_after_a_login_that_lasted_a_refusal_may_be_followed_at_once_again(world: Any) -> None:
    connection = world.connect()
    for n in range(3):
        world.store.credentials = {"token": f"next {n}"}
        world.link.open()
        world.clock.advance(31)
        world.link.end(world.closed(4001))
        world.clock.advance(0)
        assert connection.state is S.DIALLING
    assert len(world.dialler.links) == 4


@pytest.mark.parametrize(
    ("credentials", "words"),
    [(None, "login is needed"), ({}, "incomplete: token"), ({"token": ""}, "incomplete: token")],
)
def test_without_usable_credentials_nothing_is_dialled(world: Any, credentials: Any, words: str) -> None:
    world.store.credentials = credentials
    connection = world.connect()
    assert connection.state is S.AUTH_FAILED
    assert words in connection.message
    world.pass_time(40, 5.0)
    assert world.dialler.links == []
    world.store.credentials = {"token": "one"}
    world.pass_time(30, 5.0)
    assert connection.state is S.DIALLING


def test_a_store_that_is_away_is_asked_again_after_a_pause(world: Any) -> None:
    world.store.broken = RuntimeError("password=secret")
    connection = world.connect()
    assert connection.state is S.BACKING_OFF
    assert "secret" not in connection.message
    world.store.broken = None
    world.pass_time(1.25)
    assert connection.state is S.DIALLING


def test_a_store_that_never_answers_is_given_up(world: Any) -> None:
    world.store.read = lambda: Deferred()
    connection = world.connect()
    world.pass_time(10.5, 0.5)
    assert connection.state is S.BACKING_OFF


def test_the_store_being_away_does_not_turn_a_refusal_into_a_dial(world: Any) -> None:
    connection = world.connect()
    world.store.broken = RuntimeError()
    world.link.refuse(403)
    world.pass_time(200, 1.0)
    assert connection.state is S.BACKING_OFF
    world.store.broken = None
    world.pass_time(120, 1.0)
    assert connection.state is S.AUTH_FAILED
    assert len(world.dialler.links) == 1


def test_a_live_connection_moves_to_changed_credentials(world: Any) -> None:
    connection, link = world.live()
    connection.credentials_changed()
    world.clock.advance(1)
    assert connection.state is S.LIVE
    assert len(world.dialler.links) == 1
    world.store.credentials = {"token": "two"}
    connection.credentials_changed()
    world.clock.advance(0)
    world.clock.advance(0)
    assert link.closed == "politely"
    assert connection.state is S.DIALLING
    assert connection.credentials == {"token": "two"}
    assert connection.counters.ended == {"renewed": 1}


def test_a_session_that_was_revoked_ends_the_connection(world: Any) -> None:
    connection, _ = world.live()
    world.store.credentials = None
    connection.credentials_changed()
    world.clock.advance(0)
    assert connection.state is S.AUTH_FAILED


def test_a_pause_is_left_only_for_other_credentials(world: Any) -> None:
    connection = world.connect()
    world.link.refuse(429)
    assert connection.state is S.BACKING_OFF
    for _ in range(5):
        connection.credentials_changed()
        world.clock.advance(0.5)
    assert connection.state is S.BACKING_OFF
    world.store.credentials = {"token": "two"}
    connection.credentials_changed()
    world.clock.advance(0)
    assert connection.state is S.DIALLING


def test_being_told_of_the_same_credentials_tries_them_at_most_every_30_s(world: Any) -> None:
    connection = world.connect()
    world.link.refuse(403)
    for _ in range(60):
        connection.credentials_changed()
        world.clock.advance(1)
        if connection.state is S.DIALLING:
            world.link.refuse(403)
            world.clock.advance(0)
    assert world.dialler.times == [0.0, 30.0]
    assert connection.state is S.AUTH_FAILED


def test_two_signals_while_reading_lead_to_one_more_look(world: Any) -> None:
    connection, _ = world.live()
    reads: list[Deferred[Any]] = []

    def read() -> Deferred[Any]:
        reads.append(Deferred())
        return reads[-1]

    world.store.read = read
    for _ in range(3):
        connection.credentials_changed()
    assert len(reads) == 1
    reads[0].callback({"token": "one"})
    assert len(reads) == 2
    reads[1].callback({"token": "two"})
    world.clock.advance(0)
    assert connection.credentials == {"token": "two"}
    assert len(reads) == 2


def test_a_fatal_verdict_waits_for_other_credentials(world: Any) -> None:
    connection = world.connect()
    world.link.open()
    world.link.say("bye fatal")
    assert connection.state is S.FAILED
    world.pass_time(100, 5.0)
    assert len(world.dialler.links) == 1
    world.store.credentials = {"token": "two"}
    world.pass_time(30, 5.0)
    assert connection.state is S.DIALLING


# Authorise steps.


def step(credentials: Any, environment: Any) -> Any:
    response = yield HttpRequest(method="POST", url="https://api.toy.example/login", json=dict(credentials))
    if response is None:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "no answer to the login"))
    if response.status != 200:
        raise AuthoriseFailed(Verdict(Cause.TOKEN, "the login was refused"))
    return {"token": response.body.decode()}


def test_an_authorise_step_runs_before_every_dial(world: Any) -> None:
    answers = iter([b"first", b"second"])
    world.http.answer = lambda request: HttpResponse(200, next(answers))
    connection = world.connect(authorise=step)
    assert world.link.dial.url.endswith("?token=first")
    world.link.fail()
    world.pass_time(1.25)
    assert world.link.dial.url.endswith("?token=second")
    assert connection.credentials == {"token": "one"}


def test_a_session_is_shared_by_connections_and_made_once(world: Any) -> None:
    connections = [world.connect(authorise=step, scope=Scope.SESSION) for _ in range(3)]
    assert len(world.http.requests) == 1
    assert all(connection.state is S.AUTHORISING for connection in connections)
    world.http.open[0].callback(HttpResponse(200, b"shared"))
    world.clock.advance(0)
    assert [link.dial.url[-6:] for link in world.dialler.links] == ["shared"] * 3
    assert len(world.http.requests) == 1


def test_an_aged_session_is_made_anew_once_for_all(world: Any) -> None:
    answers = iter([b"S1", b"S2"])
    world.http.answer = lambda request: HttpResponse(200, next(answers))
    connections = [world.connect(authorise=step, scope=Scope.SESSION) for _ in range(2)]
    for link in world.dialler.links:
        link.open()
    world.clock.advance(3600)
    for link in list(world.dialler.links):
        link.end(world.closed(4001))
    world.clock.advance(0)
    assert len(world.http.requests) == 2
    assert [link.dial.url[-2:] for link in world.dialler.links] == ["S1", "S1", "S2", "S2"]
    assert all(connection.state is S.DIALLING for connection in connections)


def test_a_fresh_session_that_is_refused_is_not_made_again(world: Any) -> None:
    world.http.answer = lambda request: HttpResponse(200, b"S1")
    connection = world.connect(authorise=step, scope=Scope.SESSION)
    world.link.refuse(403)
    world.pass_time(120, 5.0)
    assert connection.state is S.AUTH_FAILED
    assert len(world.http.requests) == 1


def test_a_refused_login_is_not_repeated_by_the_siblings(world: Any) -> None:
    connections = [world.connect(authorise=step, scope=Scope.SESSION) for _ in range(3)]
    world.http.open[0].callback(HttpResponse(401))
    world.pass_time(120, 5.0)
    assert len(world.http.requests) == 1
    assert all(connection.state is S.AUTH_FAILED for connection in connections)


def test_a_login_without_an_answer_is_tried_again_after_a_pause(world: Any) -> None:
    connection = world.connect(authorise=step, scope=Scope.SESSION)
    world.http.open[0].callback(None)
    assert connection.state is S.BACKING_OFF
    world.pass_time(1.25)
    assert len(world.http.requests) == 2


def test_a_new_login_of_the_account_makes_a_new_session(world: Any) -> None:
    world.http.answer = lambda request: HttpResponse(200, request.json["token"].encode())
    connection = world.connect(authorise=step, scope=Scope.SESSION)
    world.link.open()
    world.store.credentials = {"token": "two"}
    connection.credentials_changed()
    world.clock.advance(0)
    world.clock.advance(0)
    assert world.link.dial.url.endswith("?token=two")


def test_no_repr_shows_what_a_session_was_made_with_or_what_came_of_it(world: Any) -> None:
    world.store.credentials = {"token": "given-secret"}
    world.http.answer = lambda request: HttpResponse(200, b"got-secret")
    world.connect(authorise=step, scope=Scope.SESSION)
    assert world.link.dial.url.endswith("?token=got-secret")
    assert "secret" not in repr(vars(world.authoriser))


def test_an_authorise_step_without_end_is_given_up(world: Any) -> None:
    def endless(credentials: Any, environment: Any) -> Any:
        while True:
            yield HttpRequest(method="GET", url="https://api.toy.example/")

    world.http.answer = lambda request: HttpResponse(200)
    connection = world.connect(authorise=endless)
    assert connection.state is S.FAILED
    assert len(world.http.requests) <= 21


def test_stopping_in_the_middle_of_a_login_sends_no_more_of_it(world: Any) -> None:
    def two_calls(credentials: Any, environment: Any) -> Any:
        yield HttpRequest(method="GET", url="https://api.toy.example/1")
        yield HttpRequest(method="GET", url="https://api.toy.example/2")
        return credentials

    connection = world.connect(authorise=two_calls, scope=Scope.SESSION)
    sibling = world.connect(authorise=two_calls, scope=Scope.SESSION)
    connection.stop()
    # The sibling, which had waited, now does it by itself.
    assert [request.url[-1] for request in world.http.requests] == ["1", "1"]
    world.http.open[1].callback(HttpResponse(200))
    world.http.open[2].callback(HttpResponse(200))
    assert sibling.state is S.DIALLING
    assert len(world.dialler.links) == 1


class TestAnAuthoriseStepThatIsRefusedAtOnce:
    """What is read after such a refusal belongs to the connection like everything else it began."""

    @pytest.fixture
    def reads(self, world: Any) -> list[Deferred[Any]]:
        """Reads of the store that are under way, after the connection was told of other credentials and
        they were refused before it could wait for anything."""
        world.http.answer = lambda request: HttpResponse(401 if request.json["token"] == "two" else 200, b"S")
        self.connection, _ = world.live(authorise=step)
        reads: list[Deferred[Any]] = []

        def read() -> Deferred[Any]:
            reads.append(Deferred())
            return reads[-1]

        world.store.read = read
        self.connection.credentials_changed()
        reads.pop().callback({"token": "two"})
        assert len(reads) == 1
        return reads

    def test_stopping_ends_the_read(self, world: Any, reads: list[Deferred[Any]]) -> None:
        self.connection.stop()
        world.clock.advance(0)
        assert world.clock.getDelayedCalls() == []
        reads[0].callback({"token": "three"})
        assert len(world.http.requests) == 2

    def test_credentials_that_are_there_by_then_are_dialled_with_once(
        self, world: Any, reads: list[Deferred[Any]]
    ) -> None:
        world.clock.advance(0)
        self.connection.credentials_changed()
        reads[1].callback({"token": "three"})
        reads[0].callback({"token": "three"})
        assert len(world.http.requests) == 3
        assert self.connection.state is S.DIALLING
        assert len(world.dialler.links) == 2
