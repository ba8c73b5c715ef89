"""What a verdict may and may not say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agentracer.usage import Usage
from agentracer.verdict import Candidate, Provenance, Verdict, Verification

SOURCE = Provenance(model="m", method="x")


def test_a_verdict_names_an_agent_and_a_step_or_abstains_with_a_reason():
    with pytest.raises(ValidationError, match="names an agent and a step"):
        Verdict(trace_id="t", provenance=SOURCE)
    with pytest.raises(ValidationError, match="names no agent"):
        Verdict(trace_id="t", agent="a", abstained=True, abstain_reason="?", provenance=SOURCE)
    with pytest.raises(ValidationError, match="says why"):
        Verdict(trace_id="t", abstained=True, provenance=SOURCE)


def test_confidence_is_a_probability():
    with pytest.raises(ValidationError):
        Verdict(trace_id="t", agent="a", step=0, confidence=1.1, provenance=SOURCE)
    with pytest.raises(ValidationError):
        Candidate(agent="a", step=0, probability=-0.1)


def test_it_prints_as_one_line():
    verdict = Verdict(
        trace_id="t", agent="a", step=3, confidence=0.5, reason="why", provenance=SOURCE
    )
    assert str(verdict) == "a, step 3 (50%, uncalibrated): why"
    proof = Verification(status="confirmed", flips=3, replays=3, control_flips=0, control_replays=3)
    proven = verdict.model_copy(update={"verification": proof, "calibrated": True})
    assert str(proven) == "a, step 3 (50%, confirmed by replay): why"
    summed = verdict.model_copy(update={"candidates": (Candidate(agent="b", step=3),)})
    assert str(summed) == "a, step 3 by b (50%, uncalibrated): why"
    silent = Verdict(trace_id="t", abstained=True, abstain_reason="it succeeded", provenance=SOURCE)
    assert str(silent) == "no verdict: it succeeded"


def test_it_survives_json():
    verdict = Verdict(trace_id="t", agent="a\ud800", step=0, provenance=SOURCE)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_the_likely_steps_of_a_file_without_a_coverage_are_those_of_eighty_percent():
    verdict = Verdict(trace_id="t", agent="a", step=0, likely_steps=(0, 2), provenance=SOURCE)
    old = verdict.model_dump(mode="json")
    del old["coverage"]
    assert Verdict.model_validate(old).coverage == 0.8
    new = verdict.model_copy(update={"coverage": 0.9})
    assert Verdict.model_validate_json(new.model_dump_json()).coverage == 0.9


def test_a_provenance_written_by_0_1_0_has_its_counts_in_usage():
    old = {"model": "m", "method": "x", "seconds": 1.5, "calls": 2, "input_tokens": 30}
    provenance = Provenance.model_validate(old | {"cached_tokens": 4, "output_tokens": 5})
    assert provenance.usage == Usage(
        seconds=1.5, model_calls=2, input_tokens=30, cached_tokens=4, output_tokens=5
    )
    assert Provenance.model_validate_json(provenance.model_dump_json()) == provenance
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Provenance.model_validate(old | {"seconds": -1})
