import json
import re

import pytest
from chromium import selected, texts
from samples import HOSTILE, curved, failed_run, hostile_trace, long_run, replayed

from agentracer.report import index, replays
from agentracer.report.index import RunEntry
from agentracer.trace import ErrorInfo, Observed, Outcome, Trace
from agentracer.verdict import Provenance, Verdict


def run(number, agent="coder", outcome=None):
    trace = Trace(
        id=f"run {number}",
        observed=Observed(
            task=f"task {number}", outcome=outcome or Outcome(success=False, answer="x")
        ),
    )
    if agent is None:
        return RunEntry(trace, problem="no model")
    provenance = Provenance(model="m", method="m")
    return RunEntry(trace, Verdict(trace_id=trace.id, agent=agent, step=0, provenance=provenance))


RAISED = Outcome(success=False, ending="raised", error=ErrorInfo(type="TimeoutError"))
SUCCESS = Outcome(success=True, answer="x")


def several():
    trace, verdict, again = replayed()
    sides = [replays.compare(trace, one, 2) for one in again]
    some = [run(0), run(1), run(2, "planner", RAISED), run(3, None), run(4, None, SUCCESS)]
    some[4] = RunEntry(some[4].trace)
    return [*some, RunEntry(trace, verdict, sides)]


def rows(page):
    return json.loads(re.search(r'id="index-data">(.*?)</script>', page, re.DOTALL).group(1))


def test_every_run_is_inside_the_file():
    page = index.render(several())
    assert len(re.findall(r'<script type="application/json" id="data-\d+">', page)) == 6
    assert [row["kind"] for row in rows(page)][:5] == [
        *("wrong answer", "wrong answer", "raised TimeoutError", "wrong answer", "succeeded")
    ]


def test_runs_beyond_what_a_browser_opens_are_listed_only(monkeypatch):
    monkeypatch.setattr(index, "_MOST_CHARACTERS", 10_000)
    page = index.render([run(0), RunEntry(long_run(100)), run(1)])
    assert [row["inside"] for row in rows(page)] == [True, False, False]


class TestInTheBrowser:
    def test_the_curve_of_a_run_is_drawn_once_it_is_opened(self, page, tmp_path):
        path = index.write(tmp_path / "runs.html", [run(0), RunEntry(*curved())])
        page.open(path)
        assert page.run("document.querySelector('.curve')") is None
        page.open(path, "#run-1")
        assert page.run("document.querySelectorAll('a.curve-point')[0].getAttribute('href')") == (
            "#run-1-step-0"
        )
        assert page.complaints() == []

    @pytest.fixture
    def opened(self, page, tmp_path):
        def show(runs, fragment="", **size):
            path = index.write(tmp_path / "runs.html", runs)
            page.open(path, fragment, **size)
            return page

        return show

    def test_counts_by_agent_and_by_how_they_ended(self, opened):
        page = opened(several())
        assert texts(page, "h1") == ["6 runs, 5 failed"]
        assert texts(page, "#index-facts") == ["3 agents blamed · 1 confirmed by replay"]
        assert texts(page, ".tally-row") == [
            *("coder2", "planner1", "nobody1", "researcher1"),
            *("wrong answer4", "raised TimeoutError1", "succeeded1"),
        ]
        assert texts(page, ".index-run")[3] == (
            "task 3nobody is blamedwrong answer · 0 stepsno model"
        )
        assert page.complaints() == []

    def test_a_count_filters(self, opened):
        page = opened(several())
        page.run("document.querySelector('.tally-row').click()")
        page.settle()
        assert texts(page, "#index-count") == ["2 of 6 runs"]
        page.press("/")
        page.call("Input.insertText", text="task 1")
        page.run("new Promise(done => setTimeout(done, 120))")
        assert texts(page, ".index-task") == ["task 1"]
        page.press("Escape")
        page.settle()
        assert texts(page, "#index-count") == ["6 runs"]

    def test_a_run_opens_inside_the_file_and_the_way_back_is_there(self, opened):
        page = opened(several())
        page.run("document.querySelector('a[href=\"#run-5\"]').click()")
        page.ready()
        assert texts(page, ".blamed") == ["researcher step 2"]
        page.run("document.querySelector('.evidence a').click()")
        page.settle()
        assert selected(page) == "2"
        assert page.run("location.hash") == "#run-5-step-2"
        page.run("document.getElementById('back').click()")
        page.ready()
        assert texts(page, "#index-count") == ["6 runs"]
        assert page.complaints() == []

    def test_deep_links(self, opened):
        page = opened(several(), "#run-5-step-3")
        assert selected(page) == "3"
        page = opened(several(), "#run-5-replay-0")
        assert texts(page, ".pair-outcome") == ["failed", "succeeded"]

    def test_keys(self, opened):
        page = opened(several())
        for key in "jjk":
            page.press(key)
        assert page.run("document.activeElement.getAttribute('href')") == "#run-0"

    def test_what_is_not_in_the_file_is_counted_and_has_no_link(self, opened, monkeypatch):
        monkeypatch.setattr(index, "_MOST_CHARACTERS", 10_000)
        page = opened([run(0), RunEntry(long_run(100)), run(1)])
        assert texts(page, "#index-cut")[0].startswith("2 runs too large for this file")
        assert page.run("document.querySelectorAll('a.index-run').length") == 1

    def test_five_thousand_runs(self, opened):
        page = opened([run(n) for n in range(5000)])
        assert page.run("document.querySelectorAll('.index-run').length") < 60
        assert texts(page, "#index-count") == ["5,000 runs"]

    @pytest.mark.parametrize("width", [360, 1000])
    def test_nothing_sticks_out(self, opened, width):
        page = opened([RunEntry(*hostile_trace()), *several()], width=width)
        assert page.run("document.documentElement.scrollWidth") <= width

    def test_the_corpus_executes_nothing(self, opened):
        runs = [run(n, text) for n, text in enumerate(HOSTILE)]
        runs += [RunEntry(*hostile_trace()), RunEntry(failed_run()[0], problem="".join(HOSTILE))]
        page = opened(runs)
        page.run("[...document.querySelectorAll('.tally-row')].forEach(row => row.click())")
        assert page.complaints() == []
        assert page.run("document.querySelectorAll('img, iframe, #index script').length") == 0
        page = opened(runs, f"#run-{len(HOSTILE)}-step-3")
        assert selected(page) == "3"
        assert page.complaints() == []
