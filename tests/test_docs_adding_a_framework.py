"""The toy framework, its adapter and its tests in docs/adding-a-framework.md work as they stand."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

import agentracer
from agentracer._guard import swallowed
from agentracer.frameworks.registry import ENTRY_POINT_GROUP, spec_of, specs

PAGE = Path(__file__).parent.parent / "docs" / "adding-a-framework.md"
BLOCKS = {
    re.match(r"# (\w+)\.py", code)[1]: code
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
}
ENTRY_POINT = "[agentracer.adapters]\ntoyteam = toyteam_spec:spec\n"
TESTS = re.findall(r"^def (test_\w+)\(\)", BLOCKS["test_toyteam"], re.MULTILINE)


@pytest.fixture
def toyteam(tmp_path, monkeypatch):
    """The page's modules can be imported, and its adapter is registered as the page says."""
    folder = tmp_path / "page"
    folder.mkdir()
    for name, code in BLOCKS.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    installed = folder / "toyteam_agentracer-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: toyteam-agentracer\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINT)
    monkeypatch.syspath_prepend(str(folder))
    specs.cache_clear()
    yield importlib.import_module("toyteam")
    agentracer.uninstrument()
    specs.cache_clear()
    for name in BLOCKS:
        sys.modules.pop(name, None)


@pytest.fixture
def tests(toyteam):
    before = swallowed()
    agentracer.instrument("toyteam")
    yield importlib.import_module("test_toyteam")
    assert swallowed() == before


def seams(toyteam):
    return [dict(vars(owner)) for owner in (toyteam.Team, toyteam.Agent)]


@pytest.mark.parametrize("name", TESTS)
def test_the_pages_own_tests_pass(tests, name):
    getattr(tests, name)()


def test_the_adapter_is_undone_exactly(toyteam):
    before = seams(toyteam)
    agentracer.instrument("toyteam")
    assert seams(toyteam) != before
    agentracer.uninstrument()
    assert seams(toyteam) == before


@pytest.mark.usefixtures("internal_errors")
def test_a_failure_of_the_adapter_leaves_the_host_alone(tests, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("ours")

    with monkeypatch.context() as patch:
        patch.setattr("toyteam_adapter.RunScope", broken)
        patch.setattr("agentracer._guard.count_swallowed", lambda *_: None)
        assert tests.team().run("3 plus 4") == "SUM=8"


def test_a_run_without_a_record_block_is_a_trace_of_its_own(tests):
    tests.team().run("3 plus 4")
    (identity,) = agentracer.Store().ids()
    trace = agentracer.Store().load(identity)
    assert (trace.observed.framework, trace.outcome.ending) == ("toyteam", "finished")


def test_an_error_of_the_host_is_recorded_and_raised(tests):
    system = tests.team()
    system.agents[1].tools.clear()
    with pytest.raises(KeyError, match="add"):
        system.run("3 plus 4")
    (identity,) = agentracer.Store().ids()
    trace = agentracer.Store().load(identity)
    assert trace.outcome.ending == "raised"
    assert trace.steps[1].tool_calls[0].error.type == "KeyError"


def test_the_page_names_what_the_code_has(toyteam):
    text = PAGE.read_text(encoding="utf-8")
    adapter = importlib.import_module("toyteam_adapter").adapter
    assert all(hasattr(adapter, name) for name in ("name", "install", "uninstall", "advise"))
    assert f'[project.entry-points."{ENTRY_POINT_GROUP}"]' in text
    assert 'toyteam = "toyteam_spec:spec"' in text


def test_the_spec_is_asked_for_versions_and_systems(toyteam):
    from agentracer import doctor

    spec = spec_of(toyteam.Team())
    assert spec is not None
    assert spec.name == "toyteam"
    found = {finding.subject: finding.text for finding in doctor.examine()}
    assert found["toyteam"].startswith("not installed")
