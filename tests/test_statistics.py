"""Differences and calibration against values computed by hand."""

import pytest

from agentracer.lab.bench.metrics import Prediction
from agentracer.lab.bench.reliability import reliability
from agentracer.statistics import bootstrap_interval, compare_paired, sign_test


def said(confidence, *, right, abstained=False):
    step = None if abstained else 1
    return Prediction(
        id="t", file="f", agent=None if abstained else "a", step=step, label_agent="a",
        label_step=1 if right else 2, confidence=confidence, abstained=abstained,
    )  # fmt: skip


def test_the_sign_test_is_the_exact_binomial_one():
    assert sign_test(5, 0) == pytest.approx(2 / 32)
    assert sign_test(3, 1) == pytest.approx(2 * (1 + 4) / 16)
    assert sign_test(4, 4) == 1.0
    assert sign_test(0, 0) == 1.0


def test_a_comparison_counts_runs_and_bounds_the_mean():
    found = compare_paired([1, 1, 1, 0], [0, 1, 0, 1])
    assert (found.value, found.better, found.worse) == (0.25, 2, 1)
    assert found.low <= found.value <= found.high
    same = compare_paired([1.0] * 5, [1.0] * 5)
    assert (same.low, same.value, same.high, same.p_value) == (0, 0, 0, 1.0)


def test_the_bootstrap_agrees_with_the_normal_interval_on_many_runs():
    low, high = bootstrap_interval([1.0] * 300 + [0.0] * 700)
    half = 1.96 * (0.3 * 0.7 / 1_000) ** 0.5
    assert (low, high) == (pytest.approx(0.3 - half, abs=0.01), pytest.approx(0.3 + half, abs=0.01))


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        compare_paired([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="nothing"):
        compare_paired([], [])


def test_the_calibration_error_is_the_weighted_gap_by_bin():
    some = [said(0.95, right=True), said(0.95, right=False), said(0.15, right=False)]
    found = reliability(some)
    assert [(b.n, b.accuracy) for b in found.bins] == [(1, 0.0), (2, 0.5)]
    assert found.ece == pytest.approx((1 * 0.15 + 2 * 0.45) / 3)


def test_the_surest_are_kept_first_and_abstentions_go_first():
    some = [said(0.9, right=True), said(0.5, right=False), said(0.0, right=True, abstained=True)]
    found = reliability(some)
    curve = {point.coverage: point.accuracy for point in found.curve}
    assert curve[0.35] == 1.0
    assert curve[0.65] == 0.5
    assert curve[1.0] == pytest.approx(1 / 3)
    assert found.coverage == pytest.approx(2 / 3)


def test_ties_do_not_depend_on_the_order_of_files():
    some = [said(0.5, right=True), said(0.5, right=False)]
    assert reliability(some).curve == reliability(some[::-1]).curve
    assert reliability(some).curve[0].accuracy == 0.5
