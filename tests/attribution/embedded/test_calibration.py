"""Calibration against values computed by hand and against made-up truth."""

import math
import random

import pytest

from agentracer.attribution.embedded.fitting.calibration import (
    HeldOut,
    fit_calibration,
    fit_distribution,
)
from agentracer.attribution.embedded.model.calibration import Calibration, Shrinkage
from agentracer.attribution.embedded.model.features import CONTENT
from agentracer.attribution.embedded.model.model_file import Model
from agentracer.attribution.embedded.model.ranker import ranking_of_scores


def held_out(count, sharpness, seed=0):
    """Runs whose right step is drawn from the softmax of scores / sharpness."""
    draw = random.Random(seed)
    runs = []
    for _ in range(count):
        scores = [draw.gauss(0, 2) for _ in range(6)]
        chances = [math.exp(score / sharpness) for score in scores]
        runs.append(HeldOut(scores, draw.choices(range(6), chances)[0]))
    return runs


@pytest.mark.parametrize("sharpness", [0.7, 1.0, 2.5])
def test_the_temperature_finds_how_sharp_the_scores_should_have_been(sharpness):
    found = fit_calibration(held_out(1_500, sharpness))
    assert found.temperature == pytest.approx(sharpness, rel=0.15)
    assert found.slope == pytest.approx(1.0, abs=0.2)


def test_the_set_covers_eighty_percent_of_new_runs():
    calibration = fit_calibration(held_out(400, 1.0))
    covered = 0
    fresh = held_out(1_000, 1.0, seed=1)
    for run in fresh:
        chances = [math.exp(score / calibration.temperature) for score in run.scores]
        total, own = sum(chances), chances[run.step]
        before = sum(chance for chance in chances if chance > own) / total
        covered += before <= calibration.set_mass
    assert 0.76 <= covered / len(fresh) <= 0.84


def test_a_threshold_keeps_the_error_that_it_promises():
    calibration = fit_calibration(held_out(400, 1.0))
    assert calibration.threshold(0.05) == 1.01  # nothing was measured for so little error
    low, high = calibration.threshold(0.5), calibration.threshold(0.2)
    assert low <= high
    right = []
    for run in held_out(2_000, 1.0, seed=2):
        chances = [math.exp(score / calibration.temperature) for score in run.scores]
        top = max(range(6), key=lambda i: chances[i])
        if calibration.confidence(chances[top] / sum(chances)) >= high:
            right.append(top == run.step)
    assert 1 - sum(right) / len(right) <= 0.27


def test_shapes_outside_the_range_or_in_a_gap_are_strange():
    draw = random.Random(0)
    known = [{"a": draw.uniform(0, 1), "b": draw.uniform(0, 0.2)} for _ in range(40)]
    check = fit_distribution(known, [str(i) for i in range(40)])
    assert all(check.difference(shape) is None for shape in known)
    assert "'a'" in check.difference({"a": 1.5, "b": 0.1})
    ends = fit_distribution(
        [{"a": x} for x in [0.0] * 10 + [1.0] * 10], [str(i) for i in range(20)]
    )
    assert ends.difference({"a": 0.0}) is None
    assert "mix" in ends.difference({"a": 0.5})


def test_a_run_with_other_kinds_of_content_is_strange():
    sums, sources = {"a": 0.5, CONTENT + "sums": 1.0}, {"a": 0.5, CONTENT + "sources": 1.0}
    check = fit_distribution(
        [sums] * 60 + [sources] * 60 + [{"a": 0.5}], list(map(str, range(121)))
    )
    assert check.difference(sums) is None
    assert check.difference(sources) is None
    assert "sources and sums" in check.difference(sums | sources)
    assert "nothing to check" in check.difference({"a": 0.5})  # one in 121 is hardly any


def test_confidence_falls_towards_a_blind_guess_in_strange_runs():
    known = [{"a": 0.5, CONTENT + "sums": 1.0}] * 20
    calibration = fit_calibration(
        held_out(200, 1.0),
        distribution=fit_distribution(known, list(map(str, range(20)))),
        shrinkage=Shrinkage(shape=0.8, content=0.5),
    )
    model = Model(name="made up", weights={}, calibration=calibration)
    stated = {
        kind: ranking_of_scores([4.0, 0.0, 0.0, 0.0], list("abcd"), shape, model).confidence
        for kind, shape in {
            "known": known[0],
            "shape": known[0] | {"a": 2.0},
            "content": {"a": 0.5},
        }.items()
    }
    assert stated["shape"] == pytest.approx(0.8 * stated["known"] + 0.2 / 4)
    assert stated["content"] == pytest.approx(0.5 * stated["known"] + 0.5 / 4)


def test_it_comes_back_from_json_and_refuses_nonsense():
    calibration = fit_calibration(
        held_out(50, 1.0),
        distribution=fit_distribution([{"a": 1.0}] * 5, list("abcde")),
        shrinkage=Shrinkage(0.9, 0.5),
    )
    data = calibration.as_dict()
    assert Calibration.from_dict(data).as_dict() == data
    with pytest.raises(ValueError, match="temperature"):
        Calibration.from_dict(data | {"temperature": 0})


def test_nothing_to_calibrate_on_is_an_error():
    with pytest.raises(ValueError, match="held-out"):
        fit_calibration([])
