"""Credentials to a row of the ``auth`` table and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import Adapter, AuthRow, BadRow, Feed, HttpRequest, MasterRow
from openalgo_ws.adapter.codec import Environment, FeedCodec
from openalgo_ws.adapter.events import Event
from openalgo_ws.adapter.wire import Dial, Send


class SilentCodec(FeedCodec):
    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        pass

    def dial(self) -> Dial:
        return Dial(url="wss://localhost")

    def change(self, changes: object) -> list[Send]:
        return []

    def received(self, data: str | bytes) -> list[Event]:
        return []


def stored(credentials: dict[str, str], user_id: str = "") -> AuthRow:
    return AuthRow(name="u", user_id=user_id, auth=ADAPTER.row_for(credentials)["auth"])


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    found = {"access_token": row.auth, "api_key": env.get("BROKER_API_KEY", ""), "uid": row.user_id}
    return {name: value for name, value in found.items() if value}


def no_files(env: Mapping[str, str]) -> Mapping[str, HttpRequest]:
    return {}


def no_rows(name: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    return ()


ADAPTER = Adapter(
    name="x",
    title="X",
    credential_fields=("api_key", "access_token"),
    feeds=(Feed(name="main", codec=SilentCodec),),
    exchanges={"NSE": "NSE"},
    from_row=from_row,
    master_files=no_files,
    parse_master=no_rows,
)


@given(st.dictionaries(st.text(), st.text()))
def test_what_was_stored_comes_back(credentials: dict[str, str]) -> None:
    row = stored(credentials)

    assert ADAPTER.credentials_from(row, {}) == credentials


def test_the_environment_fills_in_what_was_not_stored() -> None:
    row = stored({"access_token": "t"}, user_id="U1")
    env = {"BROKER_API_KEY": "k"}

    assert ADAPTER.credentials_from(row, env) == {"access_token": "t", "api_key": "k", "uid": "U1"}


def test_what_was_stored_wins_over_the_environment() -> None:
    row = stored({"api_key": "ours", "access_token": "t"})

    assert ADAPTER.credentials_from(row, {"BROKER_API_KEY": "theirs"})["api_key"] == "ours"


def test_a_row_of_the_platform_goes_to_the_adapter() -> None:
    assert ADAPTER.credentials_from(AuthRow(name="u", auth="tok"), {}) == {"access_token": "tok"}


@given(st.text())
def test_any_text_in_the_column_is_read_without_an_exception(auth: str) -> None:
    ADAPTER.credentials_from(AuthRow(name="u", auth=auth), {})


def test_an_adapter_may_store_in_the_platforms_form() -> None:
    adapter = replace(ADAPTER, to_row=lambda credentials: {"auth": credentials["access_token"]})

    assert adapter.row_for({"api_key": "k", "access_token": "t"}) == {"auth": "t"}
