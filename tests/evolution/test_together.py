"""Several wrong steps in one run: what is learned of the alternatives, and proved of sets."""

from __future__ import annotations

import asyncio
import random

import pytest

import agentracer
from agentracer import evolution
from agentracer.evolution import JointCorrection, Team, TryAlternatives, Verified
from agentracer.evolution.alternatives import Alternatives
from agentracer.evolution.attributors import Attribution, FailedRun, verdict_on
from agentracer.evolution.posterior import Posterior, StepObservation
from agentracer.evolution.strategies.base import RoundState
from agentracer.replay import System
from agentracer.store import Store
from tests.evolution import worlds
from tests.evolution.worlds import OPTIONS, TASKS, Adders, is_sum

BOTH_WRONG = {"reader": worlds.read_first, "adder": worlds.add_one_more}


def evolved(world, blamer=None, *, rounds=6, **more):
    blamer = blamer or JointCorrection(OPTIONS, world.slots)
    return evolution.evolve(
        world.team(), TASKS, is_sum, blamer, rounds=rounds,
        strategy=TryAlternatives(OPTIONS, world.slots), **more,
    )  # fmt: skip


def step(agent, came, **results):
    return StepObservation(
        agent, "the same", came, {k: tuple(v.split()) for k, v in results.items()}
    )


# -- what is believed


def test_a_success_speaks_for_every_alternative_that_agrees_with_it():
    beliefs = Posterior({"reader": ["a", "b", "c"]})
    beliefs.observe("task", [step("reader", "x", x="a b", y="c")], success=True)
    assert beliefs.p_right("reader", "a") == beliefs.p_right("reader", "b") > 0.6
    assert beliefs.p_right("reader", "c") < 0.5
    assert beliefs.draw(random.Random(1))["reader"] in ("a", "b")


def test_a_failure_speaks_against_the_step_that_no_success_speaks_for():
    beliefs = Posterior({"reader": ["a", "b"], "adder": ["a", "b"]})
    reader, adder = step("reader", "x", x="a", y="b"), step("adder", "x", x="a", y="b")
    beliefs.observe("task", [reader, step("adder", "y", x="a", y="b")], success=True)
    beliefs.observe("task", [reader, adder], success=False)
    assert beliefs.p_wrong("task", reader) < 0.05
    assert beliefs.p_wrong("task", adder) > 0.8


def test_the_more_alternatives_agree_the_less_likely_they_are_wrong():
    beliefs = Posterior({"reader": ["a", "b", "c", "d"]})
    beliefs.observe("task", [step("reader", "x", x="a", y="b c d")], success=False)
    assert beliefs.p_right("reader", "b") > beliefs.p_right("reader", "a")


def test_what_breaks_is_believed_to_be_wrong():
    beliefs = Posterior({"reader": ["a", "b"]})
    broken = StepObservation("reader", "given", None, {"": ("a",), "y": ("b",)})
    beliefs.observe("task", [broken], success=False)
    assert beliefs.p_right("reader", "a") < beliefs.p_right("reader", "b")


def test_without_trust_in_what_is_believed_any_alternative_may_be_drawn():
    beliefs = Posterior({"reader": ["a", "b"]})
    for number in range(20):
        beliefs.observe(f"{number}", [step("reader", "x", x="a", y="b")], success=True)
    rng = random.Random(1)
    assert {beliefs.draw(rng)["reader"] for _ in range(50)} == {"a"}
    assert {beliefs.draw(rng, trust=0.0)["reader"] for _ in range(50)} == {"a", "b"}


def test_an_alternative_that_was_given_the_same_before_is_not_called_again():
    world = Adders()
    traces = []
    for _ in range(2):
        with agentracer.record("3+4", check=lambda result: False) as run:
            run.result = world.run("3+4")
        traces.append(run.trace)
    oracle = Alternatives(OPTIONS)
    first, called = oracle.observation(traces[0], 0), oracle.steps
    assert called == 2
    assert oracle.observation(traces[1], 0) == first
    assert oracle.steps == called
    assert first.results["[3, 4]"] == ("digits", "right")
    assert oracle.observation(traces[0], 2) is None  # the speaker has no alternatives


# -- what is proved


def test_two_wrong_steps_that_no_single_correction_mends_are_mended_together():
    alone = evolved(Adders(**BOTH_WRONG), Verified(Alternatives(OPTIONS)), session="alone")
    assert (alone.final, alone.kept) == (alone.first, ())
    world = Adders(**BOTH_WRONG)
    report = evolved(world)
    assert report.final.hits == len(TASKS)
    assert {swap.agent: swap.alternative for swap in report.kept} == {
        "reader": "right", "adder": "add",
    }  # fmt: skip
    assert world.slots == BOTH_WRONG  # and nothing stays in place


def verdicts(world, *, deterministic=True):
    """What was said of failures for which a set was proved."""
    found = []

    class Noting(TryAlternatives):
        def propose(self, blamed, known):
            found.extend(blamed)
            return super().propose(blamed, known)

    evolution.evolve(
        world.team(deterministic=deterministic), TASKS, is_sum,
        JointCorrection(OPTIONS, world.slots), rounds=6, strategy=Noting(OPTIONS, world.slots),
    )  # fmt: skip
    return [one for one in found if one.together]


def test_a_set_that_changes_one_agent_proves_its_step():
    proved = verdicts(Adders(reader=worlds.read_first, adder=worlds.add))
    alone = [one for one in proved if "2 agents" not in " ".join(one.verdict.notes)]
    assert alone
    for one in alone:
        assert (one.verdict.agent, one.verdict.verification.status) == ("reader", "confirmed")
        assert "succeeds with 'right' as reader" in one.verdict.reason


def test_a_set_that_changes_several_says_that_the_single_step_is_not_proved():
    proved = verdicts(Adders(**BOTH_WRONG))
    many = [one for one in proved if one.verdict.notes]
    assert many
    assert many[0].verdict.verification.status == "inconclusive"
    assert "2 agents were changed together" in many[0].verdict.notes[0]


def test_a_run_that_no_set_could_change_is_not_replayed():
    world = Adders(reader=worlds.read_right)
    world.slots["adder"] = _broken = lambda numbers: -1
    options = {"reader": {"right": worlds.read_right}}
    before = len(TASKS)
    report = evolution.evolve(
        world.team(), TASKS, is_sum, JointCorrection(options, world.slots), rounds=2,
        strategy=TryAlternatives(options, world.slots),
    )  # fmt: skip
    assert (report.cost.runs, report.cost.replays) == (before, 0)
    assert world.slots["adder"] is _broken


def test_every_replay_is_counted():
    world = Adders(**BOTH_WRONG)
    report = evolved(world)
    assert report.cost.all_runs == len(world.runs)


def test_once_something_is_proved_the_other_failures_wait_for_its_trial():
    world = Adders(**BOTH_WRONG)
    proved = {}
    for one in verdicts(world):
        assert one.failure.round not in proved
        proved[one.failure.round] = one


def test_a_system_that_is_awaited_is_mended_as_well():
    world = Adders(**BOTH_WRONG)

    async def run(_, task):
        await asyncio.sleep(0)
        return world.run(task)

    evolving = evolution.aevolve(
        Team(run=run, deterministic=True), TASKS, is_sum, JointCorrection(OPTIONS, world.slots),
        rounds=6, strategy=TryAlternatives(OPTIONS, world.slots),
    )  # fmt: skip
    report = asyncio.run(evolving)
    assert report.final.hits == len(TASKS)


def test_where_luck_may_play_a_part_nothing_is_confirmed():
    proved = verdicts(Adders(), deterministic=False)
    assert proved
    assert {one.verdict.verification.status for one in proved} == {"inconclusive"}
    assert "luck" in proved[0].verdict.notes[0]


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [3, 8, 11, 15])
def test_an_interrupted_iteration_goes_on_with_what_it_had_learned(after, tmp_path):
    def iterate(name, stop=None):
        world, done = Adders(**BOTH_WRONG), []

        def progress(command, _cost):
            done.append(command)
            if stop is not None and len(done) == stop:
                raise Killed

        report = evolved(world, store=Store(tmp_path / name), session="one", progress=progress)
        return report, world

    whole, _ = iterate("whole")
    with pytest.raises(Killed):
        iterate("parts", stop=after)
    report, world = iterate("parts")
    assert report.resumed == after
    assert [(s.agent, s.alternative) for s in report.kept] == [
        (s.agent, s.alternative) for s in whole.kept
    ]
    assert report.cost.all_runs == whole.cost.all_runs
    assert len(world.runs) < whole.cost.all_runs


def test_no_replays_at_all_is_refused():
    with pytest.raises(ValueError, match="longest is at least 1"):
        JointCorrection(OPTIONS, {}, longest=0)


def test_a_failure_outside_of_an_iteration_cannot_be_changed():
    failure = FailedRun(None, _failed_run(), System(run=None, check=None))
    with pytest.raises(ValueError, match="no iteration that could change the system"):
        failure.under(())


# -- what becomes of a proved set


def proved(together):
    trace = _failed_run()
    failure = FailedRun(None, trace, System(run=None, check=None))
    return Attribution(failure, verdict_on(trace, 0, "proved", method="test"), together=together)


def _failed_run():
    with agentracer.record("10+2", check=lambda result: False) as run:
        run.result = Adders(**BOTH_WRONG).run("10+2")
    return run.trace


def test_all_of_a_proved_set_is_tried_however_many_slots_it_changes():
    strategy = TryAlternatives(OPTIONS, dict(BOTH_WRONG), per_round=1)
    swaps = strategy.propose([proved({"reader": "right", "adder": "add"})], RoundState("s", 1))
    assert {swap.agent: swap.alternative for swap in swaps} == {"reader": "right", "adder": "add"}
    assert len({swap.id for swap in swaps}) == 2


def test_of_a_proved_set_only_what_is_new_is_changed():
    strategy = TryAlternatives(OPTIONS, dict(BOTH_WRONG))
    (swap,) = strategy.propose([proved({"reader": "first", "adder": "add"})], RoundState("s", 1))
    assert swap.agent == "adder"


def test_a_proved_set_that_was_taken_back_is_not_tried_again():
    strategy = TryAlternatives(OPTIONS, dict(BOTH_WRONG))
    one = proved({"reader": "right", "adder": "add"})
    swaps = strategy.propose([one], RoundState("s", 1))
    gone = frozenset(swap.id for swap in swaps)
    again = strategy.propose([one], RoundState("s", 2, retracted=gone))
    assert not {swap.id for swap in again} & gone


# -- the trial of a system that repeats itself


def test_a_trial_ends_when_the_change_can_no_longer_win():
    world = Adders(reader=worlds.read_right)
    world.slots["adder"] = worlds.add
    tasks = [*TASKS, "never"]  # fails whatever is changed

    def check(task, result):
        return task != "never" and is_sum(task, result)

    def run(_, task):
        return "" if task == "never" else world.run(task)

    def blame(trace):
        return verdict_on(trace, 0, "a guess", method="test")

    with_step = Team(run=lambda _, task: _first_step(world, run, task), deterministic=True)
    report = evolution.evolve(
        with_step, tasks, check, blame, rounds=1,
        strategy=TryAlternatives({"reader": {"first": worlds.read_first}}, world.slots),
    )  # fmt: skip
    (entry,) = report.rounds
    (done,) = entry.changes
    assert not done.kept
    assert entry.trial.n == 2  # two lost, and one left that could be won
    assert report.final.hits == len(TASKS)


def _first_step(world, run, task):
    from agentracer.adapters.functions import act

    return act("reader", lambda text: "", task) if task == "never" else run(None, task)


def test_a_task_that_a_proved_set_cannot_change_is_not_run_in_its_trial():
    world = Adders(reader=worlds.read_digits)  # wrong where a number has two digits
    report = evolved(world, rounds=2)
    assert report.final.hits == len(TASKS)
    (entry,) = [entry for entry in report.rounds if entry.changes and entry.changes[0].kept]
    with_two_digits = [task for task in TASKS if len(task) > len("3+4")]
    assert entry.trial.n == len(with_two_digits)
    assert entry.success.n == len(TASKS)


def test_in_a_system_that_luck_has_a_part_in_every_task_is_run_again():
    proved = verdicts(Adders(reader=worlds.read_digits), deterministic=False)
    assert proved
    assert {one.unaffected for one in proved} == {()}


def test_alternatives_that_a_trace_could_not_tell_apart_are_refused():
    same = {"reader": {"a": lambda text: [1], "b": lambda text: [2]}}
    with pytest.raises(ValueError, match="two alternatives for 'reader' have the same __name__"):
        JointCorrection(same, {})
