"""Whatever happens in here, tests end as they would without us."""

from __future__ import annotations

import sys

import pytest

import agentracer._pytest.diagnosis
import agentracer._pytest.verification
from agentracer import _guard
from agentracer._pytest.recording import RecordingPlugin
from agentracer.attribution import Tracer
from agentracer.errors import BackendError

pytest_plugins = ["pytester"]

EVERY_OUTCOME = """
import unittest

def test_passes(): run_team("ok")
def test_fails(): assert good(run_team("bad"))
def test_raises(): run_team("ok"); raise KeyError("x")
def test_fails_by_hand(): run_team("ok"); pytest.fail("no")
def test_exits(): run_team("ok"); raise SystemExit(3)
def test_skips(): run_team("ok"); pytest.skip("not today")
@pytest.mark.skip
def test_is_skipped(): pass
@pytest.mark.xfail
def test_fails_as_expected(): assert good(run_team("bad"))
@pytest.mark.xfail
def test_passes_unexpectedly(): run_team("ok")
@pytest.mark.xfail(strict=True)
def test_passes_against_all_odds(): run_team("ok")

@pytest.fixture
def broken(): run_team("bad"); assert False
def test_has_a_broken_fixture(broken): pass

@pytest.fixture
def untidy(): yield run_team("ok"); assert False
def test_has_an_untidy_fixture(untidy): pass
def test_fails_and_has_one(untidy): assert False

class TestOld(unittest.TestCase):
    def test_old(self): self.assertTrue(good(run_team("bad")))

@pytest.mark.agentracer(repeat=3)
def test_is_repeated(agentracer_run):
    lines = run_team("bad")
    agentracer_run.system(lambda: run_team("bad"), good)
    assert good(lines)

class TestGroup:
    @pytest.mark.agentracer(repeat=2)
    def test_of_a_class(self): assert not hasattr(self, "used"); self.used = run_team("ok")
"""


@pytest.fixture(autouse=True)
def fresh_counts(monkeypatch):
    """What is swallowed here is forgotten again."""
    monkeypatch.setattr(_guard, "_counts", type(_guard._counts)())
    monkeypatch.setattr(_guard, "_first", {})
    monkeypatch.setattr(_guard, "_reported", 0)


@pytest.fixture
def outcomes(project, monkeypatch):
    """The outcome of each phase of each test, and the exit code, under some options."""

    def run(*options):
        seen = []

        class Listener:
            def pytest_runtest_logreport(self, report):
                expected = hasattr(report, "wasxfail")
                seen.append((report.nodeid, report.when, report.outcome, expected))

        inner = project.pytester.inline_run
        project.pytester.makepyfile(test_it="from team import *\n" + EVERY_OUTCOME)
        quiet = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:asyncio")
        result = inner(*quiet, *options, plugins=[Listener()])
        return seen, result.ret

    return run


@pytest.fixture
def expected(outcomes):
    off = outcomes("-p", "no:agentracer", "-p", "team_plugin_stand_in")
    assert len({nodeid for nodeid, *_ in off[0]}) == 16
    return off


@pytest.fixture(autouse=True)
def stand_in(project):
    """Without the plugin there is no fixture, and an agent of the miniature wants a run."""
    project.pytester.makepyfile(
        team_plugin_stand_in="""
import agentracer, pytest
from agentracer.pytest_plugin import _UnrecordedRun

@pytest.fixture
def agentracer_run(): return _UnrecordedRun()

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with agentracer.record():
        return (yield)
"""
    )
    project.pytester.syspathinsert()


def broken(*_args, **_kwargs):
    raise RuntimeError("ours")


FAULTS = {
    "none": lambda patch: None,
    "recording": lambda patch: patch.setattr(RecordingPlugin, "_begin", broken),
    "ending": lambda patch: patch.setattr(RecordingPlugin, "_end", broken),
    "the tracer": lambda patch: patch.setattr(Tracer, "attribute", broken),
    "the backend": lambda patch: patch.setattr(
        Tracer, "attribute", lambda *_: (_ for _ in ()).throw(BackendError("down"))
    ),
    "the report": lambda patch: patch.setattr("agentracer.report.html.write", broken),
    "the section": lambda patch: patch.setattr(
        agentracer._pytest.diagnosis.Diagnosis, "attach", broken
    ),
    "the proof": lambda patch: patch.setattr(
        agentracer._pytest.verification, "find_decisive", broken
    ),
    "the import": lambda patch: patch.setitem(sys.modules, "agentracer._pytest", None),
    "a timeout's exception": lambda patch: patch.setattr(
        Tracer, "attribute", lambda *_: pytest.fail("Timeout")
    ),
}


def needs_a_run(fault):
    return fault in ("recording", "the import")


@pytest.mark.parametrize("fault", FAULTS)
def test_outcomes_and_exit_code_are_those_without_the_plugin(
    expected, outcomes, monkeypatch, fault
):
    FAULTS[fault](monkeypatch)
    extra = ("-p", "team_plugin_stand_in") if needs_a_run(fault) else ()
    if fault == "recording":
        extra = ("-p", "no_fixture_stand_in")
    assert outcomes("--agentracer", "--agentracer-verify", *extra) == expected


@pytest.fixture(autouse=True)
def run_stand_in(project):
    """As `stand_in`, but the fixture is ours."""
    project.pytester.makepyfile(
        no_fixture_stand_in="""
import agentracer, pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with agentracer.record():
        return (yield)
"""
    )


def test_warnings_that_are_errors_do_not_hit_us(expected, outcomes):
    assert outcomes("--agentracer", "-W", "error") == expected


@pytest.mark.parametrize("where", ["store", "reports"])
def test_a_folder_that_cannot_be_written_changes_nothing(
    expected, outcomes, monkeypatch, tmp_path, where
):
    wall = tmp_path / "a file"
    wall.write_text("")
    if where == "store":
        monkeypatch.setenv("AGENTRACER_HOME", str(wall))
        options = ()
    else:
        options = (f"--agentracer-reports={wall}/below",)
    assert outcomes("--agentracer", *options) == expected


def test_what_went_wrong_is_told(project, tmp_path):
    wall = tmp_path / "a file"
    wall.write_text("")
    options = ("--agentracer", f"--agentracer-reports={wall}/below", "--agentracer-model=nonsense")
    result = project("def test_bad(): run_team('ok'); assert False", *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no verdict: *nonsense*", "*no HTML report: *Not a directory*"])


def test_a_page_that_cannot_be_drawn_costs_only_itself(project, monkeypatch):
    monkeypatch.setattr("agentracer.report.html.write", broken)
    result = project("def test_bad(): run_team('ok'); assert False", "--agentracer")
    result.stdout.fnmatch_lines(["No step stands out.", "no HTML report: ours"])


def test_a_broken_installation_is_told(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "agentracer._pytest", None)
    result = project("def test_good(): pass", "--agentracer", "-W", "error")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["agentracer could not record these tests: *"])


def test_a_bad_setting_is_told(project):
    project.pytester.makeini("[pytest]\nagentracer_verify_runs = many")
    result = project("def test_good(): pass", "--agentracer")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["agentracer could not record these tests: *many*"])


def test_what_we_do_is_not_on_the_tests_time_limit(project, monkeypatch):
    """A limit of the method `thread` would end the whole process."""
    import time

    attribute = Tracer.attribute

    def slow(*given):
        time.sleep(1.5)
        return attribute(*given)

    monkeypatch.setattr(Tracer, "attribute", slow)
    tests = "def test_bad(): run_team('ok'); assert False\ndef test_good(): run_team('ok')"
    result = project(tests, "--agentracer", "--timeout=1", "--timeout-method=signal")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*: 1 failed test"])


def test_the_tests_own_time_limit_still_holds(project):
    tests = """
import time
def test_bad(): run_team("ok"); time.sleep(30)
@pytest.fixture
def slow_to_end(): yield; time.sleep(30)
def test_worse(slow_to_end): run_team("ok")
"""
    result = project(tests, "--agentracer", "--timeout=1", "--timeout-method=signal")
    result.assert_outcomes(failed=1, passed=1, errors=1)
    assert result.duration < 20


def test_no_log_record_of_ours_reaches_a_tests_own_log(project, tmp_path, monkeypatch):
    wall = tmp_path / "a file"
    wall.write_text("")
    monkeypatch.setenv("AGENTRACER_HOME", str(wall))
    tests = "def test_good(caplog): run_team('ok'); assert caplog.records == []"
    project(tests, "--agentracer").assert_outcomes(passed=1)
