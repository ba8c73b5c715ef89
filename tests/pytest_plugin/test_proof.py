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
            "bob, step 1, is named in 3 of 4 runs *",
        ]
    )


@pytest.mark.parametrize(
    ("system", "why"),
    [
        ("pass", "*not verified: the test does not say how to run and check its system*"),
        ("agentracer_run.system(run, good, lambda t, s: None)", "*no correction for any step*"),
        ("agentracer_run.system(run, good, lambda t, s: 1 / 0)", "*not verified: *division*"),
        ("agentracer_run.system(run, never, oracle)", "Refuted, by 1 replay: *"),
        ("agentracer_run.system(hang, good, oracle)", "*replays took longer than 1 s*"),
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
    project.pytester.makeini("[pytest]\nagentracer_verify_seconds = 1")
    result = project(tests, "--agentracer-verify")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([why])


RANDOM = """
import random
random.seed(7)

def fallible(rate):
    return run_team("ok", "bad" if random.random() < rate else "ok", "ok")
"""


def kept_verdict(store):
    (verdict,) = [v for v in map(store.load_verdict, store.ids()) if v is not None]
    return verdict


def test_run_and_check_are_all_that_a_proof_needs(project, store):
    tests = f"""{RANDOM}
def test_bad(agentracer_run):
    agentracer_run.system(lambda: fallible(0.1), good)
    assert good(fallible(1.0))
"""
    result = project(tests, "--agentracer-verify")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "bob, step 1 made this run fail",
            "Confirmed by * replays: *",
            "Success with the first k steps kept and the rest done live",
            "  test_it.py::test_bad  step 1  *confirmed by * replays*",
        ]
    )
    verdict = kept_verdict(store)
    assert verdict.verification.method == "prefixes"
    rates = {rate.prefix: rate for rate in verdict.success_curve}
    assert rates[1].successes > rates[2].successes == 0


def test_a_system_that_never_succeeds_has_no_decisive_step(project, store):
    tests = """
def test_bad(agentracer_run):
    agentracer_run.system(lambda: run_team("ok", "bad"), good)
    assert good(run_team("ok", "bad"))
"""
    project(tests, "--agentracer-verify").stdout.fnmatch_lines(
        ["No step is blamed.", "*the system fails this task whenever it is run*"]
    )
    assert kept_verdict(store).abstained


def test_too_few_replays_leave_the_suspicion_and_say_so(project, store):
    project.pytester.makeini("[pytest]\nagentracer_verify_runs = 4")
    tests = f"""{RANDOM}
def test_bad(agentracer_run):
    agentracer_run.system(lambda: fallible(0.1), good)
    assert good(fallible(1.0))
"""
    result = project(tests, "--agentracer-verify")
    result.stdout.fnmatch_lines(["*not verified: inconclusive: the budget of 4 runs was spent*"])
    verdict = kept_verdict(store)
    assert verdict.agent is not None
    assert verdict.verification is None
    assert sum(rate.replays for rate in verdict.success_curve) == 4


def test_repeats_that_all_fail_are_no_oracle_and_prefixes_are_replayed(project, store):
    tests = f"""{RANDOM}
@pytest.mark.agentracer(repeat=2)
def test_bad(agentracer_run):
    agentracer_run.system(lambda: fallible(0.1), good)
    assert good(fallible(1.0))
"""
    result = project(tests, "--agentracer-verify")
    result.stdout.fnmatch_lines(["bob, step 1 *", "* by * replays: *succeeded in *"])
    verified = [v for v in map(store.load_verdict, store.ids()) if v and v.verification]
    assert [v.verification.method for v in verified] == ["prefixes"]


@pytest.mark.slow
def test_a_langgraph_team_that_errs_at_random_is_proved(project, store):
    pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
    project.pytester.makepyfile(graph_team=GRAPH)
    tests = """
import graph_team

def test_bad(agentracer_run):
    agentracer_run.system(lambda: graph_team.run(0.1), graph_team.check)
    assert graph_team.check(graph_team.run(1.0))
"""
    result = project(tests, "--agentracer-verify", how="subprocess")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["solver, step 1 made this run fail", "Confirmed by * replays: *"])
    assert kept_verdict(store).verification.method == "prefixes"


GRAPH = """
import random
from typing import TypedDict
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph

random.seed(7)


class Model(BaseChatModel):
    rate: float

    @property
    def _llm_type(self):
        return "fallible"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        wrong = random.random() < self.rate
        solver = messages[0].content == "solver"
        answer = ("41" if wrong else "42") if solver else messages[-1].content
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])


class State(TypedDict):
    text: str


def run(rate):
    def node(name):
        def act(state):
            prompt = [SystemMessage(name), HumanMessage(state["text"])]
            return {"text": Model(rate=rate).invoke(prompt).content}
        return act

    graph = StateGraph(State)
    for name, before in (("planner", START), ("solver", "planner"), ("reporter", "solver")):
        graph.add_node(name, node(name))
        graph.add_edge(before, name)
    graph.add_edge("reporter", END)
    return graph.compile().invoke({"text": "six times seven?"})


def check(result):
    return result["text"] == "42"
"""
