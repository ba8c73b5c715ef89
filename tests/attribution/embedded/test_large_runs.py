"""Of a very large run the embedded tracer reads a bounded part, and says so."""

from __future__ import annotations

import pytest

from agentracer.attribution.embedded import backend
from agentracer.attribution.tracer import Tracer
from agentracer.trace import Observed, Outcome, Step, Trace

FILLER = "the weather stayed calm along the coast all week. " * 200  # 10,000 characters
MISTAKE = "The total is 2 + 2 = 5."


def failed_run(*contents: str) -> Trace:
    steps = tuple(
        Step(index=index, agent=("writer", "editor")[index % 2], content=text)
        for index, text in enumerate(contents)
    )
    outcome = Outcome(success=False, answer="5")
    return Trace(id="large", observed=Observed(task="Add up.", steps=steps, outcome=outcome))


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(backend, "_MOST_CHARACTERS", 20_000)


@pytest.mark.parametrize("model", ["embedded", "embedded:rules"])
@pytest.mark.parametrize("text", [MISTAKE + FILLER, FILLER + MISTAKE], ids=["start", "end"])
@pytest.mark.usefixtures("small_limit")
def test_a_note_says_how_much_was_read(model, text):
    verdict = Tracer(model).attribute(failed_run(FILLER, text, FILLER))
    characters = 3 * len(FILLER) + len(MISTAKE) + 1
    (note,) = [note for note in verdict.notes if "characters" in note]
    assert f"{characters:,} characters of text: of 3 texts only 6,666 characters were read" in note


@pytest.mark.parametrize("text", [MISTAKE + FILLER, FILLER + MISTAKE], ids=["start", "end"])
@pytest.mark.usefixtures("small_limit")
def test_a_mistake_at_the_start_or_end_of_a_long_step_is_found(text):
    verdict = Tracer("embedded").attribute(failed_run(FILLER, text, FILLER))
    evidence = [piece for c in verdict.candidates if c.step == 1 for piece in c.evidence]
    assert any("2 + 2 = 5" in piece.quote for piece in evidence)


@pytest.mark.usefixtures("small_limit")
def test_every_quote_is_in_the_run_as_it_was():
    text = "\n".join(f"Line {n} of the log says that {n * 37} boats left." for n in range(400))
    trace = failed_run(FILLER, text, FILLER)
    for candidate in Tracer("embedded").attribute(trace).candidates:
        for piece in candidate.evidence:
            assert piece.quote in trace.observed.text(piece.step)


def test_a_run_below_the_limit_is_read_whole_without_a_note():
    verdict = Tracer("embedded").attribute(failed_run(FILLER, FILLER + MISTAKE + FILLER, FILLER))
    assert not [note for note in verdict.notes if "characters" in note]
    evidence = [piece for c in verdict.candidates if c.step == 1 for piece in c.evidence]
    assert any("2 + 2 = 5" in piece.quote for piece in evidence)
