"""Off unless asked for; and what it costs then."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

TESTS = """
def test_plain():
    run_team("ok") if watched() else None

{asks}
def test_asking({fixture}):
    assert watched()

def watched():
    from agentracer.recording import current_run
    return current_run() is not None
"""


@pytest.mark.parametrize(
    ("asks", "fixture"),
    [("@pytest.mark.agentracer", ""), ("", "agentracer_run")],
    ids=["marker", "fixture"],
)
def test_a_single_test_can_ask(project, store, asks, fixture):
    project(TESTS.format(asks=asks, fixture=fixture)).assert_outcomes(passed=2)
    assert store.ids() == []  # the other one was not watched, and this one ran no agents


@pytest.mark.parametrize(("option", "ini"), [("--agentracer", ""), ("-v", "agentracer = true")])
def test_an_option_or_an_ini_setting_watches_all(project, store, option, ini):
    project.pytester.makeini(f"[pytest]\n{ini}")
    project(TESTS.format(asks="", fixture=""), option).assert_outcomes(passed=2)
    assert len(store.ids()) == 1


def test_a_fixture_asked_for_at_run_time_works_too(project, store):
    tests = """
def test_late(request):
    request.getfixturevalue("agentracer_run").task = "late"
    run_team("ok")
"""
    project(tests).assert_outcomes(passed=1)
    assert store.load("latest").task == "late"


def test_the_marker_is_known_and_described(project):
    project("def test_good(): pass", "--strict-markers").assert_outcomes(passed=1)
    result = project("", "--markers")
    assert "@pytest.mark.agentracer(repeat=1" in result.stdout.str()


def test_it_can_be_switched_off_altogether(project):
    project("def test_good(): pass", "-p", "no:agentracer").assert_outcomes(passed=1)


def test_off_it_loads_nothing_but_its_own_stub(project):
    tests = """
def test_good():
    import sys
    ours = sorted(name for name in sys.modules if name.partition(".")[0] == "agentracer")
    assert ours == ["agentracer", "agentracer._version", "agentracer.pytest_plugin"]
"""
    project.pytester.makepyfile(test_it=tests)
    options = ("-p", "no:hypothesispytest", "-p", "no:langsmith_plugin")
    project.pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)


def test_the_stub_needs_nothing_but_pytest_and_the_standard_library():
    code = """
import sys, pytest
before = set(sys.modules)
import agentracer.pytest_plugin
print(*sorted({n.partition(".")[0] for n in set(sys.modules) - before} - sys.stdlib_module_names))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["agentracer"]


@pytest.mark.slow
def test_off_it_costs_under_five_milliseconds_a_test(project):
    """Measured on 2,000 tests that do nothing: in all, collection and start of session included."""
    tests = "import pytest\n@pytest.mark.parametrize('n', range(2000))\ndef test_good(n): pass"
    project.pytester.makepyfile(test_it=tests)

    def seconds(*options):
        run = project.pytester.runpytest_subprocess
        said = [run("-p", "no:cacheprovider", *options).stdout.str() for _ in range(2)]
        return min(float(re.search(r"2000 passed in ([\d.]+)s", text)[1]) for text in said)

    cost = (seconds() - seconds("-p", "no:agentracer")) / 2000
    print(f"{cost * 1e6:.0f} µs a test")
    assert cost < 0.005
