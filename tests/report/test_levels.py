"""The three levels of a verdict, the same in every kind of report."""

import io
import json

import pytest
from rich.console import Console

from agentracer.report import formatting, html, notebook
from agentracer.report.ci import AttributedRun, github, junit, markdown
from agentracer.report.grouping import FailureLine
from agentracer.report.terminal import print_verdict
from agentracer.trace import Observed, Outcome, Step, Trace
from agentracer.verdict import Candidate, Provenance, Verdict, Verification

NAMES = ("planner", "solver", "checker")


def run_with(success=False):
    steps = tuple(Step(index=i, agent=name, content=f"text {i}") for i, name in enumerate(NAMES))
    observed = Observed(task="?", steps=steps, outcome=Outcome(success=success))
    return Trace(id="t-1", observed=observed, replayable=True)


def verdict_with(trace, **facts):
    candidates = tuple(Candidate(agent=n, step=i, probability=0.6) for i, n in enumerate(NAMES))
    given = {
        "basis": "ranking",
        "confidence": 0.6,
        "reason": "why it is so",
        "outcome_known": trace.outcome.success is not None,
        **facts,
    }
    return Verdict(
        trace_id=trace.id,
        agent="planner",
        step=0,
        candidates=candidates,
        provenance=Provenance(model="embedded", method="ranker"),
        **given,
    )


def in_every_report(trace, verdict):
    """The text of each kind of report, by its name."""
    output = io.StringIO()
    print_verdict(verdict, trace, Console(file=output, width=200, color_system=None))
    result = AttributedRun(trace, verdict)
    words = html.render(trace, verdict)
    return {
        "terminal": output.getvalue(),
        "github": "\n".join(github([result])).replace("%3A", ":").replace("%2C", ","),
        "markdown": markdown([result]),
        "junit": junit([result]),
        "html": words,
        "notebook": notebook.verdict_card(verdict),
        "line": str(verdict),
    }


COMMAND = "agentracer attribute t-1 --verify --system MODULE:FUNCTION"


def test_a_ranking_says_that_no_step_stands_out_and_what_would_settle_it():
    trace = run_with()
    verdict = verdict_with(trace)
    assert (verdict.level, verdict.stands_out) == ("suspected", False)
    for name, text in in_every_report(trace, verdict).items():
        assert "o step stands out" in text, name
        assert "made this run fail" not in text, name
        assert "60 %" not in text, name
        assert "0.60" not in text or name == "html", name  # the page has the whole trace as data
        if name != "line":
            assert COMMAND in text, name
        assert all(agent in text for agent in NAMES), name
    assert "::error" not in in_every_report(trace, verdict)["github"]
    assert "<failure" not in in_every_report(trace, verdict)["junit"]


def test_a_finding_names_its_step_without_claiming_that_it_made_the_run_fail():
    trace = run_with()
    verdict = verdict_with(trace, basis="finding")
    assert (verdict.level, verdict.stands_out) == ("found", True)
    for name, text in in_every_report(trace, verdict).items():
        assert "stands out" not in text, name
        assert "made this run fail" not in text, name
        assert "why it is so" in text, name
    assert "::error" not in in_every_report(trace, verdict)["github"]


@pytest.mark.parametrize("basis", ["ranking", "finding", "judge"])
def test_where_the_outcome_is_unknown_every_report_says_if(basis):
    trace = run_with(success=None)
    for name, text in in_every_report(trace, verdict_with(trace, basis=basis)).items():
        condition = "f this run failed" in text or "whether the run failed is not known" in text
        assert condition, name
    assert "::notice" in in_every_report(trace, verdict_with(trace, basis=basis))["github"]


def test_only_a_proof_states_that_a_step_made_the_run_fail():
    trace = run_with()
    counts = {"flips": 8, "replays": 8, "control_flips": 0, "control_replays": 8}
    for status, level in (
        ("confirmed", "proved"),
        ("likely", "suspected"),
        ("refuted", "suspected"),
    ):
        proof = Verification(status=status, **counts)
        verdict = verdict_with(trace, basis="finding", verification=proof)
        expected = "found" if status == "likely" else level
        assert verdict.level == expected, status
        assert formatting.is_established(verdict, trace.outcome) == (status == "confirmed")


def test_a_ranking_without_a_step_that_stands_out_blames_no_agent_in_a_grouped_list():
    line = FailureLine.of("t-1", verdict_with(run_with()))
    assert line.agent is None
    assert line.note == (
        "no step stands out; read these first: step 0 (planner), step 1 (solver), step 2 (checker)"
    )


def test_a_calibrated_ranking_may_name_its_first_step_with_its_measured_confidence():
    trace = run_with()
    verdict = verdict_with(trace, calibrated=True)
    assert verdict.stands_out
    assert "60 %" in in_every_report(trace, verdict)["terminal"]


def test_a_verdict_file_without_a_basis_is_read_as_what_it_was():
    data = json.loads(verdict_with(run_with()).model_dump_json())
    del data["basis"], data["outcome_known"]
    assert Verdict.model_validate(data).basis == "ranking"
    data["provenance"]["model"] = "vllm:PATH"
    assert Verdict.model_validate(data).basis == "judge"
