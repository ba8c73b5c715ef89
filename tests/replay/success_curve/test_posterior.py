"""What counts of replays say about the decisive step."""

import pytest

from agentracer.replay.success_curve.definition import decisive_step
from agentracer.replay.success_curve.planning import answer_set, information, next_prefixes
from agentracer.replay.success_curve.posterior import (
    NEVER,
    NO_SINGLE_STEP,
    mixed_prior,
    sample_curves,
)


def test_a_clear_fall_is_found_and_the_others_are_not():
    counts = {0: (7, 8), 3: (7, 8), 4: (0, 8), 8: (0, 3)}
    posterior = sample_curves(8, counts, size=1000).posterior()
    assert next(iter(posterior)) == 3
    assert posterior[3] > 0.95


def test_a_low_start_does_not_hide_a_later_loss():
    """Seen with a real team: 1, 5, 5, 4 of 8 with 0 to 3 steps kept, 0 with all four."""
    counts = {0: (1, 8), 1: (5, 8), 2: (5, 8), 3: (4, 8), 4: (0, 8)}
    posterior = sample_curves(4, counts, size=1000).posterior()
    assert next(iter(posterior)) == 3
    assert posterior[3] > 0.9


def test_no_success_anywhere_means_never():
    counts = {0: (0, 8), 4: (0, 8), 7: (0, 8), 8: (0, 3)}
    assert next(iter(sample_curves(8, counts, size=1000).posterior())) == NEVER


def test_a_slow_decline_has_no_single_step():
    counts = {k: (8 - k, 8) for k in range(9)}
    assert next(iter(sample_curves(8, counts, size=1000).posterior())) == NO_SINGLE_STEP


def test_each_answer_is_what_the_definition_says_of_its_curve():
    sample = sample_curves(12, {0: (3, 5), 6: (2, 5)}, size=300, seed=3)
    for position, answer in enumerate(sample.answers):
        values = [rates[position] for rates in sample.rates]
        expected = NEVER if max(values) == 0 else decisive_step(values)
        assert answer == (NO_SINGLE_STEP if expected is None else expected)


def test_without_replays_the_prior_decides():
    prior = [0.0] * 10
    prior[6] = 1.0
    posterior = sample_curves(10, {0: (5, 5)}, prior=prior, size=2000).posterior()
    assert next(iter(posterior)) == 6
    assert 0.5 < posterior[6] < 0.95  # a quarter stays uniform


def test_the_same_counts_and_seed_give_the_same_curves():
    first = sample_curves(6, {0: (2, 4)}, size=50, seed=7)
    assert first == sample_curves(6, {0: (2, 4)}, size=50, seed=7)
    assert first != sample_curves(6, {0: (2, 4)}, size=50, seed=8)


@pytest.mark.parametrize("prior", [[0.5, 0.5], [0.5, 0.5, -0.1]])
def test_a_prior_that_does_not_fit_is_refused(prior):
    with pytest.raises(ValueError, match="the prior needs 3 shares"):
        mixed_prior(3, prior)


def test_a_run_without_steps_has_no_curve():
    with pytest.raises(ValueError, match="at least one step"):
        sample_curves(0, {})


def test_what_is_known_tells_nothing_more():
    counts = {0: (40, 40), 4: (40, 40), 5: (0, 40), 8: (0, 3)}
    sample = sample_curves(8, counts, size=400)
    assert max(information(sample)) < 0.05
    doubtful = sample_curves(8, {0: (5, 5), 8: (0, 3)}, size=400)
    assert max(information(doubtful)) > 0.3
    prefix, bits = next_prefixes(doubtful, lambda k: 8 - k)[0]
    assert 0 < prefix < 8
    assert bits == information(doubtful)[prefix]


def test_answer_sets_take_the_most_probable_first():
    assert answer_set({3: 0.7, 4: 0.25, NEVER: 0.05}, 0.9) == (3, 4)
