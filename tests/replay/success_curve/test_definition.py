"""The definition of the decisive step, on curves that are known exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentracer.replay.success_curve.definition import decisive_step, lasting_losses


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ((0.8, 0.8, 0.0), 1),
        ((0.8, 0.2, 0.8, 0.0), 2),  # the first fall was repaired
        ((0.8, 0.2, 0.3, 0.0), 0),  # a part was repaired: 0.5 lost for good, then 0.3
        ((0.8, 0.2, 0.5, 0.0), 2),  # 0.3 lost for good, then 0.5
        ((0.1, 0.6, 0.6, 0.0), 2),  # a lucky step, then the loss
        ((0.9, 0.6, 0.3, 0.0), None),  # three equal losses, none of them half
        ((0.8, 0.4, 0.0), 0),  # of equal losses the first
        ((0.15, 0.0), None),  # less than 0.2 was lost at all
        ((0.0, 0.0, 0.0), None),
    ],
)
def test_the_decisive_step_has_the_largest_lasting_loss(values, step):
    assert decisive_step(values) == step


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_lasting_losses_add_up_to_what_was_lost_in_all(values):
    losses = lasting_losses(values)
    assert min(losses) >= 0
    assert sum(losses) == pytest.approx(max(values) - values[-1])
