"""The shortlist is decided once, and every report renders the same one."""

from __future__ import annotations

import html as html_module
import io
import json
import re

import pytest
from rich.console import Console
from tests.report.samples import failed_run

from agentracer.report import html
from agentracer.report.ci import AttributedRun, junit, markdown
from agentracer.report.shortlist import shortlist_of
from agentracer.report.terminal import print_verdict
from agentracer.verdict import Candidate, Evidence


def long_verdict():
    """A verdict with more candidates, evidence and likely steps than reports show."""
    trace, verdict = failed_run()
    evidence = tuple(Evidence(step=2, says=f"finding {n}", quote=f"quote {n}") for n in range(5))
    candidates = tuple(
        Candidate(
            agent="researcher", step=2 + n, probability=0.1, reason=f"reason {n}", evidence=evidence
        )
        for n in range(8)
    )
    return trace, verdict.model_copy(
        update={"candidates": candidates, "likely_steps": tuple(range(14)), "reason": "why"}
    )


def test_five_candidates_with_three_findings_each_are_shown_and_the_rest_is_counted():
    shortlist = shortlist_of(long_verdict()[1])
    assert [entry.step for entry in shortlist.entries] == [2, 3, 4, 5, 6]
    assert [entry.step for entry in shortlist.more] == [7, 8, 9]
    assert {len(entry.evidence) for entry in shortlist.entries} == {3}
    assert {len(entry.more_evidence) for entry in shortlist.entries} == {2}
    assert (shortlist.likely.steps, shortlist.likely.more) == (tuple(range(12)), 2)


@pytest.mark.parametrize(
    ("reason", "says", "shown"),
    [
        ("Did not check.", "", "Did not check."),
        ("It answered from memory.", "", ""),  # the verdict's own reason
        ("no source was read", "no source was read", ""),
        ("First: no source was read.", "no source was read", ""),
        ("Did not check.", "no source was read", "Did not check."),
    ],
)
def test_a_reason_that_is_said_elsewhere_is_left_out(reason, says, shown):
    _, verdict = failed_run()
    evidence = (Evidence(step=2, says=says),) if says else ()
    candidate = Candidate(agent="a", step=2, reason=reason, evidence=evidence)
    verdict = verdict.model_copy(update={"candidates": (candidate,)})
    assert shortlist_of(verdict).entries[0].reason == shown


@pytest.mark.parametrize(("calibrated", "share"), [(True, "10 %"), (False, "0.10")])
def test_only_a_calibrated_probability_is_shown_in_percent(calibrated, share):
    verdict = long_verdict()[1].model_copy(update={"calibrated": calibrated})
    assert {entry.share for entry in shortlist_of(verdict).entries} == {share}


def in_terminal(trace, verdict):
    out = io.StringIO()
    print_verdict(verdict, trace, Console(file=out, width=200, color_system=None))
    return out.getvalue()


def in_notebook(_trace, verdict):
    return html_module.unescape(re.sub("<[^>]*>", "", verdict._repr_html_()))


def in_markdown(trace, verdict):
    return markdown([AttributedRun(trace, verdict)])


def in_junit(trace, verdict):
    return junit([AttributedRun(trace, verdict)])


@pytest.mark.parametrize("show", [in_terminal, in_notebook, in_markdown, in_junit])
def test_every_report_shows_the_same_reasons_quotes_and_findings(show):
    text = show(*long_verdict())
    for shown in ["reason 4", "quote 2", "finding 2", "3 more candidate"]:
        assert shown in text
    for hidden in ["reason 5", "quote 3", "finding 3"]:
        assert hidden not in text


def test_the_page_is_given_the_shortlist_as_data():
    trace, verdict = long_verdict()
    data = json.loads(html.data(trace, verdict))
    assert data["shortlist"] == json.loads(json.dumps(shortlist_of(verdict).to_json()))
    assert [entry["reason"] for entry in data["shortlist"]["more"]] == [
        *("reason 5", "reason 6", "reason 7")
    ]
