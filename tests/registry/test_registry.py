"""Adapters are found by name; what is broken is reported by name and does not hide the rest."""

import importlib
import sys
from importlib.metadata import EntryPoint

import pytest

from openalgo_ws.registry import GROUP, AdapterBroken, AdapterNotFound, Registry


def offer(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A place for third-party modules that can be imported by name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()

    return write


def test_the_installed_adapters_are_found():
    registry = Registry()
    assert "zerodha" in registry.names()
    assert registry.load("zerodha").name == "zerodha"


def test_every_installed_adapter_loads():
    adapters, broken = Registry().all()
    assert broken == []
    assert sorted(adapters) == Registry().names()


def test_a_name_that_nobody_offers():
    with pytest.raises(AdapterNotFound) as caught:
        Registry([]).load("zerodha")
    assert caught.value.name == "zerodha"
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("", "AttributeError"),
        ("adapter = 'zerodha'", "is not an Adapter"),
        ("from openalgo_adapters.zerodha import adapter", "calls itself 'zerodha'"),
    ],
)
def test_a_broken_adapter_is_reported_by_name_and_the_others_load(modules, source, reason):
    name = f"third_party_{len(source)}"
    modules(name, source)
    registry = Registry(
        [offer("third", f"{name}:adapter"), offer("zerodha", "openalgo_adapters.zerodha:adapter")]
    )
    with pytest.raises(AdapterBroken, match="'third'") as caught:
        registry.load("third")
    assert reason in caught.value.reason

    adapters, broken = registry.all()
    assert list(adapters) == ["zerodha"]
    assert [problem.name for problem in broken] == ["third"]


def test_nothing_is_imported_before_it_is_asked_for(modules):
    modules("third_party_lazy", "raise SystemError('imported')")
    registry = Registry([offer("lazy", "third_party_lazy:adapter")])
    assert registry.names() == ["lazy"]


def test_two_packages_with_one_name_are_not_guessed_between():
    registry = Registry(
        [offer("zerodha", "openalgo_adapters.zerodha:adapter"), offer("zerodha", "other:adapter")]
    )
    with pytest.raises(AdapterBroken, match="several packages"):
        registry.load("zerodha")


def test_the_same_offer_seen_twice_is_one():
    twice = offer("zerodha", "openalgo_adapters.zerodha:adapter")
    assert Registry([twice, twice]).load("zerodha").name == "zerodha"
