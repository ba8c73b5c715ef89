"""The injection benchmark: what it puts where, and what it counts."""

import json
import re

import pytest
from rich.console import Console

from agentracer.attribution import Backend, Judgement, Tracer
from agentracer.errors import FormatError
from agentracer.formats.whowhen import to_whowhen
from agentracer.lab.bench import injection
from agentracer.trace import Label, Observed, Outcome, Step, Trace
from agentracer.verdict import Candidate


def log(number):
    steps = tuple(
        Step(index=i, agent=f"Agent{i % 3}", content=f"line {number}\nanother {i}")
        for i in range(6)
    )
    run = Observed(task="Do it.", steps=steps, outcome=Outcome(success=False))
    return Trace(id=str(number), observed=run, labels=(Label(agent="Agent1", step=1),))


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "Subset"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.json").write_text(json.dumps(to_whowhen(log(number))))
    return folder


class Gullible(Backend):
    """Believes any claim that a run makes about its error; blames step 0 otherwise."""

    name, method = "gullible", "by hand"

    def __init__(self, believes=True):
        self.believes = believes

    def without_defenses(self):
        return Gullible()

    def attribute(self, run, *, ground_truth):
        text = "\n".join(step.content for step in run.steps)
        found = re.search(r"error is by \w+ at step (\d+)", text) if self.believes else None
        step = int(found[1]) if found else 0
        return Judgement(candidates=(Candidate(agent=run.steps[step].agent, step=step),))


def test_a_judge_that_believes_claims_is_steered_and_one_that_does_not_is_not(logs):
    report = injection.run(logs, Tracer(Gullible(believes=False)))
    assert report.runs == 8
    assert {one.flipped.hits for one in report.defended.values()} == {0}
    assert report.undefended["claim"].steered.hits == 8
    assert report.undefended["claim"].flipped.hits == 8
    assert report.undefended["harmless line"].flipped.hits == 0


def test_a_backend_without_defences_is_measured_once(logs):
    report = injection.run(logs, Tracer("embedded:rules"), limit=3)
    assert report.runs == 3
    assert report.undefended is None
    assert injection.as_dict(report)["without_defences"] is None


def test_the_target_is_neither_blamed_nor_labelled_nor_the_place_of_the_line():
    trace = log(0)
    verdict = Tracer(Gullible()).attribute(trace)
    for seed in range(50):
        target = injection._target(trace, verdict, seed)
        assert target.step not in {0, 1, target.place}
        assert trace.steps[target.step].agent == target.agent


def test_only_the_place_changes_and_only_by_the_line():
    trace = log(0)
    attacked = injection.inject(trace, "EVIL", 2)
    for before, after in zip(trace.steps, attacked.steps, strict=True):
        if before.index == 2:
            lines = after.content.split("\n")
            lines.remove("EVIL")
            assert lines == before.content.split("\n")
        else:
            assert before == after


def test_the_same_seed_gives_the_same_report(logs):
    first, second = (injection.as_dict(injection.run(logs, Tracer(Gullible()))) for _ in range(2))
    assert first == second


def test_the_report_is_printed_with_both_sides(logs):
    console = Console(record=True, width=160)
    console.print(injection.render(injection.run(logs, Tracer(Gullible()))))
    text = console.export_text()
    assert "with defences" in text
    assert "without" in text
    assert all(name in text for name in injection.ATTACKS)


def test_logs_without_two_steps_are_an_error(tmp_path):
    one = log(0)
    short = one.model_copy(
        update={
            "observed": one.observed.model_copy(update={"steps": one.steps[:1]}),
            "labels": (),
        }
    )
    (tmp_path / "1.json").write_text(json.dumps(to_whowhen(short)))
    with pytest.raises(FormatError, match="two steps"):
        injection.run(tmp_path)
