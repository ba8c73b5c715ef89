"""Every system really runs, and replay finds exactly the step that was planted."""

import pytest

import agentracer
from agentracer.lab.testbed.ground_truth import decisive_step, oracle, request_of
from agentracer.lab.testbed.rosters import TOPOLOGIES
from agentracer.lab.testbed.scenarios import PATTERNS, scenario
from agentracer.lab.testbed.server import ChatRequest
from agentracer.lab.testbed.systems import TeamHost, load_domain
from agentracer.replay import System, find_decisive
from agentracer.store import Store

pytestmark = pytest.mark.slow

NEEDED = {"langgraph": "langgraph", "autogen": "autogen_agentchat", "camel": "camel"}
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", NEEDED)
EVERY_TOPOLOGY = pytest.mark.parametrize("topology", TOPOLOGIES)

_hosts = {}


@pytest.fixture(scope="module", autouse=True)
def close_benches():
    yield
    while _hosts:
        _hosts.popitem()[1].__exit__(None, None, None)
    agentracer.uninstrument()


def bench_of(framework, domain):
    pytest.importorskip(NEEDED[framework])
    if (framework, domain) not in _hosts:
        agentracer.instrument(framework)
        _hosts[framework, domain] = TeamHost(load_domain(domain), framework).__enter__()
    return _hosts[framework, domain]


class Played:
    """One run of a scenario."""

    def __init__(self, host, plan, topology, seed, store):
        self.host, self.plan, self.store = host, plan, store
        self.policy = plan.policy(host.domain, seed)
        self.team = host.team(topology, seed)
        host.set_policy(self.policy)
        with agentracer.record(
            task=plan.problem.question, check=self.check, store=store
        ) as recorded:
            recorded.result = self.solve()
        self.trace = recorded.trace
        self.truth = decisive_step(self.trace, plan, self.policy.log)

    def solve(self):
        return self.team.solve(self.plan.problem)

    def check(self, answer):
        return self.host.domain.check(self.plan.problem, answer)

    def search(self):
        system = System(self.solve, self.check, self.store, deterministic=True)
        return find_decisive(self.trace, system, oracle(self.policy), strategy="sequential")


def play(framework, domain, topology, pattern, tmp_path, first=0):
    """The first scenario of a pattern that there is; None if this topology has none."""
    host = bench_of(framework, domain)
    problems = host.domain.problems()
    for seed in range(first, first + 15):
        problem = problems[seed * 5 % min(60, len(problems))]
        plan = scenario(host.domain, topology, problem, seed, pattern, framework)
        if plan is not None:
            return Played(host, plan, topology, seed, Store(tmp_path / str(seed)))
    return None


def check(played):
    assert played.trace.outcome.success is not played.plan.fails
    if not played.plan.fails:
        return
    found = played.search()
    assert found.verdict.step == played.truth
    if played.plan.pattern == "two":
        assert found.verdict.abstained
    else:
        assert played.truth is not None
        assert found.verdict.agent == played.trace.steps[played.truth].agent


@EVERY_FRAMEWORK
@EVERY_TOPOLOGY
@pytest.mark.parametrize("pattern", ["decoy", "two"])
def test_replay_names_the_planted_step_and_no_step_for_two_errors(
    framework, topology, pattern, tmp_path
):
    played = play(framework, "math", topology, pattern, tmp_path)
    check(played)


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if p != "two"])
def test_every_pattern_comes_out_as_planned_in_a_review(pattern, tmp_path):
    check(play("langgraph", "qa", "review", pattern, tmp_path))


@EVERY_TOPOLOGY
def test_a_coding_team_fails_as_planned(topology, tmp_path):
    check(play("langgraph", "coding", topology, "single", tmp_path))


@EVERY_FRAMEWORK
@EVERY_TOPOLOGY
@pytest.mark.parametrize("domain", ["math", "qa", "coding"])
def test_every_pattern_of_every_system(framework, domain, topology, tmp_path):
    seen = 0
    for pattern in PATTERNS:
        played = play(framework, domain, topology, pattern, tmp_path / pattern, first=20)
        if played is not None:
            check(played)
            seen += 1
    assert seen >= 4


def test_a_decoy_is_tried_and_refuted_before_the_planted_step(tmp_path):
    for first in range(0, 60, 6):
        played = play("langgraph", "math", "hub", "decoy", tmp_path / str(first), first)
        found = played.search()
        tried = sorted(found.proofs)
        if tried[0] != played.truth:
            assert found.proofs[tried[0]].status == "refuted"
            return
    pytest.fail("no decoy came before the planted step")


def test_a_checker_that_is_blind_is_a_later_candidate(tmp_path):
    played = play("langgraph", "math", "review", "missed", tmp_path)
    kinds = [logged.error.action for logged in played.policy.log]
    assert kinds[0] in ("call", "state")
    assert set(kinds[1:]) == {"check"}
    assert played.search().verdict.step == played.truth


def test_the_policy_is_a_function_of_the_request(tmp_path):
    played = play("langgraph", "math", "hub", "single", tmp_path)
    for step in played.trace.steps:
        request = request_of(played.trace, step.index)
        again = played.plan.policy(played.host.domain, played.policy.seed).reply(request)
        assert (again.content or "") == step.content


def test_equal_seeds_give_equal_runs_and_others_do_not(tmp_path):
    def texts(seed):
        host = bench_of("langgraph", "math")
        plan = scenario(host.domain, "pipeline", host.domain.problems()[3], seed, "clean")
        played = Played(host, plan, "pipeline", seed, Store(tmp_path / str(seed)))
        return [played.trace.observed.text(step) for step in played.trace.steps]

    assert texts(1) == texts(1)
    assert len({tuple(texts(seed)) for seed in range(4)}) > 2


def test_runs_are_short_and_long(tmp_path):
    host = bench_of("langgraph", "math")
    lengths = []
    for topology, position in (("pipeline", 4), ("hub", 60)):
        problem = host.domain.problems()[position]
        plan = scenario(host.domain, topology, problem, 1, "clean")
        played = Played(host, plan, topology, 1, Store(tmp_path / topology))
        lengths.append(len(played.trace.steps))
    assert lengths[0] < 10
    assert 20 < lengths[1] <= 60


def test_a_request_of_nobody_known_is_answered_all_the_same():
    domain = load_domain("math")
    plan = scenario(domain, "pipeline", domain.problems()[0], 1, "clean")
    reply = plan.policy(domain, 1).reply(
        ChatRequest("m", [{"role": "user", "content": "hello"}], {})
    )
    assert "cannot find out" in reply.content
