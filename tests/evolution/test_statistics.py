"""The paired test that decides what stays."""

from __future__ import annotations

import pytest

from agentracer.evolution.effect import Effect
from agentracer.statistics import binomial_tail


def test_the_tail_is_that_of_a_fair_coin():
    assert binomial_tail(0, 0) == 1.0
    assert binomial_tail(5, 0) == pytest.approx(1 / 32)
    assert binomial_tail(4, 1) == pytest.approx(6 / 32)


@pytest.mark.parametrize(
    ("wins", "losses", "finding", "keep"),
    [
        (5, 0, "helps", True),
        (0, 5, "harms", False),
        (4, 0, "not enough evidence", True),
        (0, 4, "not enough evidence", False),
        (2, 2, "not enough evidence", True),
        (0, 0, "not enough evidence", True),
        (9, 1, "helps", True),
    ],
)
def test_where_luck_plays_a_part_five_clear_tasks_are_the_least(wins, losses, finding, keep):
    effect = Effect(wins, losses, 10)
    assert (effect.finding, effect.keep) == (finding, keep)


@pytest.mark.parametrize(
    ("wins", "losses", "finding"),
    [(1, 0, "helps"), (0, 1, "harms"), (0, 0, "no effect"), (1, 1, "no effect")],
)
def test_in_a_system_that_repeats_itself_one_task_decides(wins, losses, finding):
    assert Effect(wins, losses, 3, certain=True).finding == finding


def test_tasks_are_compared_by_their_share_of_successes():
    control = {"a": [True, False], "b": [False, False], "c": [True, True]}
    trial = {"a": [True, True], "b": [False, True], "c": [True, False]}
    assert Effect.between(control, trial) == Effect(2, 1, 0)


def test_tasks_without_a_trial_do_not_count():
    assert Effect.between({"a": [True], "b": [True]}, {"a": [False]}) == Effect(0, 1, 0)
