"""The compose file, and what it brings into the containers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from openalgo_ws.config import DECLARATIONS, load

compose_spec = pytest.importorskip("compose_spec")

#: `${NAME…}` in the file is filled in from deploy/.env.
INTERPOLATED = re.compile(r"\$\{(\w+)[^}]*\}")


@pytest.fixture
def text(deploy: Path) -> str:
    return (deploy / "compose.yaml").read_text()


@pytest.fixture
def compose(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_it_is_as_the_compose_specification_wants_it(text: str) -> None:
    parsed = compose_spec.PyCompose.from_yaml(text)

    parsed.validate()
    assert set(parsed.service_names()) == {"gateway", "postgres", "nats", "prometheus", "grafana"}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("cap_drop:", "cap_dorp:"), ("service_healthy", "service_fine"), ('"127.0.0.1:3000:3000"', '"3000:x"')],
)
def test_a_mistake_would_be_found(text: str, right: str, wrong: str) -> None:
    assert right in text

    with pytest.raises(ValueError, match=r".+"):
        compose_spec.PyCompose.from_yaml(text.replace(right, wrong))


def test_what_services_name_is_declared(compose: dict[str, Any], deploy: Path) -> None:
    for name, service in compose["services"].items():
        assert set(service.get("secrets", ())) <= set(compose["secrets"]), name
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (deploy / source).is_file(), volume
            else:
                assert source in compose["volumes"], volume


def test_images_have_versions_and_ports_are_on_loopback(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if "image" in service:
            assert re.search(r":v?\d", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_the_gateway_is_given_settings_that_there_are(compose: dict[str, Any]) -> None:
    filled = {
        "API_KEY_PEPPER": "p" * 64,
        "POSTGRES_PASSWORD": "0" * 64,
        "WS_ADMIN_TOKEN": "t" * 64,
    }

    def fill(match: re.Match[str]) -> str:
        default = match[0].partition(":-")[2].removesuffix("}")
        return filled.get(match[1], default)

    environ = {
        name: INTERPOLATED.sub(fill, str(value))
        for name, value in compose["services"]["gateway"]["environment"].items()
    }

    assert set(environ) <= {one.variable for one in DECLARATIONS}
    settings = load({}, environ).settings
    assert settings.database_url.reveal() == f"postgresql://openalgo:{'0' * 64}@postgres/openalgo"


def test_the_trusted_proxy_is_the_networks_own_address(compose: dict[str, Any]) -> None:
    (network,) = compose["networks"]["default"]["ipam"]["config"]

    assert compose["services"]["gateway"]["environment"]["WS_TRUSTED_PROXIES"].endswith(
        f":-{network['gateway']}}}"
    )


def test_the_pattern_of_its_env_file_has_all_that_must_be_set(text: str, deploy: Path) -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?\}", text)) | set(
        re.findall(r"^    environment: (\w+)$", text, re.M)
    )
    offered = set(re.findall(r"^#?(\w+)=", (deploy / "compose.env").read_text(), re.M))

    assert wanted <= offered
    assert offered <= set(INTERPOLATED.findall(text)) | wanted


def test_grafana_reads_the_dashboard_from_prometheus(compose: dict[str, Any], deploy: Path) -> None:
    targets = {volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]}
    (provider,) = yaml.safe_load((deploy / "grafana/dashboards.yml").read_text())["providers"]
    (source,) = yaml.safe_load((deploy / "grafana/datasource.yml").read_text())["datasources"]

    assert any(target.startswith(provider["options"]["path"] + "/") for target in targets)
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
