"""Credit for MaAS, on a stand-in of its class shapes: operators, Workflow, MultiLayerController."""

from __future__ import annotations

import asyncio

import pytest

from agentracer.evolution import Team, TrueStep, aevolve
from agentracer.evolution.attributors import verdict_on
from agentracer.evolution.strategies.maas import PromptCredit, layer_credit, policy_loss
from agentracer.verdict import Verification
from tests.adapters.test_maas import ADVICE, PROBLEM, is_right, maas, world  # noqa: F401 - fixtures

PROMPTS = {"MultiGenerateCoT": "GENERATE_COT_PROMPT", "Programmer": "PROGRAMMER_PROMPT"}


def first_of(agent):
    return lambda trace: next(s.index for s in trace.steps if s.agent == agent)


def test_the_blamed_operators_prompt_is_rewritten_in_memory_and_put_back(world):  # noqa: F811
    operators = world.operators
    before = operators.GENERATE_COT_PROMPT
    credit = PromptCredit(operators, PROMPTS, write=lambda prompt, one: f"{ADVICE_TEXT}\n{prompt}")
    team = Team(run=lambda _, task: world.workflow()(task), deterministic=True)
    report = asyncio.run(
        aevolve(
            team,
            [PROBLEM],
            lambda task, result: is_right(result),
            TrueStep(first_of("MultiGenerateCoT")),
            rounds=1,
            strategy=credit,
        )
    )
    (change,) = report.kept
    assert (change.agent, change.name) == ("MultiGenerateCoT", "GENERATE_COT_PROMPT")
    assert (report.first.hits, report.final.hits) == (0, 1)
    assert before == operators.GENERATE_COT_PROMPT
    applied = report.apply(None)
    assert is_right(world.run())
    applied.retract()
    assert before == operators.GENERATE_COT_PROMPT


ADVICE_TEXT = ADVICE.replace("{", "{{").replace("}", "}}")


def test_a_lesson_with_braces_survives_the_format_of_the_prompt(world):  # noqa: F811
    credit = PromptCredit(world.operators, PROMPTS)
    trace = world.record()
    from agentracer.evolution.attributors import Attribution, FailedRun
    from agentracer.evolution.strategies import RoundState
    from agentracer.evolution.team import Task

    verdict = verdict_on(
        trace, first_of("MultiGenerateCoT")(trace), "{4} is not \\boxed{5}", method="t"
    )
    failure = FailedRun(Task("a", "a", "a"), trace, None)
    (change,) = credit.propose([Attribution(failure, verdict)], RoundState("s", 1))
    filled = change.text.format(input="x", instruction="y")
    assert filled.startswith("| ❴4❵") or "{4} is not" in filled


def test_a_module_without_the_constant_is_refused(world):  # noqa: F811
    with pytest.raises(ValueError, match="has no SELFREFINE_PROMPT"):
        PromptCredit(world.operators, {"SelfRefine": "SELFREFINE_PROMPT"})


def test_the_blamed_layer_is_charged_and_the_others_are_not(world):  # noqa: F811
    trace = world.record()
    step = first_of("Programmer")(trace)
    proof = Verification(status="confirmed", flips=1, replays=1, control_flips=0, control_replays=1)
    verdict = verdict_on(trace, step, "it adds", method="t").model_copy(
        update={"verification": proof}
    )
    assert layer_credit(trace, verdict, 0.0) == [0.0, 0.0, -1.0, 0.0]


def test_an_unproved_verdict_charges_by_its_confidence(world):  # noqa: F811
    trace = world.record()
    step = first_of("Programmer")(trace)
    verdict = verdict_on(trace, step, "", method="t").model_copy(update={"confidence": 0.6})
    credit = layer_credit(trace, verdict, 0.0)
    assert credit == pytest.approx([-0.1, -0.1, -0.7, -0.1])


def test_with_one_score_for_all_layers_the_loss_is_that_of_maas():
    log_probs, score, cost = [-0.5, -1.0, -0.25], 1.0, 0.1
    own = -sum(log_probs) * (score - 3 * cost)
    assert policy_loss(log_probs, [score] * 3, cost) == pytest.approx(own)


def test_gradients_reach_the_blamed_layer_only():
    torch = pytest.importorskip("torch", reason="needs torch")
    log_probs = [torch.tensor(-0.5, requires_grad=True) for _ in range(3)]
    policy_loss(log_probs, [0.0, -1.0, 0.0], 0.0).backward()
    assert [float(p.grad) for p in log_probs] == [0.0, 1.0, 0.0]


def test_a_trace_of_another_framework_is_refused(world):  # noqa: F811
    trace = world.record().model_copy(update={"metadata": {}})
    with pytest.raises(ValueError, match="no architecture"):
        layer_credit(trace, verdict_on(trace, 0, "", method="t"), 0.0)
