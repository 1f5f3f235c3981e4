"""Settings from their sources, and what is refused."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from openalgo_ws.config import DECLARATIONS, Secret, Settings, SettingsError, find_file, load
from openalgo_ws.config.kinds import Flag

PEPPER = "p" * 40


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_there_are_the_defaults_of_the_protocol() -> None:
    settings = load({}, {}).settings

    assert settings == Settings()
    assert (settings.websocket_host, settings.websocket_port) == ("127.0.0.1", 8765)
    assert (settings.zmq_host, settings.zmq_port, settings.zmq_mode) == ("127.0.0.1", 5555, "bind")
    assert (settings.throttle_ms, settings.throttle_min_ms) == (50, 0)
    assert (settings.max_connections, settings.max_message_bytes) == (1000, 65536)
    assert (settings.ping_interval, settings.ping_timeout) == (20.0, 20.0)
    assert (settings.auth_grace_seconds, settings.slow_client_seconds) == (15.0, 30.0)
    assert settings.max_symbols_per_websocket is None
    assert settings.session_expiry_time == time(3, 0)
    assert settings.endpoints() == ("tcp:8765:interface=127.0.0.1",)


def test_an_option_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "conf", "WEBSOCKET_PORT=1\nZMQ_PORT=2\nSTATUS_PORT='3'\nUNRELATED=x\n")
    environ = {"WEBSOCKET_PORT": "11", "ZMQ_PORT": "12"}

    loaded = load({"websocket_port": ["21"]}, environ, file)

    settings = loaded.settings
    assert (settings.websocket_port, settings.zmq_port, settings.status_port) == (21, 12, 3)
    named = {name: loaded.sources[name] for name in ("websocket_port", "zmq_port", "status_port", "zmq_host")}
    assert named == {
        "websocket_port": "--websocket-port",
        "zmq_port": "environment",
        "status_port": str(file),
        "zmq_host": "default",
    }
    assert loaded.in_file == {"WEBSOCKET_PORT", "ZMQ_PORT", "STATUS_PORT", "UNRELATED"}


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    file = write(tmp_path / "conf", "WEBSOCKET_PORT=\nZMQ_PORT=7\n")

    settings = load({}, {"ZMQ_PORT": " ", "LOG_LEVEL": ""}, file).settings

    assert (settings.websocket_port, settings.zmq_port, settings.log_level) == (8765, 7, "WARNING")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WEBSOCKET_PORT", "80a"),
        ("WEBSOCKET_PORT", "65536"),
        ("WEBSOCKET_PORT", "-1"),
        ("WEBSOCKET_PORT", "8_765"),
        ("WS_MAX_CONNECTIONS", "0"),
        ("WS_PING_INTERVAL", "nan"),
        ("WS_PING_INTERVAL", "inf"),
        ("WS_PING_INTERVAL", "0"),
        ("AUTH_REQUIRED", "maybe"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("WS_DEFAULT_FORMAT", "yaml"),
        ("ZMQ_MODE", "both"),
        ("SESSION_EXPIRY_TIME", "3"),
        ("SESSION_EXPIRY_TIME", "25:00"),
        ("WS_LISTEN", "8765"),
        ("WS_TRUSTED_PROXIES", "nginx"),
        ("WS_ALLOWED_ORIGINS", "example.com"),
        ("WS_TRUST_ROOTS", "/no/such/file"),
        ("WS_FEED_PLAN", "alice"),
        ("WS_FEED_PLAN", "alice=bob;alice=carol"),
        ("WS_FEED_PLAN", "alice=bob,bob"),
        ("ZERODHA_FEED_URL", "127.0.0.1:9000"),
        ("ZERODHA_VERIFY_TLS", "perhaps"),
        ("ZMQ_ENDPOINTS", "udp://127.0.0.1:1"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_in_one_line(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({}, {variable: value})

    line = str(refused.value)
    assert line.startswith(f"{variable}={value}: allowed is ")
    assert "\n" not in line


def test_the_line_stays_one_line_whatever_the_value() -> None:
    with pytest.raises(SettingsError) as refused:
        load({}, {"WEBSOCKET_HOST": "a\nb" + "x" * 1000})

    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_an_option_is_named_as_it_was_written() -> None:
    with pytest.raises(SettingsError, match=r"^--throttle-ms=x: allowed is a whole number from 0 to"):
        load({"throttle_ms": ["x"]}, {})


def test_a_secret_is_not_repeated_when_it_is_refused() -> None:
    with pytest.raises(SettingsError) as refused:
        load({}, {"API_KEY_PEPPER": "too-short-pepper"})

    assert str(refused.value) == "API_KEY_PEPPER: allowed is a secret of at least 32 characters"


def test_a_refused_database_url_does_not_show_its_password() -> None:
    with pytest.raises(SettingsError) as refused:
        load({}, {"DATABASE_URL": "oracle://u:hunter2@h/d"})

    assert "hunter2" not in str(refused.value)


def test_nothing_secret_is_in_the_repr() -> None:
    environ = {
        "API_KEY_PEPPER": PEPPER,
        "FERNET_SALT": "5a17" * 8,
        "DATABASE_URL": "postgresql://u:hunter2@h/d?password=hunter2",
        "ZERODHA_FEED_URL": "wss://u:hunter2@h/p?token=hunter2",
        "BROKER_API_KEY": "brokerkey1",
        "BROKER_API_SECRET": "admin-token-1234567",
        "WS_BUS": "nats://u:hunter2@h:4222,tls://hunter2@i",
        "WS_ROLE": "gateway",
    }

    settings = load({}, environ).settings

    for value in ("hunter2", PEPPER, "5a17", "brokerkey1", "admin-token"):
        assert value not in f"{settings!r} {settings} {settings.database_url} {settings.api_key_pepper:}"
    assert "bus=nats://h:4222,tls://i" in repr(settings)
    assert settings.nats_servers() == ["nats://u:hunter2@h:4222", "tls://hunter2@i"]
    assert settings.chosen_bus() == "nats"
    assert settings.pepper() == PEPPER
    assert settings.broker_environment() == {
        "BROKER_API_KEY": "brokerkey1",
        "BROKER_API_SECRET": "admin-token-1234567",
    }
    assert settings.database_url.reveal() == environ["DATABASE_URL"]


def test_without_a_pepper_the_line_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"^API_KEY_PEPPER: must be set"):
        load({}, {}).settings.pepper()


def test_variables_of_brokers_are_collected(tmp_path: Path) -> None:
    file = write(tmp_path / "conf", "ZERODHA_FEED_URL=ws://127.0.0.1:1\nFYERS_FEED_URL=ws://127.0.0.1:2\n")
    environ = {"ZERODHA_FEED_URL": "ws://127.0.0.1:3", "ZERODHA_VERIFY_TLS": "false", "_FEED_URL": "x"}

    settings = load({}, environ, file).settings

    assert settings.feed_url == {"zerodha": "ws://127.0.0.1:3", "fyers": "ws://127.0.0.1:2"}
    assert settings.verify_tls == {"zerodha": False}


def test_options_that_repeat_add_up() -> None:
    options = {
        "listen": ["tcp:1:interface=127.0.0.1", "ssl:2:privateKey=/a b/k.pem"],
        "zmq_endpoints": ["tcp://127.0.0.1:1,tcp://127.0.0.1:2", "tcp://127.0.0.1:3"],
        "feed_plan": ["alice=alice,bob", "carol=bob"],
        "feed_url": ["zerodha=ws://127.0.0.1:9"],
    }

    settings = load(options, {}).settings

    assert settings.listen == ("tcp:1:interface=127.0.0.1", "ssl:2:privateKey=/a b/k.pem")
    assert settings.endpoints() == settings.listen
    assert len(settings.zmq_endpoints) == 3
    assert settings.feed_plan == {"alice": ("alice", "bob"), "carol": ("bob",)}
    assert settings.feed_url == {"zerodha": "ws://127.0.0.1:9"}


def test_of_an_option_that_does_not_repeat_the_last_counts() -> None:
    assert load({"throttle_ms": ["1", "2"]}, {}).settings.throttle_ms == 2


def test_the_log_format_of_the_platform_counts_as_text() -> None:
    environ = {"LOG_FORMAT": "[%(asctime)s] %(levelname)s in %(module)s: %(message)s"}

    assert load({}, environ).settings.log_format == "text"


def test_relative_paths_start_from_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("x")
    file = write(tmp_path / "conf", "WS_TRUST_ROOTS=roots.pem\nDATABASE_URL=sqlite:///db/openalgo.db\n")

    settings = load({}, {}, file).settings

    assert settings.trust_roots == tmp_path / "roots.pem"
    assert settings.database_url == Secret(f"sqlite:///{tmp_path}/db/openalgo.db")


@pytest.mark.parametrize("url", ["sqlite:////abs/file.db", "sqlite:///:memory:", "postgresql+psycopg://h/d"])
def test_other_database_urls_are_left_alone(tmp_path: Path, url: str) -> None:
    file = write(tmp_path / "conf", f"DATABASE_URL={url}\n")

    assert load({}, {}, file).settings.database_url.reveal() == url


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--config=.*nothing: allowed is a file that can be read"):
        find_file(str(tmp_path / "nothing"))


def test_the_default_file_is_read_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_file(None) is None
    write(tmp_path / ".env", "X=1\n")
    assert find_file(None) == Path(".env")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match="can't be read"):
        load({}, {}, path)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"ZMQ_MODE": "connect"}, "ZMQ_MODE"),
        ({"WS_THROTTLE_MS": "10", "WS_THROTTLE_MIN_MS": "20"}, "WS_THROTTLE_MS"),
        ({"WS_DEMO": "true", "WEBSOCKET_HOST": "0.0.0.0"}, "WEBSOCKET_HOST"),
        ({"WS_DEMO": "true", "WS_LISTEN": "tcp:8765"}, "WS_LISTEN"),
        ({"WS_DEMO": "true", "WS_LISTEN": r"tcp:1:interface=127.0.0.1 tcp6:2:interface=\:\:"}, "WS_LISTEN"),
        ({"WS_DEMO": "true", "WS_LISTEN": "systemd:domain=INET:index=0"}, "WS_LISTEN"),
        ({"AUTH_REQUIRED": "false", "WEBSOCKET_HOST": "10.0.0.1"}, "WEBSOCKET_HOST"),
        ({"WS_FEED_SHARDS": "2", "WS_DEMO": "true"}, "WS_FEED_SHARDS"),
        ({"WS_FEED_SHARDS": "2", "WS_FEEDS": "external"}, "WS_FEED_SHARDS"),
        ({"WS_FEED_PARTITIONS": "2"}, "WS_FEED_PARTITIONS"),
        (
            {
                "WS_BUS": "nats://h",
                "WS_ROLE": "feeds",
                "WS_FEED_PARTITIONS": "2",
                "WS_FEEDS": "external",
            },
            "WS_FEED_PARTITIONS",
        ),
        ({"WS_ROLE": "gateway"}, "WS_ROLE"),
        ({"WS_ROLE": "feeds", "WS_BUS": "shm"}, "WS_ROLE"),
        ({"WS_NATS_CREDENTIALS": __file__}, "WS_NATS_CREDENTIALS"),
        ({"WS_BUS": "nats://h"}, "WS_BUS"),
        ({"WS_BUS": "nats://h", "WS_ROLE": "feeds", "WS_FEED_SHARDS": "2"}, "WS_FEED_SHARDS"),
        ({"WS_BUS": "nats://h", "WS_ROLE": "gateway", "WS_WORKERS": "2"}, "WS_WORKERS"),
        ({"WS_BUS": "nats://h", "WS_ROLE": "gateway", "WS_DEMO": "true"}, "WS_BUS"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({}, environ)

    assert refused.value.name == name


@pytest.mark.parametrize("listen", ["tcp:1:interface=127.0.0.1", r"tcp:1:interface=\:\:1", "unix:/tmp/s"])
def test_the_demo_listens_on_loopback(listen: str) -> None:
    assert load({}, {"WS_DEMO": "yes", "WS_LISTEN": listen}).settings.listen == (listen,)


def test_a_host_of_ip_version_6_is_quoted_in_the_endpoint() -> None:
    assert Settings(websocket_host="::1").endpoints() == (r"tcp:8765:interface=\:\:1",)


def test_each_name_is_used_once() -> None:
    for names in (
        [one.variable for one in DECLARATIONS],
        [one.option for one in DECLARATIONS],
    ):
        assert len(names) == len(set(names))
    for one in DECLARATIONS:
        assert one.help.endswith(".")
        assert isinstance(one.default, bool) == isinstance(one.kind, Flag)


def test_the_option_is_the_variable_without_its_prefix() -> None:
    for one in DECLARATIONS:
        name = one.variable.removeprefix("<BROKER>_").removeprefix("WS_").lower().replace("_", "-")
        assert one.option == name


def test_a_home_that_nobody_has_is_refused_like_any_file_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="a file that can be read"):
        find_file("~nobody-has-this-home/x.env")
