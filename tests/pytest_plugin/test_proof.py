"""`--agentracer-verify`: verdicts proved by replay, where a test says how."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

ORACLE = """
from agentracer.replay import Override

def oracle(trace, step):
    said = trace.steps[step].content
    return Override(step=step, content="ok") if said == "bad" else None
"""

FAILS = f"""{ORACLE}
def test_bad(agentracer_run):
    agentracer_run.system(lambda: run_team("ok", "bad", "ok"), good, oracle)
    assert good(run_team("ok", "bad", "ok"))
"""


def test_the_decisive_step_is_confirmed(project, store):
    result = project(FAILS, "--agentracer-verify")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "bob, step 1 made this run fail",
            "Confirmed by * replays: *",
            "bob: 1 failed test",
            "  test_it.py::test_bad  step 1  *confirmed by * replays*",
        ]
    )
    (page,) = (store.home / "reports").glob("*.html")
    (replayed, *_) = next(v for v in map(store.load_verdict, store.ids()) if v).verification.traces
    assert replayed in page.read_text()
    kept = [store.load_verdict(identity) for identity in store.ids()]
    assert [v.verification.status for v in kept if v is not None] == ["confirmed"]


def test_without_the_option_nothing_is_run_again(project):
    tests = FAILS.replace('lambda: run_team("ok", "bad", "ok")', "pytest.fail")
    result = project(tests)
    result.assert_outcomes(failed=1)
    assert "replay" not in result.stdout.str()


def test_the_marker_can_say_it_with_fixtures_by_name(project):
    tests = f"""{ORACLE}
@pytest.fixture
def words(): return ("ok", "bad")

def run(words): return run_team(*words)
def check(lines): assert good(lines)

@pytest.mark.agentracer(run=run, check=check, oracle=oracle, deterministic=True)
def test_bad(words):
    check(run(words))
"""
    result = project(tests, "--agentracer-verify")
    result.stdout.fnmatch_lines(
        ["bob, step 1 made this run fail", "Confirmed by * replays: *1 of 1*"]
    )


def test_a_system_that_is_awaited_works_too(project):
    tests = f"""{ORACLE}
import asyncio

@pytest.mark.asyncio
async def test_bad(agentracer_run):
    async def run():
        await asyncio.sleep(0)
        return await team("ok", "bad").arun()
    async def check(lines): return good(lines)
    agentracer_run.system(run, check, oracle)
    assert good(await run())
"""
    result = project(tests, "--agentracer-verify")
    result.stdout.fnmatch_lines(["bob, step 1 made this run fail", "Confirmed by * replays: *"])


def test_a_repeat_that_passes_is_the_oracle_where_there_is_no_other(project):
    tests = """
runs = []
def flaky():
    return run_team("ok", "ok" if runs[-1] % 3 == 0 else "bad")

@pytest.mark.agentracer(repeat=4)
def test_flaky(agentracer_run):
    runs.append(len(runs) + 1)
    agentracer_run.system(lambda: run_team("ok", "bad"), good)
    assert good(flaky())
"""
    result = project(tests, "--agentracer-verify")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "bob, step 1 made this run fail",
            "Confirmed by * replays: *",
            "failed in 3 of 4 runs *",
            "bob, step 1, is decisive in 3 of 4 runs *",
        ]
    )


@pytest.mark.parametrize(
    ("system", "why"),
    [
        ("pass", "*not verified: the test does not say how to run and check its system*"),
        ("agentracer_run.system(run, good)", "*not verified: there is no oracle*"),
        ("agentracer_run.system(run, good, lambda t, s: None)", "*no correction for any step*"),
        ("agentracer_run.system(run, good, lambda t, s: 1 / 0)", "*not verified: *division*"),
        ("agentracer_run.system(run, never, oracle)", "Refuted, by 1 replay: *"),
        ("agentracer_run.system(hang, good, oracle)", "*replays took longer than 0.2 s*"),
    ],
)
def test_why_nothing_is_proved_is_said(project, system, why):
    tests = f"""{ORACLE}
import time
def hang(): time.sleep(3)
def run(): return run_team("bad")
def never(lines): pytest.fail("never")
def test_bad(agentracer_run):
    {system}
    assert good(run())
"""
    project.pytester.makeini("[pytest]\nagentracer_verify_seconds = 0.2")
    result = project(tests, "--agentracer-verify")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([why])
