"""Rules of alerts, as they are written."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.config import SettingsError, load
from openalgo_ws.config.alerts import DEFAULT_ALERTS, MEASURES, AlertRule, AlertText, rules_in_force

READ = AlertText()


def rule(text: str) -> AlertRule:
    return READ.parse(text, Path())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("loop_lag_ms > 20 : 10s", AlertRule("loop_lag_ms", None, True, 20.0, 10.0, 16.0, 10.0)),
        ("tick_age_s{zerodha}>60:5s<30", AlertRule("tick_age_s", "zerodha", True, 60.0, 5.0, 30.0, 5.0)),
        ("ticks_per_s<10:2m>20:1m", AlertRule("ticks_per_s", None, False, 10.0, 120.0, 20.0, 60.0)),
        ("ticks_per_s<10", AlertRule("ticks_per_s", None, False, 10.0, 10.0, 12.5, 10.0)),
        ("feed_down_s=off", AlertRule("feed_down_s", off=True)),
    ],
)
def test_a_rule_is_read(text: str, meant: AlertRule) -> None:
    assert rule(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loop_lag>20", "WS_ALERTS=loop_lag>20: allowed names are loop_lag_ms, "),
        ("loop_lag_ms", "WS_ALERTS=loop_lag_ms: allowed are rules such as "),
        ("loop_lag_ms>20<30", "WS_ALERTS=loop_lag_ms>20<30: it clears the other way round"),
        ("loop_lag_ms>20>10", "WS_ALERTS=loop_lag_ms>20>10: it clears the other way round"),
        ("loop_lag_ms{alice}>20", "WS_ALERTS=loop_lag_ms{alice}>20: loop_lag_ms is one of the whole server"),
        ("loop_lag_ms>2.0.0", "WS_ALERTS=loop_lag_ms>2.0.0: 2.0.0 is no number"),
        ("loop_lag_ms>20:25h", "WS_ALERTS=loop_lag_ms>20:25h: allowed are times up to 24h"),
        ("loop_lag_ms>" + "9" * 400, "WS_ALERTS="),
    ],
)
def test_a_mistake_is_named_in_one_line(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match="^" + re.escape(said)) as caught:
        load({}, {"WS_ALERTS": f"clients>1000, {text}"}, None)
    assert "\n" not in str(caught.value)


def test_a_rule_replaces_the_defaults_of_its_measure_only() -> None:
    names = {rule(text).name for text in DEFAULT_ALERTS}
    assert len(rules_in_force([], 60.0)) == len(names)
    given_rules = [rule("loop_lag_ms>5"), rule("feed_down_s=off"), rule("clients>100")]
    found = rules_in_force(given_rules, 60.0)
    assert {one.name for one in found} == (names | {"clients"}) - {"feed_down_s"}
    assert [one.threshold for one in found if one.name == "loop_lag_ms"] == [5.0]


def test_the_default_alert_of_a_silent_feed_has_the_threshold_of_its_setting() -> None:
    def found(**environ: str) -> list[str]:
        settings = load({}, environ, None).settings
        rules = rules_in_force(settings.alerts, settings.stale_tick_warn_seconds)
        return [str(one) for one in rules if one.name == "tick_age_s"]

    # As the settings' page shows it.
    assert found() == [str(rule(text)) for text in DEFAULT_ALERTS if text.startswith("tick_age_s")]
    assert found(WS_STALE_TICK_WARN_SECONDS="300") == ["tick_age_s>300:0s<10:0s"]
    assert found(WS_STALE_TICK_WARN_SECONDS="5") == ["tick_age_s>5:0s<5:0s"]
    own = ("tick_age_s{zerodha}>20:0s<10:0s",)
    assert found(WS_STALE_TICK_WARN_SECONDS="300", WS_ALERTS=own[0]) == [*own]
    assert found(WS_ALERTS="tick_age_s=off") == []


def test_alerts_need_the_port_that_measures() -> None:
    for more in ({"WS_ALERTS": "clients>1"}, {"WS_ALERT_WEBHOOK": "https://hooks.example.com/x"}):
        with pytest.raises(SettingsError, match="STATUS_PORT is 0"):
            load({}, {"STATUS_PORT": "0", **more}, None)


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "https:///b", "https://u:p@a/b", "https://a:0/", "https://a:x/"]
)
def test_a_webhook_that_is_no_url_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {"WS_ALERT_WEBHOOK": url}, None)
    assert url not in str(caught.value)


def test_a_webhook_is_not_shown() -> None:
    url = "https://hooks.example.com/a-secret-path"
    settings = load({}, {"WS_ALERT_WEBHOOK": url}, None).settings
    assert "a-secret-path" not in repr(settings)


numbers = st.integers(0, 10**6).map(lambda n: n / 100)


@given(
    name=st.sampled_from(sorted(MEASURES)),
    above=st.booleans(),
    values=st.tuples(numbers, numbers),
    after=numbers,
)
def test_what_is_shown_is_read_as_the_same(
    name: str, above: bool, values: tuple[float, float], after: float
) -> None:
    low, high = sorted(values)
    threshold, clear = (high, low) if above else (low, high)
    meant = AlertRule(name, None, above, threshold, after, clear, after)
    read = rule(str(meant))
    for shown, real in (
        (read.threshold, threshold),
        (read.clear, clear),
        (read.after, after),
        (read.clear_after, after),
    ):
        assert shown == pytest.approx(real, rel=1e-5)
    assert (read.name, read.above) == (name, above)


@given(st.text(alphabet="abc_{}<>:=.,0123456789smh ", max_size=30))
def test_any_text_is_a_rule_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        rule(text)
