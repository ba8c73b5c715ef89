"""The team runs for real against the scripted model, and the truth about its failures holds."""

import asyncio
import dataclasses
import json

import pytest

from agentracer.lab.testbed.coding_policy import ERROR_KINDS, CodingPolicy
from agentracer.lab.testbed.coding_tasks import TASKS, code_in
from agentracer.lab.testbed.coding_team import build, check, solve
from agentracer.lab.testbed.demo_runs import EXPECTED_AGENT, demo_runs
from agentracer.lab.testbed.server import ChatReply, ModelServer

pytestmark = pytest.mark.slow

FAILING = [error_kind for error_kind, agent in EXPECTED_AGENT.items() if agent is not None]
INTERVALS = TASKS[0]


@pytest.fixture(scope="module")
def server():
    with ModelServer(CodingPolicy(0)) as running:
        yield running


@pytest.fixture(scope="module")
def team(server):
    return build(server.base_url, "scripted", "none")


@pytest.fixture
def play(server, team):
    def run(policy, task):
        server.clear()
        server.model = policy
        return check(task, solve(team, task))

    return run


def conversation(server):
    return json.dumps([[exchange.body, exchange.reply] for exchange in server.exchanges])


@pytest.mark.parametrize("error_kind", ERROR_KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_a_run_fails_if_and_only_if_the_policy_knows_who_is_to_blame(play, seed, error_kind):
    task = TASKS[(seed + ERROR_KINDS.index(error_kind)) % len(TASKS)]
    policy = CodingPolicy(seed, error_kind=error_kind)
    success = play(policy, task)
    truth = policy.truth()
    assert success is (EXPECTED_AGENT[error_kind] is None)
    assert (truth.agent if truth else None) == EXPECTED_AGENT[error_kind]


@pytest.mark.parametrize("error_kind", FAILING)
def test_the_run_succeeds_once_the_decisive_reply_is_right(play, error_kind):
    for seed, task in list(enumerate(TASKS))[FAILING.index(error_kind) % 2 :: 2]:
        wrong = CodingPolicy(seed, error_kind=error_kind)
        assert not play(wrong, task)
        role = wrong.truth().agent
        right = CodingPolicy(seed, error_kind=error_kind, correct={(role, 0)})
        assert play(right, task), task.function
        assert right.truth() is None


@pytest.mark.parametrize("error_kind", ["plan", "plan_and_slip", "phantom"])
def test_a_coder_who_only_follows_cannot_save_the_run(play, error_kind):
    assert not play(
        CodingPolicy(3, error_kind=error_kind, correct={("coder", 0), ("coder", 1)}), INTERVALS
    )


def test_a_corrected_reply_put_in_from_outside_saves_the_run_too(play):
    class Corrected:
        def reply(self, request):
            said = wrong.reply(request)
            if said.content == decisive.reply_text:
                points = "\n".join(f"- {r.plan}" for r in INTERVALS.requirements)
                return ChatReply(f"A plan in other words:\n{points}")
            return said

    wrong = CodingPolicy(1, error_kind="plan")
    assert not play(wrong, INTERVALS)
    decisive = wrong.truth()
    assert play(Corrected(), INTERVALS)


def test_the_decisive_reply_is_a_message_of_the_conversation(server, play):
    policy = CodingPolicy(5, error_kind="phantom")
    play(policy, INTERVALS)
    said = [e.reply["choices"][0]["message"]["content"] for e in server.exchanges]
    assert said.count(policy.truth().reply_text) == 1


def test_a_slip_is_in_the_log_as_repaired(play):
    policy = CodingPolicy(2, error_kind="slip")
    assert play(policy, INTERVALS)
    assert [(m.agent, m.repaired) for m in policy.mistakes] == [("coder", True)]
    assert policy.truth() is None


def test_a_false_report_is_in_the_log_after_the_slip_that_it_hides(play):
    policy = CodingPolicy(2, error_kind="false_pass")
    assert not play(policy, INTERVALS)
    assert [(m.agent, m.repaired) for m in policy.mistakes] == [
        ("coder", False),
        ("tester", False),
    ]


def test_a_false_report_alone_being_right_saves_the_run_as_well(play):
    assert play(CodingPolicy(2, error_kind="false_pass", correct={("tester", 0)}), INTERVALS)


def test_the_same_seed_gives_the_same_conversation_to_the_byte(server, play):
    seen = set()
    for _ in range(2):
        play(CodingPolicy(7, error_kind="plan_and_slip"), INTERVALS)
        seen.add(conversation(server))
    assert len(seen) == 1


def test_other_seeds_give_other_conversations(server, play):
    seen = set()
    for seed in range(6):
        play(CodingPolicy(seed), INTERVALS)
        seen.add(conversation(server))
    assert len(seen) >= 4


def test_seeds_alone_bring_success_and_failure():
    drawn = {CodingPolicy(seed).error_kind_of(task) for seed in range(10) for task in TASKS}
    assert drawn == set(ERROR_KINDS)


def test_the_agents_speak_in_their_own_names_and_the_tester_uses_its_tool(server, team):
    server.model = CodingPolicy(0, error_kind="slip")
    messages = team.invoke({"messages": [("user", INTERVALS.statement)]})["messages"]
    spoken = [(message.type, message.name) for message in messages]
    test_round = [("ai", "tester"), ("tool", "run_tests"), ("ai", "tester")]
    assert spoken == [
        ("human", None),
        ("ai", "planner"),
        ("ai", "coder"),
        *test_round,
        ("ai", "coder"),
        *test_round,
    ]
    assert "FAILED" in messages[4].text
    assert messages[8].text.endswith("All 3 tests passed.")


def test_streaming_and_async_runs_say_the_same(server, team):
    start = {"messages": [("user", INTERVALS.statement)]}
    server.model = CodingPolicy(0, error_kind="slip")
    texts = [m.text for m in team.invoke(start)["messages"]]
    server.clear()
    *_, (_, last) = team.stream(start, stream_mode=["messages", "values"])
    assert [m.text for m in last["messages"]] == texts
    assert any(exchange.body.get("stream") for exchange in server.exchanges)
    assert [m.text for m in asyncio.run(team.ainvoke(start))["messages"]] == texts


def test_the_team_gives_up_after_its_last_round(server):
    server.clear()
    server.model = CodingPolicy(0, error_kind="slip")
    team = build(server.base_url, "scripted", "none", max_rounds=1)
    assert not check(INTERVALS, solve(team, INTERVALS))
    assert server.model.truth().agent == "coder"


def test_a_conversation_without_a_known_task_or_role_is_answered_all_the_same(server, team):
    server.model = CodingPolicy(0)
    messages = team.invoke({"messages": [("user", "Write a poem.")]})["messages"]
    assert "cannot find a task" in messages[-1].text
    assert solve(team, dataclasses.replace(INTERVALS, signature="other(x)")) == ""


def test_a_demo_shows_every_mishap_once_in_seven_runs_and_all_as_expected(play):
    runs = demo_runs(4)
    assert sorted(run.error_kind for run in runs) == sorted(ERROR_KINDS)
    for run in runs:
        assert play(run.policy, run.task) is (run.expected_agent is None)
        truth = run.policy.truth()
        assert (truth.agent if truth else None) == run.expected_agent


def test_a_demo_depends_on_its_seed_only():
    def outline(runs):
        return [(run.task.function, run.error_kind, run.policy.seed) for run in runs]

    assert outline(demo_runs(1)) == outline(demo_runs(1))
    assert outline(demo_runs(1)) != outline(demo_runs(2))
    assert len(demo_runs(1, count=10)) == 10
    assert outline(demo_runs(1, count=3)) == outline(demo_runs(1))[:3]


def test_a_program_is_taken_from_the_last_message_of_the_coder():
    assert code_in("```py\nx = 1\n```") == "x = 1\n"
