"""`@pytest.mark.agentracer(repeat=n)`: the first run counts, the others are observed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

pytest_plugins = ["pytester"]

MOODY = """
from collections import Counter
count = Counter()

def moody(*fails):
    '''Runs a team that makes its error in these runs of the test.'''
    count["runs"] += 1
    return run_team("ok", "bad" if count["runs"] in fails else "ok")
"""


def test_a_test_that_fails_once_in_five_tells_so(project):
    tests = f"""{MOODY}
@pytest.mark.agentracer(repeat=5)
def test_flaky():
    assert good(moody(3))
"""
    result = project(tests)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "=* agentracer: repeated tests =*",
            "test_it.py::test_flaky",
            "  failed in 1 of 5 runs (20 %, 95 % interval 4 % to 62 %)",
            "  no step stands out in 1 of 5 runs (20 %, *)",
        ]
    )
    assert result.ret == 0


def test_the_first_run_decides_though_all_others_pass(project):
    tests = f"""{MOODY}
@pytest.mark.agentracer(repeat=3)
def test_flaky():
    print("run", count["runs"])
    assert good(moody(1))
"""
    result = project(tests, "--junitxml=out.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["-* agentracer: repeats -*", "failed in 1 of 3 runs (33 %, *)"])
    text = result.stdout.str()
    assert "run 0" in text
    assert "run 1" not in text
    case = ElementTree.parse(project.path / "out.xml").find(".//testcase")
    names = [p.get("name") for p in case.iter("property")]
    assert names.count("agentracer.repeats") == names.count("agentracer.agent") == 1


def test_each_run_has_fresh_fixtures_and_shares_the_wider_ones(project):
    tests = """
made = []
@pytest.fixture(scope="module", autouse=True)
def wide(): made.append("wide"); yield; made.append("wide ends"); print(*made, sep=",")
@pytest.fixture
def narrow(): made.append("narrow"); yield []; made.append("narrow ends")

@pytest.mark.agentracer(repeat=3)
def test_flaky(narrow):
    assert narrow == []
    narrow.append(run_team("ok"))

class TestGroup:
    @pytest.mark.agentracer(repeat=2)
    def test_of_a_class(self):
        assert not hasattr(self, "used")
        self.used = True
        run_team("ok")
"""
    result = project(tests, "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*wide" + ",narrow,narrow ends" * 3 + ",wide ends"])
    assert result.stdout.str().count("failed in 0 of 3 runs") == 1
    assert result.stdout.str().count("failed in 0 of 2 runs") == 1


def test_a_failure_in_wider_teardown_is_still_reported_with_the_last_test(project):
    tests = """
@pytest.fixture(scope="module", autouse=True)
def wide(): yield; assert False, "wide"

@pytest.mark.agentracer(repeat=3)
def test_flaky(): run_team("ok")
"""
    result = project(tests)
    result.assert_outcomes(passed=1, errors=1)


def test_fixtures_that_only_fail_in_a_repeat_change_nothing(project):
    tests = f"""{MOODY}
@pytest.fixture
def lines(): yield moody(2); assert count["runs"] == 1
@pytest.mark.agentracer(repeat=3)
def test_flaky(lines): assert good(lines)
"""
    result = project(tests)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  failed in 1 of 3 runs *"])


def test_a_session_that_stops_at_the_first_failure_stops(project):
    tests = """
@pytest.mark.agentracer(repeat=3)
@pytest.mark.parametrize("n", [1, 2])
def test_flaky(n): assert good(run_team("bad"))
"""
    result = project(tests, "-x")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["failed in 3 of 3 runs *"])


def test_what_is_skipped_or_cannot_begin_is_not_repeated(project):
    tests = """
@pytest.mark.agentracer(repeat=3)
def test_skipped(): pytest.skip("today")

@pytest.fixture
def broken(): run_team("ok"); assert False
@pytest.mark.agentracer(repeat=3)
def test_broken(broken): pass
"""
    result = project(tests)
    result.assert_outcomes(skipped=1, errors=1)
    assert "repeated tests" not in result.stdout.str()


@pytest.mark.slow
def test_repeats_work_under_xdist(project):
    tests = f"""{MOODY}
@pytest.mark.agentracer(repeat=4)
@pytest.mark.parametrize("n", range(4))
def test_flaky(n):
    count["runs"] %= 4
    assert good(moody(1, 3))
"""
    result = project(tests, "-n", "2", how="subprocess")
    result.assert_outcomes(failed=4)
    assert len(re.findall(r"^  failed in 2 of 4 runs", result.stdout.str(), re.MULTILINE)) == 4
