"""How far labels may move a weight."""

import pytest

from agentracer.attribution.embedded.fitting.fit import Example, fit_path
from agentracer.attribution.embedded.model.model_file import shipped_model
from agentracer.attribution.embedded.text.assignments import NamedValues

pytest.importorskip("numpy", reason="numpy is not installed (pip install 'agentracer-mas[adapt]')")
pytest.importorskip("scipy", reason="scipy is not installed (pip install 'agentracer-mas[adapt]')")

CHECKED, SHAPE = "admits_assumed_facts", "rare_worker"


def runs(feature, count=12):
    """Runs of three steps, each with the feature at the labelled step alone."""
    return [
        Example(
            id=str(number),
            rows=[{feature: float(index == number % 3)} for index in range(3)],
            speakers=["a", "b", "c"],
            step=number % 3,
            agent="abc"[number % 3],
            group=str(number),
            kind="peers",
            shape={},
        )
        for number in range(count)
    ]


def moved(feature, scale=1.0, **settings):
    """How far a fit moves the weight of a feature from where it started."""
    start = shipped_model()
    examples = [
        Example(**{**vars(e), "rows": [{k: scale * v for k, v in row.items()} for row in e.rows]})
        for e in runs(feature)
    ]
    weights = fit_path(examples, [10.0], start, **settings)[10.0]
    return weights[feature] - start.weights.get(feature, 0.0)


def test_checked_content_moves_farther_than_shape_where_a_model_is_adapted():
    assert moved(CHECKED) > 2 * moved(SHAPE) > 0
    assert moved(CHECKED, content_scale=1.0) == pytest.approx(moved(SHAPE), rel=0.5)


def test_a_small_fraction_is_held_less_than_a_feature_that_is_there_or_not():
    assert moved(CHECKED, scale=0.3) > moved(CHECKED)


def test_a_value_written_in_another_way_is_no_change():
    values = NamedValues()
    values.update(0, "the ratio is 1.0", from_outside=False)
    assert values.update(1, "the ratio is 1", from_outside=False) is None
    changed = values.update(2, "the ratio is 2", from_outside=False)
    assert (changed.before, changed.value) == ("1", "2")


def test_a_feature_that_is_not_in_the_catalogue_cannot_be_trained_on():
    with pytest.raises(ValueError, match="no feature is called 'wrong_calcluation'"):
        fit_path(runs("wrong_calcluation"), [10.0])
