"""The search, on systems whose chance of success is known exactly."""

import random

import pytest

from agentracer.errors import BudgetSpent
from agentracer.replay.success_curve.posterior import NEVER, NO_SINGLE_STEP
from agentracer.replay.success_curve.search import SearchSettings, search

ONE_FALL = [0.8] * 6 + [0.0] * 7  # step 5 of 12


def simulate(curve, seed=0, budget=10_000, unusable=(), **arguments):
    """Run a search against a curve; returns what it found and the batches it asked for."""
    rng, batches = random.Random(seed), []
    plan = search(len(curve) - 1, seed=seed, **arguments)
    try:
        batch = next(plan)
        while True:
            if len(batches) == budget:
                batch = plan.throw(BudgetSpent(f"the budget of {budget} runs was spent"))
            batches.append(batch)
            draws = [(k, rng.random() < curve[k]) for k in batch.prefixes]
            batch = plan.send([None if k in unusable else success for k, success in draws])
    except StopIteration as stop:
        return stop.value, batches


def test_a_fall_is_found_and_confirmed_by_fresh_replays():
    found, batches = simulate(ONE_FALL)
    assert found.top == found.answers[0] == 5
    assert found.posterior[5] >= found.level
    assert found.confirmation.passed
    assert found.confirmation.p_value < 0.05
    confirming = [k for b in batches if b.purpose == "confirm" for k in b.prefixes]
    assert set(confirming) == {5, 6}
    assert found.replays == sum(len(b.prefixes) for b in batches)


def test_the_full_record_comes_first_and_a_success_of_it_ends_the_search():
    found, batches = simulate([0.8] * 3 + [1.0])
    assert found.record_succeeds
    assert [b.purpose for b in batches] == ["record"]
    assert found.posterior == {}
    assert found.confirmation is None


def test_a_success_of_the_full_record_in_the_exact_test_ends_the_search_too():
    for seed in range(20):
        found, batches = simulate([0.9] * 4 + [0.25], seed=seed)
        if len(batches) > 3 and found.counts[4][0]:
            break
    else:
        raise AssertionError("no seed has a first success in the exact test")
    assert found.record_succeeds
    assert (found.posterior, found.top) == ({}, None)
    assert not found.confirmation.passed


def test_never_is_said_only_after_14_replays_at_the_start_the_middle_and_the_end():
    found, _ = simulate([0.0] * 9)
    assert found.top == NEVER
    assert found.successes == 0
    searched = {k: n for k, (_, n) in found.counts.items() if k < 8}
    assert sum(searched.values()) >= 14
    assert {0, 4, 7} <= set(searched)


def test_a_slow_decline_confirms_no_step():
    found, _ = simulate([0.9 * (1 - k / 10) for k in range(11)], seed=2)
    assert found.confirmation is None or not found.confirmation.passed
    assert NO_SINGLE_STEP in found.answers


def test_a_budget_ends_the_search_with_what_is_known():
    found, batches = simulate(ONE_FALL, budget=5)
    assert found.ended == "the budget of 5 runs was spent"
    assert found.replays == len(batches) == 5
    assert sum(found.posterior.values()) == pytest.approx(1.0)
    assert found.confirmation is None


def test_prefixes_whose_replays_cannot_be_used_are_given_up_and_said():
    found, batches = simulate(ONE_FALL, unusable=(5, 6))
    assert found.unusable == {5: 2, 6: 2}
    assert not {5, 6} & set(found.counts)
    assert {4, 5, 6} & set(found.answers)
    assert len(batches) < 200


def test_a_record_that_cannot_be_replayed_ends_the_search():
    found, batches = simulate(ONE_FALL, unusable=(12,))
    assert found.ended == "the full record could not be replayed"
    assert {b.purpose for b in batches} == {"record"}


def test_several_workers_get_as_many_replays_at_once():
    found, batches = simulate(ONE_FALL, settings=SearchSettings(workers=4))
    assert found.top == 5
    assert max(len(b.prefixes) for b in batches) == 4


def test_a_good_prior_needs_fewer_replayed_steps():
    curve = [0.8] * 14 + [0.0] * 17
    prior = [0.6 if step == 13 else 0.4 / 29 for step in range(30)]

    def cost(prior):
        runs = [simulate(curve, seed=seed, prior=prior)[1] for seed in range(6)]
        return sum(30 - k for batches in runs for b in batches for k in b.prefixes)

    assert cost(prior) < 0.85 * cost(None)


def test_luck_alone_rarely_passes_the_exact_test():
    """Every confirmation of a system that fails anywhere is a false one."""
    passed = 0
    for seed in range(12):
        found, _ = simulate([0.5] * 6 + [0.4, 0.3, 0.2, 0.1, 0.0], seed=seed)
        test = found.confirmation
        passed += test is not None and test.passed
    assert passed <= 2
