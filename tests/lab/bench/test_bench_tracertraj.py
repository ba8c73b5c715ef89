"""TracerTraj end to end on made-up rows of the public schema."""

import json

import pytest

from agentracer.attribution import Tracer
from agentracer.errors import FormatError
from agentracer.lab.bench import as_dict, tracertraj


def row(number, *, agent="Engineer", step=1, text="I write the code now."):
    history = [
        {"role": "Mike", "name": "Mike", "content": f"Task {number}: please write a function."},
        {"role": "Alex", "name": "Alex", "content": text},
        {"role": "Alex", "name": "Alex", "content": "Done, it works."},
    ]
    return {
        "question_ID": f"q{number}",
        "question": f"Task {number}",
        "ground_truth": "x",
        "history": history,
        "mistake_agent": agent,
        "mistake_step": str(step),
        "mistake_reason": "because",
    }


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [row(1), row(2, agent="Alex"), row(3, text="see attacked_solution.py")]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def test_natural_and_injected_failures_are_scored_apart(file):
    report = as_dict(tracertraj.run(file, Tracer("embedded")))
    assert report["benchmark"] == "TracerTraj"
    assert {name: subset["n"] for name, subset in report["subsets"].items()} == {
        "natural": 2,
        "injected": 1,
    }


def test_a_persona_and_its_role_are_one_agent(file):
    natural = tracertraj.run(file).subsets[1]
    assert [p.label_agent for p in natural.predictions] == ["Alex", "Alex"]


def test_predictions_are_found_by_their_question(file, tmp_path):
    said = tmp_path / "said.json"
    said.write_text(json.dumps([{"file": "q1", "agent": "Alex", "step": 1}]))
    natural = tracertraj.score_predictions(file, said).subsets[1]
    assert natural.scores.rates["step_accuracy"].hits == 1
    assert natural.abstained == 1


def test_a_split_that_nobody_is_in_is_an_error(file):
    with pytest.raises(FormatError, match="nowhere"):
        tracertraj.run(file, split="nowhere")
