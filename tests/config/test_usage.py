"""The command line of the plug-in and the reference page."""

from __future__ import annotations

from pathlib import Path

import pytest

from openalgo_ws.config import DECLARATIONS
from openalgo_ws.config.usage import markdown, usage_of
from openalgo_ws.options import Options

DOCS = Path(__file__).parents[2] / "docs"


def parsed(*arguments: str, environ: dict[str, str] | None = None) -> Options:
    options = Options(environ or {})
    options.parseOptions(list(arguments))
    return options


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``.env`` of the checkout plays a part."""
    monkeypatch.chdir(tmp_path)


def test_options_make_settings() -> None:
    settings = parsed(
        "--listen",
        "tcp:1:interface=127.0.0.1",
        "--listen=tcp:2:interface=127.0.0.1",
        "--demo",
        "--no-auth-required",
        "--throttle-ms=0",
        "--feed-url",
        "zerodha=ws://127.0.0.1:9",
        environ={"WS_THROTTLE_MS": "9", "ZMQ_PORT": "1234"},
    ).settings

    assert settings.listen == ("tcp:1:interface=127.0.0.1", "tcp:2:interface=127.0.0.1")
    assert (settings.demo, settings.auth_required) == (True, False)
    assert (settings.throttle_ms, settings.zmq_port) == (0, 1234)
    assert settings.feed_url == {"zerodha": "ws://127.0.0.1:9"}


def test_a_flag_may_be_switched_off_again() -> None:
    assert parsed("--no-demo", environ={"WS_DEMO": "true"}).settings.demo is False


def test_a_file_is_named_by_config(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("ZMQ_PORT=77\n")

    assert parsed("--config", "my.env").settings.zmq_port == 77


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--throttle-ms", "fast"], "--throttle-ms=fast: allowed is a whole number"),
        (["--no-such-thing"], "option --no-such-thing not recognized"),
        (["stray"], "Wrong number of arguments."),
        (["--config", "nothing"], "--config=nothing: allowed is a file"),
        (["--api-key-pepper", "s3cret"], "--api-key-pepper: allowed is a secret of at least 32"),
    ],
)
def test_a_mistake_ends_with_one_line_and_exit_code_1(arguments: list[str], line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)

    assert isinstance(ended.value.code, str)  # a text: printed on standard error, exit code 1
    assert ended.value.code.startswith(f"openalgo-ws: {line}")
    assert "\n" not in ended.value.code
    assert "s3cret" not in ended.value.code


def test_help_tells_of_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--help")

    printed = capsys.readouterr().out
    assert ended.value.code == 0
    for declaration in DECLARATIONS:
        assert f"  {usage_of(declaration)}\n" in printed
        assert declaration.variable in printed
    for group in {declaration.group for declaration in DECLARATIONS}:
        assert printed.count(f"\n{group}\n") == 1
    assert max(map(len, printed.splitlines())) <= 100


def test_the_reference_page_is_current() -> None:
    written = (DOCS / "settings.md").read_text(encoding="utf-8")

    assert written == markdown(), "run: python -m openalgo_ws.config > docs/settings.md"
