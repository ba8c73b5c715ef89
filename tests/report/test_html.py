import base64
import hashlib
import json
import re
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import HOSTILE, agent_as_tool, curved, failed_run, hostile_trace, long_run

from agentracer.escaping import CONTROL_CHARS
from agentracer.report import html
from agentracer.report.replays import Replay
from agentracer.trace import Observed, Step, Trace
from agentracer.verdict import Provenance, Verdict

ASSETS = resources.files("agentracer.report") / "assets"
ISLAND = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
SINKS = [
    *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "srcdoc"),
    *("createContextualFragment", "setHTML", "eval(", "Function(", "import(", "fetch("),
    *("XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "window.open"),
]


def asset_texts():
    return {asset.name: asset.read_text("utf-8") for asset in ASSETS.iterdir()}


def island(page):
    (data,) = ISLAND.findall(page)
    return data


def test_one_file_that_refers_to_nothing_outside():
    page = html.render(*failed_run())
    outside = ISLAND.sub("", page)
    urls = set(re.findall(r"[a-z]+://[^\s'\"`<>]+", outside))
    assert urls == {"http://www.w3.org/2000/svg"}  # the name of SVG, not an address
    assert not re.search(r"<(link|img|iframe|base|object|embed)\b", outside)
    assert not re.search(r"\bsrc\s*=|@import|url\(", outside)


def test_no_sink_of_html_and_no_request_in_the_scripts():
    for name, text in asset_texts().items():
        if name.endswith(".js"):
            assert [sink for sink in SINKS if sink in text] == [], name
            assert "</script" not in text
            assert text.startswith("// ")
            assert "\n'use strict';\n" in text


def test_no_inline_handler_and_no_inline_style_in_the_template():
    template = asset_texts()["report.html.jinja"]
    assert not re.search(r"\s(on[a-z]+|style)\s*=", template)


def test_the_policy_allows_exactly_what_is_shipped():
    page = html.render(*failed_run())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    policy = policy.replace("&#39;", "'")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert rules["require-trusted-types-for"] == "'script'"
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = [hashlib.sha256(block.encode()).digest() for block in blocks]
        hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
        assert rules[rule].split() == hashes
    # the policy comes before anything that it governs
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_the_island_holds_trace_and_verdict_unchanged():
    trace, verdict = failed_run()
    data = json.loads(island(html.render(trace, verdict)))
    assert Trace.model_validate(data["trace"]) == trace
    assert Verdict.model_validate(data["verdict"]) == verdict


def test_the_island_says_after_which_step_the_call_of_an_agent_returned():
    assert json.loads(island(html.render(agent_as_tool())))["returns"] == [[0, 0, 2]]


def test_without_a_verdict():
    trace, _ = failed_run()
    assert json.loads(island(html.render(trace)))["verdict"] is None


def test_the_island_holds_the_success_curve_with_its_intervals_and_the_loss():
    curve = json.loads(island(html.render(*curved())))["curve"]
    points = curve["points"]
    assert [(p["prefix"], p["step"]) for p in points] == [
        *((0, None), (1, 0), (2, 1), (3, 2), (4, 3), (6, 5)),
    ]
    assert (points[0]["low"], points[0]["high"]) == pytest.approx((0.3057, 0.8632), abs=1e-3)
    assert points[3]["words"] == (
        "Kept through step 2: 0 of 12 replays succeed, 95 % interval 0 to 24 %"
    )
    assert points[4]["words"] == ("Kept through step 3: not measured, 2 replays could not be used")
    assert curve["loss"] == [2, 3]


def test_a_curve_without_a_decisive_step_has_no_loss():
    trace, verdict = curved()
    none = {"agent": None, "step": None, "abstained": True, "abstain_reason": "no single step"}
    page = html.render(trace, verdict.model_copy(update=none))
    assert json.loads(island(page))["curve"]["loss"] is None


def test_a_page_without_a_curve_has_nothing_that_draws_one():
    page = html.render(*failed_run())
    assert "curve" not in json.loads(island(page))
    assert "SuccessCurve" not in page
    assert "curve-" not in page
    assert "SuccessCurve" in html.render(*curved())


def test_messages_stay_shared():
    small, large = (len(html.render(long_run(n))) for n in (100, 200))
    empty = len(html.render(long_run(0)))
    assert large - empty < 2.2 * (small - empty)


def test_the_corpus_stays_inside_the_island_and_the_title():
    trace, verdict = hostile_trace()
    page = html.render(trace, verdict)
    data = island(page)
    assert not re.search(f"[<>&\u2028\u2029]|[{CONTROL_CHARS}]", data)
    assert json.loads(data)["trace"]["observed"]["steps"][5]["content"] == HOSTILE[5]
    ours = html.render(Trace(id="t", observed=Observed()))
    outside, expected = (ISLAND.sub("", text) for text in (page, ours))
    title = re.compile(r"<title>[^<]*</title>")
    assert title.sub("", outside) == title.sub("", expected)


@settings(deadline=None)
@given(st.text(), st.text(st.sampled_from("<>/!-scriptSCRIPT&;\u2028\u2029\x1b\x00\r\n\"'\\]")))
def test_any_text_survives_and_never_closes_the_island(one, two):
    text = one + two
    trace = Trace(
        id="t", observed=Observed(task=text, steps=(Step(index=0, agent="a", content=text),))
    )
    page = html.render(trace)
    found = json.loads(island(page))["trace"]["observed"]
    assert found.get("task", "") == trace.task
    assert found["steps"][0].get("content", "") == text
    assert page.count("</script>") == 1 + len(re.findall(r"<script>\n?//", page))
    page.encode()


def test_a_lone_surrogate_in_a_verdict_is_written():
    trace, _ = failed_run()
    provenance = Provenance(model="m", method="m")
    verdict = Verdict.model_construct(
        trace_id="t", abstained=True, abstain_reason="\ud800", provenance=provenance
    )
    html.render(trace, verdict).encode()


class TestWrite:
    def test_writes_what_render_makes(self, tmp_path):
        path = html.write(tmp_path / "new" / "report.html", *failed_run())
        assert path.read_bytes() == html.render(*failed_run()).encode()
        assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]

    def test_all_or_nothing(self, tmp_path, monkeypatch):
        path = tmp_path / "report.html"
        path.write_text("old")

        def fail(*_):
            raise OSError("disk full")

        monkeypatch.setattr("pathlib.Path.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            html.write(path, *failed_run())
        assert path.read_text() == "old"
        assert len(list(tmp_path.iterdir())) == 1


class TestLargeRuns:
    """The texts of a run that no browser could open are cut, and the page says so."""

    @pytest.fixture(autouse=True)
    def _small_limit(self, monkeypatch):
        monkeypatch.setattr(html, "MOST_CHARACTERS", 40_000)

    def large_run(self):
        trace, verdict = failed_run()
        long = "x" * 50_000
        steps = tuple(
            step.model_copy(update={"content": f"{step.content}\n{long}"}) for step in trace.steps
        )
        observed = trace.observed.model_copy(update={"steps": steps})
        return trace.model_copy(update={"observed": observed}), verdict

    def test_the_page_says_how_much_is_cut_and_how_to_get_all(self):
        trace, verdict = self.large_run()
        data = json.loads(html.data(trace, verdict))
        assert re.match(r"This run has 300,\d{3} characters of text\.", data["words"]["cut"])
        assert f"`agentracer export {trace.id}` writes all of it" in data["words"]["cut"]
        shown = [step["content"] for step in data["trace"]["observed"]["steps"]]
        marked = [text for text in shown if "…[agentracer: cut " in text]
        assert f"{len(marked)} texts of it are shown in part" in data["words"]["cut"]

    def test_what_the_verdict_quotes_is_shown_whole(self):
        trace, verdict = self.large_run()
        data = json.loads(html.data(trace, verdict))
        steps = data["trace"]["observed"]["steps"]
        quoted = {piece["step"] for c in data["verdict"]["candidates"] for piece in c["evidence"]}
        assert quoted
        for index in quoted:
            assert steps[index]["content"] == trace.steps[index].content

    def test_replays_share_the_room_of_one_run(self):
        trace, verdict = self.large_run()
        replay = Replay("again", parts=0, steps=trace.steps, outcome=trace.outcome)
        data = json.loads(html.data(trace, verdict, [replay] * 4))
        for shown in data["replays"]:
            assert sum(len(step.get("content", "")) for step in shown["steps"]) < 15_000

    def test_a_run_that_fits_is_not_touched(self):
        trace, verdict = failed_run()
        data = json.loads(html.data(trace, verdict))
        assert data["words"]["cut"] == ""
        assert data["trace"] == json.loads(trace.to_json())
