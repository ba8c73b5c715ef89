import html
import re

import pytest
from chromium import selected
from samples import failed_run, hostile_trace, long_run

from agentracer.escaping import CONTROL_CHARS
from agentracer.trace import Observed, Trace
from agentracer.verdict import Provenance, Verdict


def text_of(fragment):
    without_style = re.sub(r"<style>.*?</style>", "", fragment, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", without_style)).split())


def static(fragment):
    return re.sub(r'srcdoc="[^"]*"', "", fragment)


def test_a_trace_shows_outcome_task_and_steps():
    trace, _ = failed_run()
    text = text_of(static(trace._repr_html_()))
    assert text.startswith("failed 6 steps · 3 agents · 1 min 12 s · langgraph")
    assert "2 researcher Not reachable. 3 planner 9.9 / 9.2 is 1.08" in text
    assert "Answer: Acme" in text


def test_a_verdict_shows_who_and_why():
    _, verdict = failed_run()
    verdict = verdict.model_copy(update={"likely_steps": (2, 3), "notes": ("read in 3 windows",)})
    text = text_of(verdict._repr_html_())
    assert text.startswith("Suspected decisive error researcher step 2 It answered from memory.")
    assert "memory. uncalibrated score 0.81" in text
    assert "“took the figures from memory” no source was read (step 2)" in text
    assert "with a probability of 80 %, the decisive step is one of 2, 3 read in 3 windows" in text


def test_an_abstention_says_why():
    provenance = Provenance(model="m", method="m")
    verdict = Verdict(trace_id="t", abstained=True, abstain_reason="Nope.", provenance=provenance)
    assert text_of(verdict._repr_html_()).startswith("No step is blamed. Nope.")


def test_a_long_run_is_cut_with_a_count_and_its_report_stays_outside():
    fragment = long_run(5000)._repr_html_()
    assert "… 4988 more steps" in fragment
    assert "<iframe" not in fragment
    assert "too large for a notebook: agentracer report long" in fragment
    assert len(fragment) < 20_000


def test_the_report_is_in_a_sandbox_without_the_notebooks_origin():
    fragment = failed_run()[0]._repr_html_()
    (sandbox,) = re.findall(r'sandbox="([^"]*)"', fragment)
    assert sandbox == "allow-scripts"


def test_hostile_text_stays_text():
    trace, verdict = hostile_trace()
    ours = re.compile(r"<[^>]*>")
    plain, _ = failed_run()
    known = {tag.split()[0].strip("</>") for tag in ours.findall(static(plain._repr_html_()))}
    for fragment in (trace._repr_html_(), verdict._repr_html_()):
        tags = {tag.split()[0].strip("</>") for tag in ours.findall(static(fragment))}
        assert tags <= known | {"td", "p", "b"}
        assert not re.search(f"[{CONTROL_CHARS}]", static(fragment))
        assert not re.search(r"<[^>]*\son\w+\s*=", static(fragment))


def test_an_empty_trace():
    assert "0 steps" in Trace(id="t", observed=Observed())._repr_html_()


class TestInTheBrowser:
    @pytest.fixture
    def opened(self, page, tmp_path):
        def show(*records):
            cards = "<hr>".join(record._repr_html_() for record in records)
            path = tmp_path / "notebook.html"
            path.write_text(
                "<!doctype html><html data-ready=true><meta charset=utf-8><body>"
                f"<p id=mine>of the notebook</p>{cards}</body>",
                "utf-8",
            )
            page.open(path)
            page.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
            page.run("new Promise(done => setTimeout(done, 600))")
            return page

        return show

    def test_the_corpus_executes_nothing(self, opened):
        page = opened(*hostile_trace())
        assert page.complaints() == []
        assert page.run("document.querySelectorAll('img, script').length") == 0
        assert page.run("document.querySelectorAll('iframe').length") == 1

    def test_the_notebook_stays_as_it_is(self, opened):
        page = opened(*failed_run())
        assert page.run("getComputedStyle(document.getElementById('mine')).fontSize") == "16px"

    def test_links_of_the_report_stay_inside_it(self, opened):
        page = opened(failed_run()[0])
        with page.framed():
            page.run("document.querySelectorAll('a[href=\"#step-3\"]')[0].click()")
            page.run("new Promise(done => setTimeout(done, 300))")
            assert page.run("location.href") == "about:srcdoc#step-3"
            assert selected(page) == "3"
            assert page.run("document.getElementById('outcome').textContent") == "failed"
        assert page.complaints() == []

    def test_the_corpus_executes_nothing_inside_the_report_either(self, opened):
        page = opened(hostile_trace()[0])
        with page.framed():
            assert page.run("document.documentElement.dataset.ready") == "true"
            assert page.run("document.querySelectorAll('img, iframe, base').length") == 0
            page.press("j")
            page.press("Enter")
        assert page.complaints() == []
