"""Trivial rules against expectations computed by hand."""

import pytest

from agentracer.lab.bench.rules import baselines
from agentracer.trace import Label, Observed, Outcome, Step, Trace


def trace_of(speakers, agent, step, task="q"):
    steps = tuple(Step(index=i, agent=name) for i, name in enumerate(speakers))
    labels = (Label(agent=agent, step=step),)
    return Trace(id=task, observed=Observed(task=task, steps=steps), labels=labels)


TRACES = [
    trace_of("aabc", "b", 2, "q1"),
    trace_of("abab", "a", 2, "q2"),
    trace_of("cb", "b", 1, "q3"),
]


def hits(rule, metric, traces=TRACES):
    found = {baseline.name: baseline for baseline in baselines(traces)}
    return found[rule].scores.rates[metric].hits


def test_random_is_the_exact_expectation():
    assert hits("random", "agent_accuracy") == pytest.approx(1 / 3 + 1 / 2 + 1 / 2)
    assert hits("random", "step_accuracy") == pytest.approx(1 / 4 + 1 / 4 + 1 / 2)
    assert hits("random", "step_within_1") == pytest.approx(3 / 4 + 3 / 4 + 1)
    assert hits("random", "step_within_3") == pytest.approx(3)
    assert hits("random", "step_top3") == pytest.approx(3 / 4 + 3 / 4 + 1)
    assert hits("random", "step_mrr") == pytest.approx(2 * (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4 + 3 / 4)


def test_first_and_last_step():
    assert hits("first step", "agent_accuracy") == 1
    assert hits("first step", "step_accuracy") == 0
    assert hits("last step", "step_accuracy") == 1
    assert hits("last step", "step_within_1") == 3


def test_the_first_hand_off_is_the_first_change_of_speaker():
    assert hits("first hand-off", "step_accuracy") == 2
    assert hits("first hand-off", "agent_accuracy") == 2


def test_the_most_active_agent():
    assert hits("most active agent", "agent_accuracy") == 1


def test_a_constant_fitted_on_the_labels_is_marked_and_also_given_leave_one_out():
    fitted = {baseline.name for baseline in baselines(TRACES) if baseline.fitted}
    assert fitted == {"best constant step", "best constant agent", "rule list (embedded:rules)"}
    # Step 2 is right twice (the third run is clipped to its last step, which is 1: right too).
    assert hits("best constant step", "step_accuracy") == 3
    # Without q1: steps 2 and 1 tie, the smaller is taken; without q3: step 2, clipped to 1.
    assert hits("constant step, leave-one-out", "step_accuracy") == 1
    assert hits("best constant agent", "agent_accuracy") == 2
    assert hits("constant agent, leave-one-out", "agent_accuracy") == 0


def test_leaving_one_out_leaves_out_every_run_of_the_same_question():
    traces = [trace_of("ab", "a", 0, "same  q"), trace_of("ab", "a", 0, "same q")]
    assert hits("best constant agent", "agent_accuracy", traces) == 2
    assert hits("constant agent, leave-one-out", "agent_accuracy", traces) == 0


RUN = Trace(
    id="r",
    observed=Observed(
        task="How many apples?",
        steps=(
            Step(index=0, agent="boss", content="How many apples? Please count them."),
            Step(index=1, agent="a", content="I will, in a moment."),
            Step(index=2, agent="a", content="```python\nprint(41 + 2)\n```"),
            Step(index=3, agent="machine", content="exitcode: 1 (execution failed)\nNameError"),
            Step(index=4, agent="b", content="There are 43 apples then."),
        ),
        outcome=Outcome(success=False, answer="43"),
    ),
    labels=(Label(agent="a", step=2),),
)


@pytest.mark.parametrize(
    ("rule", "step"),
    [
        ("first worker step", 1),
        ("first code block", 2),
        ("first tool error", 3),
        ("step before first tool error", 2),
        ("answer provenance", 4),
        ("rule list (embedded:rules)", 2),
    ],
)
def test_rules_that_read_the_run_name_the_step_that_they_say(rule, step):
    found = {baseline.name: baseline for baseline in baselines([RUN])}
    assert found[rule].predictions[0].step == step


def test_the_prior_of_speaker_and_turn_is_learnt_from_other_questions_only():
    other = RUN.model_copy(
        update={"id": "o", "observed": RUN.observed.model_copy(update={"task": "Other?"})}
    )
    assert hits("speaker kind x turn, leave-one-out", "step_accuracy", [RUN, other]) >= 0
    assert hits("speaker kind x turn, leave-one-out", "step_accuracy", [RUN, RUN]) == 0


def test_runs_without_a_label_or_without_steps_are_refused():
    bare = Trace(id="x", observed=Observed(task="q"))
    with pytest.raises(ValueError, match="labelled"):
        baselines([bare])
