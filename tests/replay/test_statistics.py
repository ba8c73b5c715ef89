"""The exact test, curtailed designs, and how often luck confirms anything."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentracer.replay import Override, System, find_decisive, verify
from agentracer.replay.design import ExperimentDesign
from agentracer.replay.trial import ReplayRequest, ReplayResult, Trial, confirm, prefilter
from agentracer.statistics import boschloo_p_value, smallest_sample
from agentracer.verdict import Provenance, Verdict
from tests.replay.miniature import Miniature, record

counts = st.integers(1, 8).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(0, n), st.just(n))
)


def test_known_values():
    # One table is as extreme as (n, n) against (0, n): itself. Its chance is highest at 1/2.
    assert boschloo_p_value(3, 3, 0, 3) == pytest.approx(0.5**6, rel=1e-3)
    assert boschloo_p_value(5, 5, 0, 5) == pytest.approx(0.5**10, rel=1e-3)
    assert boschloo_p_value(0, 3, 0, 3) == 1.0
    assert boschloo_p_value(0, 0, 0, 0) == 1.0
    assert boschloo_p_value(2, 3, 0, 3) > 0.05
    assert [smallest_sample(alpha) for alpha in (0.05, 0.05 / 10, 0.05 / 60)] == [3, 4, 6]


@given(counts)
def test_it_is_a_probability_and_never_above_fisher(table):
    a, n, c, m = table
    fisher = sum(
        math.comb(n, k) * math.comb(m, a + c - k) for k in range(a, min(n, a + c) + 1)
    ) / math.comb(n + m, a + c)
    p = boschloo_p_value(*table)
    assert 0.0 < p <= 1.0
    assert p <= fisher + 1e-6


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("size", [3, 4, 6])
def test_it_is_exact(size, rate):
    """The chance that luck shows a p-value of at most alpha is at most alpha, at any rate."""
    chance = [math.comb(size, k) * rate**k * (1 - rate) ** (size - k) for k in range(size + 1)]
    for alpha in (0.05, 0.01):
        luck = sum(
            chance[a] * chance[c]
            for a, c in product(range(size + 1), repeat=2)
            if boschloo_p_value(a, size, c, size) <= alpha
        )
        assert luck <= alpha + 1e-9


def drive(plan, outcomes, controls):
    """Carry a plan out with given outcomes."""
    reply = None
    corrected, control = iter(outcomes), iter(controls)
    try:
        while True:
            play = plan.send(reply)
            assert isinstance(play, ReplayRequest)
            success = next(corrected if play.purpose == "correction" else control)
            reply = ReplayResult(success, trace="t", signature=str(random.random()))
    except StopIteration:
        return


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 8), st.data())
def test_stopping_early_decides_what_all_replays_would_have_decided(size, data):
    outcomes = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    controls = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    design = ExperimentDesign(size, reproducible=False)
    trace = record(Miniature(["a"], lambda name, lines: "x"), lambda result: False)
    trial = Trial((Override(step=0, content="y"),), design)
    drive(prefilter(trial), outcomes, controls)
    drive(confirm(trial, trace), outcomes[trial.replays :], controls)
    full = boschloo_p_value(sum(outcomes), size, sum(controls), size) <= design.alpha
    assert (trial.status == "confirmed") == full
    assert trial.replays + trial.control_replays <= 2 * size


def test_a_deterministic_system_saves_replays():
    design = ExperimentDesign(6, reproducible=True)
    trace = record(Miniature(["a"], lambda name, lines: "x"), lambda result: False)
    useless = Trial((Override(step=0, content="y"),), design)
    drive(prefilter(useless), [False] * 6, [])
    assert (useless.replays, useless.status) == (1, "refuted")
    useful = Trial((Override(step=0, content="y"),), design)
    drive(prefilter(useful), [True] * 6, [])
    drive(confirm(useful, trace), [True] * 6, [False] * 6)
    assert (useful.replays, useful.control_replays, useful.status) == (6, 3, "confirmed")


# -- a team with a random model


class RandomTeam:
    """Three turns, and then luck: the run succeeds in 20 of 100 cases, whatever anybody says."""

    def __init__(self, seed: int, rate: float = 0.2) -> None:
        self.rng, self.rate = random.Random(seed), rate
        self.team = Miniature([f"agent-{turn}" for turn in range(4)], self.answer)

    def answer(self, name, lines):
        if name == "agent-3":
            return "answer: right" if self.rng.random() < self.rate else "answer: wrong"
        return f"{name}: {self.rng.choice(['yes', 'no', 'perhaps'])}"

    @staticmethod
    def correct(trace, step):
        # The last turn decides by itself, so correcting it would really help.
        return Override(step=step, content="as it should be") if step < 3 else None

    def failed_run(self):
        while True:
            trace = record(self.team, is_right)
            if trace.outcome.success is False:
                return trace


def is_right(lines):
    return lines[-1] == "answer: right"


@pytest.mark.slow
def test_luck_confirms_less_than_5_percent_of_200_failed_runs(record_property):
    confirmed = inconclusive = 0
    for seed in range(200):
        world = RandomTeam(seed)
        trace = world.failed_run()
        strategy = ("sequential", "ranked", "bisect")[seed % 3]
        search = find_decisive(
            trace,
            System(run=world.team.run, check=is_right),
            world.correct,
            strategy=strategy,
            ranking=[2],
        )
        confirmed += not search.verdict.abstained
        inconclusive += any(proof.status == "inconclusive" for proof in search.proofs.values())
    record_property("false confirmations of 200", confirmed)
    record_property("searches with inconclusive steps", inconclusive)
    print(f"false confirmations: {confirmed} of 200; with inconclusive steps: {inconclusive}")
    assert confirmed < 0.05 * 200
    assert inconclusive > 100


def test_verify_by_luck_too_is_rare_and_inconclusive_is_used():
    statuses = []
    for seed in range(200):
        world = RandomTeam(seed, rate=0.2)
        trace = world.failed_run()
        verdict = Verdict(
            trace_id=trace.id, agent="agent-1", step=1, provenance=Provenance(model="t", method="t")
        )
        checked = verify(trace, verdict, System(world.team.run, is_right), world.correct, repeats=5)
        statuses.append(checked.verification.status)
    print({status: statuses.count(status) for status in set(statuses)})
    assert statuses.count("confirmed") < 0.05 * 200
    assert statuses.count("inconclusive") > 50


def test_a_correction_that_helps_in_most_runs_is_confirmed_with_enough_repeats():
    rng = random.Random(5)

    def answer(name, lines):
        if name == "b":
            rate = 0.9 if "good plan" in lines[-1] else 0.1
            return f"{'right' if rng.random() < rate else 'wrong'} {rng.random()}"
        return "bad plan"

    def good(lines):
        return lines[-1].startswith("right")

    found = 0
    for _ in range(20):
        team = Miniature(["a", "b"], answer)
        trace = record(team, good)
        if trace.outcome.success:
            continue
        search = find_decisive(
            trace,
            System(run=team.run, check=good),
            lambda trace, step: Override(step=0, content="good plan") if step == 0 else None,
        )
        assert search.reproducible is False
        found += search.verdict.step == 0
    assert found >= 12


# -- verify


def verdict_on(trace, step):
    return Verdict(
        trace_id=trace.id,
        agent=trace.steps[step].agent,
        step=step,
        provenance=Provenance(model="t", method="t"),
    )


def test_verify_confirms_refutes_and_says_when_it_cannot_tell():
    def answer(name, lines):
        return "right" if name == "b" and lines[-1] == "good plan" else "bad plan"

    team = Miniature(["a", "b"], answer)

    def good(lines):
        return lines[-1] == "right"

    trace = record(team, good)
    system = System(run=team.run, check=good)
    confirmed = verify(
        trace, verdict_on(trace, 0), system, lambda t, s: Override(step=s, content="good plan")
    )
    proof = confirmed.verification
    assert (proof.status, proof.flips, proof.replays) == ("confirmed", 3, 3)
    assert (proof.control_flips, proof.control_replays) == (0, 3)
    assert "p = 0.0156" in proof.note
    assert len(proof.traces) == 6
    refuted = verify(
        trace, verdict_on(trace, 0), system, lambda t, s: Override(step=s, content="other plan")
    ).verification
    assert (refuted.status, refuted.replays) == ("refuted", 2)  # two replays word for word alike
    nothing = verify(trace, verdict_on(trace, 0), system, lambda t, s: None).verification
    assert (nothing.status, nothing.note) == (
        "inconclusive",
        "the oracle has no correction for this step",
    )
    fast = verify(
        trace,
        verdict_on(trace, 0),
        System(run=team.run, check=good, deterministic=True),
        lambda t, s: Override(step=s, content="good plan"),
    ).verification
    assert (fast.status, fast.replays, fast.control_replays) == ("confirmed", 1, 1)


def test_verify_wants_a_verdict_on_this_trace():
    trace = record(Miniature(["a"], lambda name, lines: "x"), lambda result: False)
    other = verdict_on(trace, 0).model_copy(update={"trace_id": "another"})
    system = System(run=lambda: None, check=lambda result: False)
    with pytest.raises(ValueError, match="about trace another"):
        verify(trace, other, system, lambda t, s: None)
