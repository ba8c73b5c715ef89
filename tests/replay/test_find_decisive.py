"""The search names exactly the planted decisive step, and says what it did."""

from __future__ import annotations

import asyncio
import random

import pytest

from agentracer.replay import Budget, Override, System, afind_decisive, find_decisive
from tests.replay.miniature import Miniature, Planted, is_good, record

STRATEGIES = ("sequential", "ranked", "bisect")

PLANTED = {
    "alone": (["ok", "ok", "bad", "ok", "ok"], 2),
    "at the start": (["bad", "ok", "ok"], 0),
    "at the end": (["ok", "ok", "ok", "bad"], 3),
    "a repaired decoy before it": (["ok", "slip", "ok", "fixed", "bad", "ok"], 4),
    "a repaired decoy after it": (["ok", "bad", "slip", "ok", "fixed", "ok"], 1),
    "later errors that follow from it": (["ok", "bad", "after", "ok", "after", "after"], 1),
    "decoys and consequences": (["slip", "fixed", "slip", "bad", "after", "fixed", "after"], 3),
}


@pytest.fixture(params=PLANTED.values(), ids=PLANTED)
def planted(request):
    words, step = request.param
    return Planted(words), step


@pytest.mark.parametrize("deterministic", [True, None])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("oracle", ["correct", "correct_all"])
def test_every_strategy_names_the_planted_step(planted, strategy, oracle, deterministic):
    world, step = planted
    trace = record(world.team(), is_good)
    search = find_decisive(
        trace,
        world.system(deterministic=deterministic),
        getattr(world, oracle),
        strategy=strategy,
        ranking=[len(world.words) - 1, step],
    )
    assert search.verdict.step == step
    assert search.verdict.agent == f"agent-{step}"
    assert search.verdict.verification.status == "confirmed"
    assert search.verdict.verification.control_flips == 0
    assert search.replays == search.usage.replays


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("deterministic", [True, None])
def test_two_independent_errors_are_no_single_decisive_step(strategy, deterministic):
    world = Planted(["ok", "bad", "ok", "bad", "ok"])
    trace = record(world.team(), is_good)
    search = find_decisive(
        trace,
        world.system(deterministic=deterministic),
        world.correct,
        strategy=strategy,
        ranking=[3],
    )
    assert search.verdict.abstained
    assert "no single step" in search.verdict.abstain_reason
    assert "correcting step 1, 3 together does: there are several" in search.verdict.abstain_reason
    assert {proof.status for proof in search.proofs.values()} == {"refuted"}


def test_sequential_stops_at_the_decisive_step_and_says_what_it_did():
    world = Planted(["slip", "ok", "fixed", "bad", "bad-ish", "slip"])
    trace = record(world.team(), is_good)
    told = []
    search = find_decisive(
        trace, world.system(), world.correct, progress=lambda step, proof: told.append(step)
    )
    assert search.uncorrected == [1, 2]
    assert search.skipped == [4, 5]
    assert search.proofs[0].status == "refuted"
    assert search.may_have_missed == []
    assert search.reproducible is True
    assert told == [0, 1, 2, 3]
    assert "correcting step 0 before it does not help" in search.verdict.reason


def test_ranked_corrects_unsuspected_earlier_steps_together():
    world = Planted(["ok"] * 12 + ["bad", "ok"])
    trace = record(world.team(), is_good)
    system = world.system(deterministic=True)
    search = find_decisive(trace, system, world.correct_all, strategy="ranked", ranking=[12])
    assert search.verdict.step == 12
    assert search.together == list(range(12))
    assert search.replays == 3  # the correction, all earlier ones at once, the control
    assert "corrected together, not one by one" in search.may_have_missed[0]
    assert search.verdict.calibrated is False
    strict = find_decisive(
        trace, system, world.correct_all, strategy="ranked", ranking=[12], earliest="each"
    )
    assert (strict.verdict.step, strict.together, strict.replays) == (12, [], 14)
    assert strict.verdict.calibrated is True


def test_ranked_goes_back_where_an_earlier_correction_helps_too():
    # Any later turn can undo the error by saying so: the earliest that flips is what counts.
    world = Planted(["ok", "ok", "bad", "ok", "ok", "ok"])

    def undoing(trace, step):
        if step < 2:
            return Override(step=step, content=f"agent-{step}: fine")
        return Override(step=step, content=f"agent-{step}: undone")

    def check(lines):
        said = [line.rpartition(": ")[2] for line in lines]
        return "bad" not in said or "undone" in said

    trace = record(world.team(), check)
    for strategy in STRATEGIES:
        system = System(run=world.team().run, check=check, deterministic=True)
        search = find_decisive(trace, system, undoing, strategy=strategy, ranking=[5, 4])
        assert search.verdict.step == 2, strategy


def planted_at_random(seed):
    """A run of 5 to 60 steps with one error, repaired decoys, consequences; and a ranking.

    The ranking is as good as a tracer's: it names the error first in 40 % of runs, among its five
    in 75 %, and else points elsewhere.
    """
    rng = random.Random(seed)
    length = rng.randrange(5, 61)
    step = rng.randrange(1, length)
    words = [rng.choice(["ok", "ok", "ok", "after"]) for _ in range(length)]
    words[step] = "bad"
    if step >= 3:
        decoy = rng.randrange(0, step - 1)
        words[decoy], words[decoy + 1] = "slip", "fixed"
    shortlist = rng.sample([s for s in range(length) if s != step], 4)
    place = rng.choices([0, 1, 2, 3, 4, None], [40, 12, 9, 8, 6, 25])[0]
    if place is not None:
        shortlist.insert(place, step)
    return Planted(words), step, shortlist


@pytest.mark.slow
def test_ranked_finds_the_same_step_with_at_most_half_the_replays(record_property):
    replays = {"sequential": 0, "ranked": 0}
    for seed in range(24):
        world, step, shortlist = planted_at_random(seed)
        trace = record(world.team(), is_good)
        system = world.system(deterministic=True)
        for strategy in replays:
            search = find_decisive(
                trace, system, world.correct_all, strategy=strategy, ranking=shortlist
            )
            assert search.verdict.step == step, (seed, strategy)
            replays[strategy] += search.replays
    print(replays)
    record_property("replays", str(replays))
    assert replays["ranked"] <= replays["sequential"] / 2


def test_bisect_says_what_it_passed_over():
    world = Planted(["ok"] * 9 + ["bad"] + ["after"] * 6)

    def check(lines):
        said = [line.rpartition(": ")[2] for line in lines]
        return "bad" not in said or "undone" in said

    def oracle(trace, step):
        return Override(step=step, content=f"agent-{step}: {'undone' if step > 9 else 'ok!'}")

    trace = record(world.team(), check)
    system = System(run=world.team().run, check=check, deterministic=True)
    search = find_decisive(trace, system, oracle, strategy="bisect")
    assert search.verdict.step == 9
    assert search.replays <= 6
    assert "binary search passed over it" in search.may_have_missed[-1]
    assert search.verdict.calibrated is False


def test_the_prefix_is_never_recomputed():
    world = Planted(["ok"] * 8 + ["bad"] + ["ok"] * 4)
    team = world.team()
    trace = record(team, is_good)
    team.model_calls = 0
    search = find_decisive(
        trace, world.system(team, deterministic=True), world.correct, strategy="sequential"
    )
    assert search.replays == 2
    assert team.model_calls == 2 * 4 == search.usage.model_calls


def test_a_system_that_was_wrongly_declared_deterministic_confirms_nothing():
    world = Planted(["ok", "bad", "ok"])
    trace = record(world.team(), is_good)
    luck = iter([True, True])
    system = System(run=world.team().run, check=lambda lines: next(luck), deterministic=True)
    search = find_decisive(trace, system, world.correct)
    assert search.verdict.abstained
    assert "declared deterministic; but the control succeeded" in search.proofs[1].note


def test_async_systems_and_oracles():
    world = Planted(["slip", "fixed", "bad", "ok"])
    trace = record(world.team(), is_good)

    async def oracle(trace, step):
        await asyncio.sleep(0)
        return world.correct(trace, step)

    system = System(run=world.team().arun, check=is_good)
    search = asyncio.run(afind_decisive(trace, system, oracle))
    assert search.verdict.step == 2


def test_an_async_oracle_in_a_blocking_search_is_named():
    world = Planted(["bad"])
    trace = record(world.team(), is_good)

    async def oracle(trace, step):
        return world.correct(trace, step)

    search = find_decisive(trace, world.system(), oracle)
    assert "use the async variant" in search.verdict.abstain_reason


def test_a_broken_oracle_costs_only_its_step():
    world = Planted(["slip", "fixed", "bad", "ok"])
    trace = record(world.team(), is_good)

    def oracle(trace, step):
        if step == 0:
            raise RuntimeError("no answer")
        if step == 1:
            return Override(step=1, result="there is no call")
        return world.correct(trace, step)

    search = find_decisive(trace, world.system(), oracle)
    assert search.verdict.step == 2
    assert any("RuntimeError: no answer" in line for line in search.may_have_missed)
    assert any("0 tool calls" in line for line in search.may_have_missed)
    # Who knows whether an earlier step is decisive? So this proves nothing.
    assert search.verdict.verification.status == "inconclusive"


def test_a_replay_that_breaks_does_not_end_the_scan():
    world = Planted(["slip", "fixed", "bad", "ok"])
    trace = record(world.team(), is_good)
    team = world.team()
    calls = []

    def run():
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("the model server is away")
        return team.run()

    search = find_decisive(trace, System(run=run, check=is_good, deterministic=True), world.correct)
    assert search.verdict.step == 2
    assert search.verdict.verification.status == "inconclusive"
    untried = [line for line in search.may_have_missed if "step 0 could not be tried" in line]
    assert untried[0].endswith("the rerun ended before it came to step 0")
    assert "does not help" not in search.verdict.reason


def test_corrections_that_could_not_be_replayed_are_not_said_to_show_nothing():
    world = Planted(["slip", "slip"])
    trace = record(world.team(), is_good)

    def run():
        raise ConnectionError("the model server is away")

    first, team = [], world.team()
    system = System(run=lambda: run() if first else first.append(1) or team.run(), check=is_good)
    reason = find_decisive(trace, system, world.correct).verdict.abstain_reason
    assert "a correction of step 0 could not be tried" in reason
    assert "beyond luck" not in reason
    assert "no single step" not in reason


def test_a_budget_ends_the_search_and_what_is_left_is_said():
    world = Planted(["slip", "slip", "fixed", "bad", "ok"])
    trace = record(world.team(), is_good)
    system = world.system(deterministic=True)
    for budget in (Budget(runs=2), Budget(tokens=1), Budget(seconds=0.0)):
        search = find_decisive(trace, system, world.correct, budget=budget, resume=False)
        assert search.verdict.abstained
        assert "was spent with" in search.verdict.abstain_reason
        assert search.usage.replays <= 2
    enough = find_decisive(trace, system, world.correct, budget=Budget(runs=4), resume=False)
    assert enough.verdict.step == 3


def test_a_search_that_ran_out_of_budget_can_be_resumed_with_more():
    world = Planted(["slip", "slip", "fixed", "bad", "ok"])
    trace = record(world.team(), is_good)
    system = world.system(deterministic=True)
    find_decisive(trace, system, world.correct, budget=Budget(runs=2))
    asked = []

    def oracle(trace, step):
        asked.append(step)
        return world.correct(trace, step)

    again = find_decisive(trace, system, oracle)
    assert again.verdict.step == 3
    assert (again.usage.replays, again.usage.resumed) == (2, 2)
    assert asked == [] or min(asked) >= 2
    afresh = find_decisive(trace, system, world.correct)
    assert (afresh.usage.replays, afresh.usage.resumed) == (4, 0)


def test_only_failed_runs_that_were_recorded_here_are_searched():
    world = Planted(["ok"])
    trace = record(world.team(), is_good)
    with pytest.raises(ValueError, match="not a failed run"):
        find_decisive(trace, world.system(), world.correct)
    failed = record(Planted(["bad"]).team(), is_good)
    with pytest.raises(ValueError, match="imported"):
        find_decisive(
            failed.model_copy(update={"replayable": False}), world.system(), world.correct
        )
    with pytest.raises(ValueError, match="names step 7"):
        find_decisive(failed, world.system(), world.correct, ranking=[7])


def test_a_run_without_any_correction_says_so():
    trace = record(Planted(["bad"]).team(), is_good)
    search = find_decisive(trace, Planted(["bad"]).system(), lambda trace, step: None)
    assert search.verdict.abstain_reason == "the oracle has no correction for any step"


def test_a_proposal_that_changes_nothing_is_no_correction():
    world = Planted(["ok", "bad"])
    trace = record(world.team(), is_good)

    def oracle(trace, step):
        return Override(step=step, content=trace.steps[step].content)

    search = find_decisive(trace, world.system(deterministic=True), oracle)
    assert search.uncorrected == [0, 1]
    assert search.replays == 0


def test_progress_is_told_of_each_replay():
    world = Planted(["slip", "fixed", "bad"])
    trace = record(world.team(), is_good)
    seen = []
    find_decisive(
        trace, world.system(), world.correct, on_replay=lambda usage: seen.append(usage.replays)
    )
    assert seen == list(range(1, len(seen) + 1))


def test_miniature_is_a_real_replay():
    world = Planted(["ok", "bad", "ok"])
    team = world.team()
    assert isinstance(team, Miniature)
    trace = record(team, is_good)
    assert (trace.outcome.success, trace.replayable, team.model_calls) == (False, True, 3)
