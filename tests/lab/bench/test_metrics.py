"""Scores against values computed by hand, and intervals against published ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentracer.lab.bench.metrics import METRICS, Prediction, normal_name, score
from agentracer.statistics import Rate, wilson


def predicted(agent, step, *others, label=("a", 5), **fields):
    candidates = () if step is None else ((agent, step), *(("x", other) for other in others))
    return Prediction(
        id="t", file="f", agent=agent, step=step, candidates=candidates,
        label_agent=label[0], label_step=label[1], **fields,
    )  # fmt: skip


def test_each_metric_counts_what_its_name_says():
    scores = score(
        [
            predicted("a", 5),  # all right
            predicted("a", 6, 1, 2, 5),  # off by one, label at rank 4
            predicted("b", 2, 5),  # off by three, wrong agent, label at rank 2
            predicted("b", 50, 1, 2, 3, 4, 5),  # label at rank 6; 50 is not 5
            predicted(None, None, abstained=True),
        ]
    )
    assert scores.n == 5
    assert {name: rate.hits for name, rate in scores.rates.items()} == {
        "agent_accuracy": 2,
        "step_accuracy": 1,
        "step_within_1": 2,
        "step_within_3": 3,
        "step_within_5": 3,
        "step_top3": 2,
        "step_top5": 3,
        "step_mrr": 1 + 1 / 4 + 1 / 2,
    }
    assert scores.rates["agent_accuracy"].value == 0.4


def test_a_step_that_only_contains_the_digits_of_the_label_is_wrong():
    prediction = predicted("a", 10, label=("a", 1))
    assert not prediction.step_correct
    assert prediction.agent_correct


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Orchestrator (thought)", "Orchestrator", True),
        (" WebSurfer ", "WebSurfer", True),
        ("Blu-Ray_Expert", "Blu-Ray_Expert", True),
        ("Expert", "Math_Expert", False),
        ("websurfer", "WebSurfer", False),
    ],
)
def test_agents_are_compared_whole_and_without_the_remark(one, other, same):
    assert (normal_name(one) == normal_name(other)) is same


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (12, 58, 0.123, 0.328),  # the intervals of AgenTracer's HC and AG cells
        (54, 126, 0.346, 0.516),
        (47, 126, 0.294, 0.460),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_intervals_agree_with_known_ones(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=6e-4)


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(hits, n):
    with pytest.raises(ValueError, match="hits"):
        wilson(hits, n)


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.floats(0, n), st.just(n))))
def test_an_interval_lies_between_zero_and_one_and_holds_the_share(counts):
    rate = Rate(*counts)
    low, high = rate.interval
    assert 0.0 <= low <= rate.value <= high <= 1.0


names = st.sampled_from(["a", "b (x)", "b"])
steps = st.integers(0, 9)


@st.composite
def predictions(draw):
    ranked = tuple(draw(st.lists(st.tuples(names, steps), max_size=6, unique=True)))
    agent, step = ranked[0] if ranked else (None, None)
    return Prediction(
        id="t", file="f", agent=agent, step=step, candidates=ranked,
        label_agent=draw(names), label_step=draw(steps), abstained=not ranked,
    )  # fmt: skip


@given(st.lists(predictions(), max_size=20))
def test_wider_metrics_are_never_lower_than_narrower_ones(some):
    rates = score(some).rates
    assert list(rates) == list(METRICS)
    hits = {name: rate.hits for name, rate in rates.items()}
    assert hits["step_accuracy"] <= hits["step_within_1"] <= hits["step_within_3"] <= len(some)
    assert hits["step_accuracy"] <= hits["step_top3"] <= hits["step_top5"] <= len(some)
