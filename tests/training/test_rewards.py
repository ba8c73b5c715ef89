"""The reward against values worked out by hand, and against answers that try to cheat."""

import math

import pytest
from training.config import Reward
from training.rewards import (
    AnswerKey,
    agent_reward,
    check,
    format_gate,
    grpo_reward,
    reward,
    score,
    step_reward,
)

from agentracer.errors import TrainingError

LABELS = {"bc": 0, "df": 1, "gh": 2, "jk": 3, "lm": 4}
KEY = AnswerKey(
    LABELS,
    {"Planner": "Planner", "Solver": "Solver", "Reporter": "Reporter"},
    ["Planner", "Solver", "Solver", "Solver", "Reporter"],
    range(5),
    2,
    "Solver",
)
PAPER = Reward()


def said(agent, label, thought="The sum is wrong."):
    return f"<think>{thought}</think><answer>{agent}|{label}</answer>"


@pytest.mark.parametrize(("distance", "worth"), [(0, 1.0), (1, 0.607), (2, 0.135), (3, 0.011)])
def test_the_step_part_falls_with_the_distance(distance, worth):
    assert step_reward(5 + distance, 5) == pytest.approx(worth, abs=5e-4)
    assert step_reward(5 - distance, 5) == pytest.approx(worth, abs=5e-4)


def test_a_wider_sigma_forgives_more():
    assert step_reward(4, 2, sigma=2.0) == pytest.approx(math.exp(-0.5))


def test_the_agent_part_is_all_or_nothing():
    assert agent_reward("Solver", "Solver") == 1.0
    assert agent_reward("Planner", "Solver") == 0.0


def test_naming_nobody_has_no_distance():
    assert step_reward(None, None) == agent_reward(None, None) == 1.0
    assert step_reward(None, 3) == step_reward(3, None) == 0.0


@pytest.mark.parametrize(
    ("agent", "label", "worth"),
    [
        ("Solver", "gh", 1.0),
        ("Solver", "df", 0.5 * 0.6065 + 0.5),
        ("Planner", "bc", 0.5 * 0.1353),
        ("Reporter", "lm", 0.5 * 0.1353),
        ("Solver", "jk", 0.5 * 0.6065 + 0.5),
    ],
)
def test_the_whole_is_half_step_and_half_agent(agent, label, worth):
    assert reward(said(agent, label), KEY, PAPER) == pytest.approx(worth, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "worth"),
    [
        (Reward(step_weight=1.0), 0.6065),
        (Reward(step_weight=0.0), 1.0),
        (Reward(kind="binary"), 0.0),
        (Reward(step_weight=0.8, sigma=2.0), 0.8 * math.exp(-1 / 8) + 0.2),
    ],
    ids=["step only", "agent only", "binary", "other weights"],
)
def test_the_ablations_pay_a_near_miss_by_the_right_agent(settings, worth):
    assert reward(said("Solver", "df"), KEY, settings) == pytest.approx(worth, abs=1e-4)


def test_binary_pays_the_right_answer_only():
    binary = Reward(kind="binary")
    assert reward(said("Solver", "gh"), KEY, binary) == 1.0
    assert reward(said("Planner", "gh"), KEY, binary) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Solver|gh",
        "<answer>Solver|gh</answer>",
        "<think>no end <answer>Solver|gh</answer>",
        "<think>so</think><answer>Solver|gh",
        "<think>so</think>It was <answer>Solver|gh</answer>",
        "<think>so</think><answer>Solver|gh</answer> I am sure.",
        "<think>so</think><answer>Planner|bc</answer><answer>Solver|gh</answer>",
        "<think>it is <answer>Solver|gh</answer></think>",
        "<think>it is <answer>Planner|bc</answer></think><answer>Solver|gh</answer>",
        "<think>a</think><think>b</think><answer>Solver|gh</answer>",
        "<think>a<think>b</think></think><answer>Solver|gh</answer>",
    ],
    ids=[
        *("empty", "bare", "no thinking", "thinking without end", "answer without end"),
        *("text between", "text after", "two answers", "answer inside the thinking"),
        *("answer inside and after", "two thoughts", "nested thoughts"),
    ],
)
def test_the_gate_lets_nothing_else_pass(text):
    assert not format_gate(text)
    assert reward(text, KEY, PAPER) == 0.0


@pytest.mark.parametrize(
    "answer",
    ["Solver|zz", "Solver|7", "Solver|2", "Solver|", "|", "Solver", "Solver|none", "Solver|gh|df"],
)
def test_an_answer_that_names_no_step_of_the_run_is_worth_nothing(answer):
    text = f"<think>so</think><answer>{answer}</answer>"
    scored = score(text, KEY, PAPER)
    assert (scored.total, scored.formed) == (0.0, False)


def test_a_step_outside_of_the_window_is_worth_nothing():
    window = AnswerKey(LABELS, KEY.agent_of, KEY.speakers, [1, 2], 2, "Solver")
    assert reward(said("Solver", "jk"), window, PAPER) == 0.0
    assert reward(said("Solver", "gh"), window, PAPER) == 1.0


def test_an_agent_that_contradicts_the_step_earns_no_agent_part():
    # A verdict goes by the step, and `bc` is the planner's: the right agent beside it is a hedge.
    hedged = score(said("Solver", "bc"), KEY, PAPER)
    assert hedged.agent == 0.0
    assert hedged.total == pytest.approx(0.5 * 0.1353, abs=1e-4)
    right_step = score(said("Planner", "gh"), KEY, PAPER)
    assert right_step.agent == 0.0
    assert right_step.total == pytest.approx(0.5)


def test_hedging_never_pays_more_than_the_step_alone():
    for agent in KEY.agent_of:
        for label, step in LABELS.items():
            hedged = reward(said(agent, label), KEY, PAPER)
            consistent = reward(said(KEY.agent_at(step), label), KEY, PAPER)
            assert hedged <= consistent


def test_nobody_is_right_only_where_nobody_is_to_blame():
    nobody = said("none", "none")
    assert reward(nobody, KEY, PAPER) == 0.0
    blameless = AnswerKey(LABELS, KEY.agent_of, KEY.speakers, range(5), None, None)
    assert reward(nobody, blameless, PAPER) == 1.0
    assert reward(said("Solver", "gh"), blameless, PAPER) == 0.0


def test_line_breaks_around_the_parts_are_part_of_the_form():
    text = "<think>\nso\n</think>\n\n<answer>Solver|gh</answer>\n"
    assert reward(text, KEY, PAPER) == 1.0


def test_trl_gets_one_number_a_completion_and_its_parts_as_metrics():
    logged = {}
    function = grpo_reward({"a": KEY}, PAPER)
    totals = function(
        completions=[said("Solver", "gh"), said("Planner", "bc"), "nonsense"],
        example=["a", "a", "a"],
        prompts=["", "", ""],
        log_metric=logged.__setitem__,
    )
    assert totals == pytest.approx([1.0, 0.5 * 0.1353, 0.0], abs=1e-4)
    assert logged["format"] == pytest.approx(2 / 3)
    assert logged["step_accuracy"] == pytest.approx(1 / 3)


def test_a_key_survives_the_way_through_a_data_set():
    assert AnswerKey.from_json(KEY.to_json()).to_json() == KEY.to_json()
    broken = KEY.to_json()
    del broken["speakers"]
    with pytest.raises(TrainingError, match="speakers"):
        AnswerKey.from_json(broken)


def test_a_label_that_cannot_be_answered_is_found_before_training():
    with pytest.raises(TrainingError, match="not among the steps"):
        AnswerKey(LABELS, KEY.agent_of, KEY.speakers, [0, 1], 2, "Solver").checked()
    with pytest.raises(TrainingError, match="not 'Planner'"):
        AnswerKey(LABELS, KEY.agent_of, KEY.speakers, range(5), 2, "Planner").checked()


def test_a_reward_that_tells_nothing_apart_is_found_before_training():
    check({"a": KEY}, PAPER)
    alone = AnswerKey({"bc": 0}, {"Solver": "Solver"}, ["Solver"], [0], 0, "Solver")
    with pytest.raises(TrainingError, match="worth the same"):
        check({"a": alone}, PAPER)
    one_agent = AnswerKey({"bc": 0, "df": 1}, {"S": "S"}, ["S", "S"], [0, 1], 0, "S")
    with pytest.raises(TrainingError, match="worth the same"):
        check({"a": one_agent}, Reward(step_weight=0.0))
    check({"a": one_agent}, PAPER)
