"""The comparison of a suite with and without recording sees what it has to see."""

from __future__ import annotations

import sys
import textwrap

import pytest
from benchmarks.host_suites import __main__ as program
from benchmarks.host_suites.compare import Comparison, Outcomes, Traces, inspect_traces
from benchmarks.host_suites.environment import SuiteError, obtain
from benchmarks.host_suites.suites import SUITES, Suite

from agentracer.store import Store

pytestmark = pytest.mark.slow

SUITE = Suite(distribution="pytest", environment="own")
TESTS = """
import asyncio, os, sys
import pytest
from agentracer.recording import current_run

def recorded():
    return "--recorded" in sys.argv

def test_passes_in_both_ways():
    assert True

def test_runs_inside_a_record_block_exactly_if_it_is_recorded():
    assert (current_run() is not None) == recorded()

@pytest.mark.asyncio
async def test_runs_inside_one_on_an_event_loop_too():
    await asyncio.sleep(0)
    assert (current_run() is not None) == recorded()

def test_fails_only_if_it_is_recorded():
    assert not recorded()

@pytest.mark.parametrize("kind", ["a", "b"])
def test_compares_handlers(kind):
    assert not recorded()

def test_skips():
    pytest.skip("not here")
"""


def outcomes(**fields):
    facts = {"outcomes": {}, "failures": {}, "seconds": 1.0, "swallowed": {}, "descriptors": 0}
    return Outcomes(**{**facts, **fields})


def comparison(without, recorded, again=({}, {}), suite=SUITE, **fields):
    return Comparison(
        suite,
        outcomes(outcomes=without),
        outcomes(outcomes=recorded, **fields),
        Traces(),
        again,
    )


def test_a_suite_is_run_in_both_ways_and_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "BUILD", tmp_path / "build")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading all takes most of the time
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p pytest_asyncio.plugin -p pytest_timeout")
    source = tmp_path / "source"
    (source / "tests").mkdir(parents=True)
    (source / "tests" / "test_it.py").write_text(textwrap.dedent(TESTS), encoding="utf-8")
    suite = Suite(
        distribution="x",
        environment="x",
        handler_lists=frozenset({"tests/test_it.py::test_compares_handlers"}),
    )
    found = program._compare(suite, source, sys.executable, ["tests"])
    assert found.newly_failing == ["tests/test_it.py::test_fails_only_if_it_is_recorded"]
    assert len(found.handler_lists) == 2
    assert found.unstable == []
    assert found.recorded.swallowed == {}
    assert (found.traces.count, found.traces.open, found.traces.unreadable) == (7, [], {})
    assert found.row()["tests"] == "7"
    assert found.row()["passed"] == "3"
    assert not found.sound


def test_a_test_that_differs_once_only_is_unstable_and_not_newly_failing():
    found = comparison({"t": "passed"}, {"t": "failed"}, ({"t": "passed"}, {"t": "passed"}))
    assert (found.newly_failing, found.unstable) == ([], ["t"])
    assert found.sound


def test_a_test_that_vanishes_is_a_difference():
    found = comparison({"t": "passed"}, {}, ({"t": "passed"}, {}))
    assert found.newly_failing == ["t"]


def test_a_swallowed_error_is_not_sound():
    found = comparison({"t": "passed"}, {"t": "passed"}, swallowed={"place: E": 2})
    assert not found.sound
    assert found.row()["swallowed errors"] == "2"
    assert any("2 x place: E" in remark for remark in found.remarks())


def test_an_open_trace_and_a_lost_step_are_counted(tmp_path):
    store = Store(tmp_path)
    lines = [
        b'{"e":"run","id":"one","schema_version":"1.0"}\n',
        b'{"e":"step","index":0,"step":{"kind":"llm"}}\n',
    ]
    path = store.journal_path("one")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(lines))
    traces = inspect_traces(store)
    assert traces.open == ["one"]
    assert traces.nameless == {"one": 1}


def test_a_suite_whose_sdist_has_no_tests_asks_for_a_checkout(tmp_path):
    pytest.importorskip("camel", reason="needs the extra [camel]")
    with pytest.raises(SuiteError, match="--source camel-ai=PATH"):
        obtain(SUITES["camel-ai"], tmp_path, None)
