"""Which adapters there are, and what is known of their frameworks."""

from __future__ import annotations

import logging
import sys

import pytest

import agentracer
from agentracer import doctor, instrumentation
from agentracer.frameworks import registry
from agentracer.frameworks.spec import AdapterSpec, GraphKeys


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Installs distributions with entry points; gives a function that does."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(module: str, code: str, entry: str) -> None:
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        folder = tmp_path / f"{module}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\n")
        (folder / "entry_points.txt").write_text(f"[agentracer.adapters]\n{entry}\n")
        registry.specs.cache_clear()

    yield install
    for name in ("plugin_one", "plugin_two"):
        sys.modules.pop(name, None)
    registry.specs.cache_clear()


SPEC = """
from agentracer.frameworks.spec import AdapterSpec
spec = AdapterSpec(name={name!r}, module="m", trigger="t", packages=("somewhere",))
"""


def test_a_plug_in_is_known_by_its_entry_point(plugins):
    plugins("plugin_one", SPEC.format(name="other"), "other = plugin_one:spec")
    assert {"other", "autogen", "camel", "langgraph", "maas"} <= set(registry.specs())


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('broken on import')", "broken on import"),
        ("spec = 'no spec'", "no AdapterSpec"),
        (SPEC.format(name="langgraph"), "name taken"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_left_out_with_a_warning(plugins, caplog, code, says):
    plugins("plugin_two", code, "other = plugin_two:spec")
    with caplog.at_level(logging.WARNING, "agentracer"):
        known = registry.specs()
    assert says in caplog.text
    assert known["langgraph"].module == "agentracer.adapters.langgraph"
    assert "other" not in known


@pytest.mark.parametrize(
    ("version", "tested"),
    [
        ("1.1.0", True),
        ("1.1", True),
        ("1.2.24", True),
        ("1.2.0rc1", True),
        ("1.0.9", False),
        ("1.3.0", False),
        ("2.0", False),
    ],
)
def test_a_newest_version_includes_its_patch_releases(version, tested):
    spec = AdapterSpec(name="x", module="m", trigger="t", packages=("x",), tested=("1.1", "1.2"))
    assert spec.is_tested(version) is tested


def test_an_untested_version_is_warned_of_once(monkeypatch, caplog):
    pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
    import langgraph.pregel  # noqa: F401

    monkeypatch.setattr(instrumentation, "_warned", set())
    monkeypatch.setattr(AdapterSpec, "installed_version", lambda self: "9.9")
    with caplog.at_level(logging.WARNING, "agentracer"):
        for _ in range(2):
            agentracer.instrument("langgraph")
            agentracer.uninstrument()
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "langgraph 9.9 is installed; capture was tested with 1.1.10 to 1.2" in warning


def test_a_tested_version_is_not_warned_of(monkeypatch, caplog):
    pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
    import langgraph.pregel  # noqa: F401

    monkeypatch.setattr(instrumentation, "_warned", set())
    with caplog.at_level(logging.WARNING, "agentracer"):
        agentracer.instrument("langgraph")
        agentracer.uninstrument()
    assert caplog.text == ""


def test_doctor_looks_at_every_adapter():
    subjects = {finding.subject for finding in doctor.examine()}
    expected = {spec.distribution or spec.name for spec in registry.specs().values()}
    expected |= {
        built.distribution for spec in registry.specs().values() for built in spec.built_on_it
    }
    assert expected <= subjects
    assert "deepagents" in expected
    assert "maas" in expected


def test_doctor_warns_of_an_untested_version_of_what_is_built_on_a_framework(monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: "9.9" if name == "deepagents" else None)
    (finding,) = [found for found in doctor.examine() if found.subject == "deepagents"]
    assert finding.level == "warning"
    assert finding.text == "9.9; capture was tested with 0.7.32"
    assert "[deepagents]" in finding.remedy


def test_a_system_is_known_by_its_classes():
    class Own:
        pass

    assert registry.spec_of(Own()) is None
    assert registry.spec_of([]) is None
    foreign = type("Team", (), {"__module__": "autogen_agentchat.teams"})
    subclass = type("Mine", (foreign,), {})
    found = [registry.spec_of(system) for system in (foreign(), subclass, [subclass()])]
    assert [spec and spec.name for spec in found] == ["autogen"] * 3


def test_an_agents_name_from_around_a_graph_does_not_hide_the_agent_inside():
    place = "langgraph_checkpoint_ns"
    handed_down = {"langgraph_node": "model", "lc_agent_name": "supervisor"}
    inside = {**handed_down, place: "tools:1|solver:2|model:3"}
    assert registry.LANGGRAPH.agent_of(inside, "supervisor") == "solver"
    assert registry.LANGGRAPH.agent_of(inside, "chief") == "supervisor"
    unnamed = {**handed_down, place: "tools:1|model:3"}
    assert registry.LANGGRAPH.agent_of(unnamed, "supervisor") == "supervisor"


@pytest.mark.parametrize(
    ("metadata", "agent"),
    [
        ({"node": "solver"}, "solver"),
        ({"node": "model", "name": "desk"}, "desk"),
        ({"node": "model", "place": "solver:1|model:2"}, "solver"),
        ({"node": "x.before_model", "place": "solver:1|x.before_model:2"}, "solver"),
        ({"node": "model"}, None),
        ({}, None),
    ],
)
def test_the_agent_of_a_node_is_the_node_or_what_holds_an_inner_node(metadata, agent):
    keys = GraphKeys(
        node="node",
        agent="name",
        namespaces=("place",),
        inner_nodes=frozenset({"model"}),
        inner_suffixes=(".before_model",),
    )
    assert keys.agent_of(metadata) == agent
