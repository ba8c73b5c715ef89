"""What a failed test's report says of its agents, and what is kept of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

pytest_plugins = ["pytester"]

FAILS = """
def test_bad():
    assert good(run_team("ok", "bad", "ok"))
"""


def pages(home):
    return sorted((home / "reports").glob("*.html"))


def section(result):
    """The text of the section `agentracer` of the first failure."""
    text = result.stdout.str()
    found = re.search(r"^-+ agentracer -+\n(.*?)^[-=_]{20}", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else None


def test_a_failed_test_gets_a_section_that_names_agent_and_step(project, home, store):
    result = project(FAILS, "--agentracer")
    result.assert_outcomes(failed=1)
    text = section(result)
    assert re.search(
        r"^No step stands out\.\n  read these first: step [012] \((alice|bob|carol)\)", text
    )
    (page,) = pages(home)
    assert f"report  {page}" in text
    identity = re.search(r"^trace   (\S+)", text, re.MULTILINE)[1]
    trace = store.load(identity)
    assert [step.agent for step in trace.steps] == ["alice", "bob", "carol"]
    assert trace.outcome.success is False
    assert trace.outcome.ending == "finished"
    assert trace.outcome.error.message.startswith("assert")
    assert store.load_verdict(identity).trace_id == identity
    assert identity in page.read_text()


def test_a_failure_without_agents_gets_no_section_and_leaves_no_trace(project, home, store):
    result = project("def test_bad(): assert 1 == 2", "--agentracer")
    result.assert_outcomes(failed=1)
    assert "agentracer" not in result.stdout.str().partition("FAILURES")[2]
    assert store.ids() == pages(home) == []


def test_a_test_whose_body_never_runs_leaves_no_trace(project, store):
    project("def test_good(): pass", "--agentracer", "--setup-only")
    assert store.ids() == []


def test_a_test_that_passes_gets_none_but_its_run_is_kept(project, home, store):
    result = project("def test_good(): assert good(run_team('ok'))", "--agentracer")
    result.assert_outcomes(passed=1)
    assert "this run fail" not in result.stdout.str()
    assert store.load("latest").outcome.success is True
    assert pages(home) == []


def test_an_exception_out_of_the_agents_is_recorded_as_one(project, store):
    tests = "def test_bad(): run_team('ok'); raise KeyError('lost')"
    project(tests, "--agentracer").assert_outcomes(failed=1)
    outcome = store.load("latest").outcome
    assert (outcome.ending, outcome.error.type) == ("raised", "KeyError")


def test_agents_that_run_in_a_fixture_belong_to_the_test(project):
    tests = """
@pytest.fixture
def lines():
    return run_team("ok", "bad")

def test_bad(lines):
    assert good(lines)
"""
    assert "No step stands out." in section(project(tests, "--agentracer"))


def test_a_fixture_that_fails_is_attributed_too(project):
    tests = """
@pytest.fixture
def lines():
    assert good(run_team("ok", "bad"))

def test_bad(lines): pass
"""
    result = project(tests, "--agentracer")
    result.assert_outcomes(errors=1)
    assert "No step stands out." in section(result)


def test_a_failed_subtest_counts(project):
    tests = """
def test_bad(subtests):
    lines = run_team("ok", "bad")
    with subtests.test("first"):
        assert good(lines)
    with subtests.test("second"):
        assert lines
    run_team("ok")
"""
    result = project(tests, "--agentracer")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*: 1 failed test"])


def test_a_record_block_of_the_tests_own_is_what_is_attributed(project, store):
    tests = """
import agentracer

def test_bad():
    with agentracer.record("mine") as run:
        lines = run_team("ok", "bad")
    assert good(lines)
"""
    text = section(project(tests, "--agentracer"))
    assert "If this run failed, no step stands out." in text
    assert store.load(re.search(r"^trace   (\S+)", text, re.MULTILINE)[1]).task == "mine"


def test_what_the_test_says_of_its_run_is_kept(project, store):
    tests = """
def test_bad(agentracer_run):
    agentracer_run.task = "write well"
    agentracer_run.ground_truth = {"lines": 3}
    agentracer_run.annotate(ticket=7)
    agentracer_run.result = run_team("ok", "bad")
    assert agentracer_run.trace.id == agentracer_run.id
    assert good(agentracer_run.result)
"""
    assert "expected: {" in section(project(tests))
    trace = store.load("latest")
    assert trace.task == "write well"
    assert trace.ground_truth.answer == {"lines": 3}
    assert trace.metadata["ticket"] == 7
    assert trace.metadata["test"] == "test_it.py::test_bad"


def test_a_run_that_the_test_calls_failed_stays_so_though_the_test_passes(project, store):
    tests = "def test_good(agentracer_run): run_team('ok'); agentracer_run.fail('dubious')"
    project(tests).assert_outcomes(passed=1)
    assert store.load("latest").outcome.success is False


def test_reports_go_where_they_are_asked_for(project, home):
    project(FAILS, "--agentracer", "--agentracer-reports=out/pages")
    assert len(list((project.path / "out" / "pages").glob("test-it-py-test-bad-*.html"))) == 1
    assert pages(home) == []
    project.pytester.makeini("[pytest]\nagentracer = true\nagentracer_reports = there")
    assert "report  there/test-it-py-test-bad" in section(project(FAILS))


def test_junit_xml_has_the_verdict_as_properties(project, home):
    project(FAILS, "--agentracer", "--junitxml=out.xml")
    case = ElementTree.parse(project.path / "out.xml").find(".//testcase")
    facts = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert facts["agentracer.agent"] in {"alice", "bob", "carol"}
    assert facts["agentracer.step"] in {"0", "1", "2"}
    assert 0 <= float(facts["agentracer.confidence"]) <= 1
    assert facts["agentracer.report"] == str(pages(home)[0])
    assert len(list(case.iter("property"))) == len(facts)


def test_the_end_of_the_session_groups_failures_by_who_is_blamed(project):
    tests = """
from agentracer.recording import current_run

@pytest.mark.parametrize("blamed", ["zoe", "yan", "zoe", "nobody"])
def test_bad(blamed):
    if blamed != "nobody":
        recorder = current_run().recorder
        recorder.end_step(recorder.begin_step(blamed), content="So 12 * 12 = 142.")
        recorder.end_step(recorder.begin_step("bob"), content="All done.")
    assert False
"""
    result = project(tests, "--agentracer")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "=* agentracer: failed tests by blamed agent =*",
            "zoe: 2 failed tests",
            "  test_it.py::test_bad[[]zoe0[]]  step 0  checked*  *.html",
            "  test_it.py::test_bad[[]zoe1[]]  step 0  *.html",
            "yan: 1 failed test",
        ]
    )


@pytest.mark.slow
def test_all_of_it_works_under_xdist(project, home):
    tests = """
@pytest.mark.parametrize("n", range(6))
def test_some(n):
    assert good(run_team("ok", "bad" if n % 2 else "ok"))
"""
    options = ("--agentracer", "-n", "2", "--junitxml=out.xml")
    result = project(tests, *options, how="subprocess")
    result.assert_outcomes(failed=3, passed=3)
    assert section(result)
    result.stdout.fnmatch_lines(["*: 3 failed tests"])
    assert len(pages(home)) == 3
    cases = ElementTree.parse(project.path / "out.xml").iter("testcase")
    told = [sum(p.get("name") == "agentracer.agent" for p in c.iter("property")) for c in cases]
    assert sorted(told) == [0, 0, 0, 1, 1, 1]


def test_strangers_text_is_only_text(project):
    tests = r"""
from agentracer.recording import current_run

def test_bad():
    recorder = current_run().recorder
    recorder.end_step(recorder.begin_step("\x1b[31mred\u202e"), content="\x1b]0;title\x07")
    assert False, "x"
"""
    result = project(tests, "--agentracer", "--junitxml=out.xml")
    text = result.stdout.str().partition("- agentracer -")[2]
    assert r"\x1b[31mred\u202e" in text
    assert "\x1b]0;" not in text
    assert "\u202e" not in (project.path / "out.xml").read_text()


def test_a_typo_in_the_marker_is_told(project):
    tests = "@pytest.mark.agentracer(repeats=3)\ndef test_good(): run_team('ok')"
    result = project(tests)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*::test_good: unknown parameter of the agentracer marker: repeats*"]
    )
