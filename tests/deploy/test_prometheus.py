"""Prometheus reads its configuration, and the status port's metrics as its own linter wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

WHERE = "/run/secrets/admin_token"


@pytest.fixture
def text(deploy: Path) -> str:
    return (deploy / "prometheus.yml").read_text()


def test_promtool_finds_nothing_wrong(tool: Any, passes: Any, text: str, tmp_path: Path) -> None:
    token = tmp_path / "admin_token"
    token.write_text("not a token")
    assert WHERE in text
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace(WHERE, str(token)))

    passes(tool("promtool"), "check", "config", "--lint-fatal", config)


def test_it_reads_the_gateway_that_compose_starts(deploy: Path, text: str) -> None:
    (job,) = yaml.safe_load(text)["scrape_configs"]
    gateway = yaml.safe_load((deploy / "compose.yaml").read_text())["services"]["gateway"]

    (targets,) = (one["targets"] for one in job["static_configs"])
    host, _, port = targets[0].partition(":")
    assert host == "gateway"
    assert any(one.endswith(f":{port}") for one in gateway["ports"])
    # The path that a secret of this name has in a container.
    assert job["authorization"]["credentials_file"] == WHERE
