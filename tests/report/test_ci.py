"""Verdicts for CI: what a run holds is only ever text there."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.report.samples import HOSTILE, curved, hostile_trace

from agentracer import cli
from agentracer.attribution import Tracer
from agentracer.errors import BackendError
from agentracer.escaping import escape_control_chars
from agentracer.report.ci import AttributedRun, github, junit, markdown
from agentracer.report.success_curve import curve_line
from agentracer.trace import Observed, Outcome, Step, Trace
from agentracer.verdict import Candidate, Evidence, PrefixRate, Provenance, Verdict, Verification

CORPUS = [
    *HOSTILE,
    "::error::forged\n##[error]forged\r\n::set-output name=a::b",
    "a | b \\| c \\\\| d",
    "`code` ``code`` ``` \\`",
    "[link](https://evil.example) <https://evil.example> www.evil.example @everyone #1",
    "line\n\n| a | b |\n| --- | --- |\n# heading\n- item\n---\n&lt; &#124;",
    "100%25 %0A , : ;",
    "",
    " ",
]


def texts(function):
    """Try any text, and the corpus."""
    for text in CORPUS:
        function = example(text)(function)
    function = given(st.text(max_size=60))(function)
    return settings(deadline=None, max_examples=50)(function)


def run_of(text):
    """A failed run and its verdict, with a text in every field that a stranger can fill."""
    agent = text or "agent"
    trace = Trace(
        id=f"id {text}",
        observed=Observed(
            task=text,
            framework=text,
            steps=(Step(index=0, agent=agent, content=text),),
            outcome=Outcome(success=False),
        ),
    )
    verdict = Verdict(
        trace_id=trace.id,
        agent=agent,
        step=0,
        reason=text,
        confidence=0.5,
        candidates=(
            Candidate(
                agent=agent,
                step=0,
                probability=0.5,
                reason=text,
                evidence=(Evidence(step=0, says=text, quote=text),),
            ),
        ),
        provenance=Provenance(model="m", method="m"),
        verification=Verification(
            status="confirmed", flips=3, replays=3, control_flips=0, control_replays=3
        ),
    )
    return AttributedRun(trace, verdict, file=f"{text}.json")


def nobody(success=None):
    trace = Trace(id="idle", observed=Observed(outcome=Outcome(success=success)))
    return AttributedRun(trace, Tracer().attribute(trace))


def broken():
    return AttributedRun(Trace(id="broken", observed=Observed()), error="the server is down")


# -- GitHub


def as_the_runner_reads_it(line):
    """A workflow command, as actions/runner parses it (ActionCommand.TryParseV2)."""
    head, _, data = line.removeprefix("::").partition("::")
    name, _, pairs = head.partition(" ")
    facts = dict(pair.split("=", 1) for pair in pairs.split(",") if pair)
    return (
        name,
        {key: unescaped(value, "%3A", "%2C") for key, value in facts.items()},
        unescaped(data),
    )


def unescaped(text, *more):
    for code in (*more, "%0D", "%0A", "%25"):
        text = text.replace(code, chr(int(code[1:], 16)))
    return text


@texts
def test_an_annotation_is_one_line_that_says_exactly_this(text):
    result = run_of(text)
    (line,) = github([result])
    assert line.startswith("::error ")
    assert "\n" not in line
    assert "\r" not in line
    name, facts, said = as_the_runner_reads_it(line)
    assert name == "error"
    assert facts == {
        "title": f"agentracer: {escape_control_chars(result.headline)}",
        "file": escape_control_chars(result.file),
    }
    assert said == escape_control_chars(f"{result.explanation}\ntrace {result.trace.id}")


def test_who_is_not_blamed_gets_a_notice_and_success_gets_nothing():
    lines = list(github([nobody(), nobody(success=True), broken()]))
    assert [line.split(" ")[0] for line in lines] == ["::notice", "::notice"]
    assert "the server is down" in lines[1]


def test_more_than_github_shows_is_counted():
    lines = list(github([run_of("x")] * 12))
    assert len(lines) == 13
    assert "GitHub shows 10 error annotations of a step; there are 12" in lines[-1]


def with_doubt(*, success, confidence, calibrated, status=None):
    """A run whose verdict is as certain as this."""
    result = run_of("x")
    observed = result.trace.observed.model_copy(update={"outcome": Outcome(success=success)})
    proof = result.verdict.verification.model_copy(update={"status": status}) if status else None
    changes = {"confidence": confidence, "calibrated": calibrated, "verification": proof}
    return AttributedRun(
        result.trace.model_copy(update={"observed": observed}),
        result.verdict.model_copy(update=changes),
    )


CERTAINTIES = [
    ({"success": False, "confidence": 0.8, "calibrated": True}, "warning", "skipped"),
    ({"success": False, "confidence": 0.3, "calibrated": True}, "warning", "skipped"),
    ({"success": False, "confidence": 0.9, "calibrated": False}, "warning", "skipped"),
    ({"success": None, "confidence": 0.9, "calibrated": True}, "notice", "skipped"),
    (
        {"success": False, "confidence": 0.2, "calibrated": False, "status": "confirmed"},
        *("error", "failure"),
    ),
    (
        {"success": False, "confidence": 0.9, "calibrated": True, "status": "refuted"},
        *("warning", "skipped"),
    ),
    (
        {"success": False, "confidence": 0.95, "calibrated": True, "status": "likely"},
        *("warning", "skipped"),
    ),
]


@pytest.mark.parametrize(("certainty", "level", "element"), CERTAINTIES)
def test_only_an_established_verdict_is_an_error(certainty, level, element):
    result = with_doubt(**certainty)
    (line,) = github([result])
    name, facts, _ = as_the_runner_reads_it(line)
    assert name == level
    assert ("suspected" in facts["title"]) == (level != "error")
    case = ElementTree.fromstring(junit([result]).encode()).find("testsuite/testcase")
    assert [child.tag for child in case] == [element, "system-out"]


# -- JUnit


@texts
def test_junit_is_well_formed_and_says_exactly_this(text):
    result = run_of(text)
    suite = ElementTree.fromstring(junit([result]).encode()).find("testsuite")
    case = suite.find("testcase")
    assert case.get("name") == escape_control_chars(result.trace.id)
    assert case.find("failure").get("message") == escape_control_chars(result.headline)
    assert case.find("failure").text == escape_control_chars(result.explanation)
    assert case.find("system-out").text == escape_control_chars(
        f"step 0, {result.verdict.agent}, 0.50\n  {text}: {text}"
    )


def test_junit_counts_what_it_holds():
    results = [run_of("x"), run_of("y"), nobody(), nobody(success=True), broken()]
    suite = ElementTree.fromstring(junit(results).encode()).find("testsuite")
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "2", "errors": "1", "skipped": "1"}
    assert len(suite.findall("testcase/failure")) == 2


def test_junit_has_the_shape_that_parsers_expect():
    """Elements and attributes of the common schema, in its order."""
    allowed = {
        "testsuites": set(),
        "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
        "testcase": {"classname", "name", "time"},
        "failure": {"message", "type"},
        "error": {"message", "type"},
        "skipped": {"message"},
        "system-out": set(),
    }
    root = ElementTree.fromstring(junit([run_of("x"), nobody(), broken()]).encode())
    for element in root.iter():
        assert set(element.keys()) == allowed[element.tag]
    order = ["skipped", "error", "failure", "system-out"]
    for case in root.iter("testcase"):
        places = [order.index(child.tag) for child in case]
        assert places == sorted(set(places))


# -- Markdown


class Page(HTMLParser):
    """The tags of a rendered page, and the texts inside and outside code spans."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.tags, self.codes, self.prose, self._code = [], [], [], False
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(source))

    def handle_starttag(self, tag, attrs):
        kept = [(key, value) for key, value in attrs if key != "style"]
        self.tags.append((tag, tuple(kept)))
        if tag == "code":
            self._code = True
            self.codes.append("")

    def handle_endtag(self, tag):
        self._code = self._code and tag != "code"

    def handle_data(self, data):
        if self._code:
            self.codes[-1] += data
        else:
            self.prose.append(data)


@texts
def test_markdown_renders_to_the_same_page_whatever_a_run_holds(text):
    results = [run_of(text), run_of(text)]
    page, plain = Page(markdown(results)), Page(markdown([run_of("x"), run_of("x")]))
    if text.strip():
        assert page.tags == plain.tags
        assert page.prose == plain.prose
    shown = " ".join(escape_control_chars(text).split()).replace("|", r"\x7c")
    assert set(page.codes) <= {
        shown or "(empty)",
        " ".join(escape_control_chars(f"id {text}").split()).replace("|", r"\x7c"),
        " ".join(escape_control_chars(results[0].headline).split()).replace("|", r"\x7c"),
        "agent",
    }


def test_markdown_cuts_long_texts_and_lists_and_says_so():
    source = markdown([run_of("x" * 1000)] * 5, limit=2)
    assert "(600 more characters)" in source
    assert "… 3 more runs." in source
    assert source.count("\n### ") == 2


def test_the_hostile_corpus_as_a_whole_passes_every_format():
    trace, verdict = hostile_trace()
    result = AttributedRun(trace, verdict)
    assert all(line.startswith("::") for line in github([result]))
    ElementTree.fromstring(junit([result]).encode())
    tags = {tag for tag, _ in Page(markdown([result])).tags}
    assert tags <= {"h2", "h3", "p", "ul", "li", "code", "br"} | {
        *("table", "thead", "tbody", "tr", "th", "td"),
    }


# -- the command


@pytest.fixture
def attribute(tmp_path, monkeypatch):
    """`agentracer attribute` on a folder of two failed runs of one agent, and one of another."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, agent in (("1", "Bob"), ("2", "Zoe"), ("3", "Bob")):
        log = {
            "question": "How many?",
            "history": [
                {"name": agent, "role": "user", "content": f"So {name} + 12 = 28."},
                {"name": "Ann", "role": "user", "content": "It is 28."},
            ],
        }
        log |= {"mistake_agent": agent, "mistake_step": "0", "mistake_reason": "?"}
        (folder / f"{name}.json").write_text(json.dumps(log | {"ground_truth": "28"}))

    def run(*options, target=folder):
        return CliRunner().invoke(cli.cli, ["attribute", str(target), *options])

    return run


def test_several_traces_end_with_the_failures_grouped_by_agent(attribute):
    output = attribute().output
    groups = re.findall(r"^(\w+): (\d) failed runs?$", output, re.MULTILINE)
    assert groups == [("Bob", "2"), ("Zoe", "1")]
    assert len(re.findall(r"^  whowhen-\w+  step 0  ", output, re.MULTILINE)) == 3


def test_one_trace_is_not_grouped(attribute, tmp_path):
    assert "failed run" not in attribute(target=tmp_path / "logs" / "1.json").output


def test_github_annotates_and_appends_to_the_step_summary(attribute, monkeypatch, tmp_path):
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    result = attribute("--format", "github")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [as_the_runner_reads_it(line)[0] for line in lines] == ["warning"] * 3
    assert page.read_text().startswith("before\n## agentracer\n\n3 runs, 3 to attribute.\n")
    one = attribute("--format", "github", target=tmp_path / "logs" / "1.json").output
    assert as_the_runner_reads_it(one)[1]["file"] == str(tmp_path / "logs" / "1.json")


def test_a_step_summary_that_cannot_be_written_is_an_error(attribute, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "such"))
    result = attribute("--format", "github")
    assert result.exit_code == cli.BAD_INPUT
    assert "GITHUB_STEP_SUMMARY" in result.output


@pytest.mark.parametrize("form", ["junit", "markdown", "json"])
def test_the_other_formats_are_alone_on_stdout(attribute, form):
    output = attribute("--format", form).output
    starts = {"junit": "<?xml", "markdown": "## agentracer", "json": "["}
    assert output.startswith(starts[form])
    assert output.count("Bob") >= 2


def test_a_run_that_cannot_be_attributed_is_in_every_format(attribute, monkeypatch):
    real = Tracer.attribute

    def moody(self, trace):
        if "Zoe" in trace.observed.agent_names:
            raise BackendError("the server is down")
        return real(self, trace)

    monkeypatch.setattr(Tracer, "attribute", moody)
    for form, said in (("github", "::notice"), ("junit", "<error"), ("markdown", "no verdict")):
        result = attribute("--format", form)
        assert result.exit_code == cli.PARTLY_DONE
        assert said in result.output
        assert "the server is down" in result.output


# -- success curves

CURVE = "0 ▅▆▅▁··▁ 6"


def curved_run(status="confirmed"):
    trace, verdict = curved()
    proof = verdict.verification.model_copy(update={"status": status})
    return AttributedRun(trace, verdict.model_copy(update={"verification": proof}))


@pytest.mark.parametrize("write", [lambda r: "".join(github(r)), markdown, junit])
def test_confirmed_is_said_only_where_it_is_and_with_the_number_of_replays(write):
    assert "confirmed by 16 replays: succeeded in 5 of 8" in write([curved_run()])
    likely = write([curved_run("likely")])
    assert "confirmed" not in likely
    assert "likely, by 16 replays: succeeded in 5 of 8" in likely.replace("%2C", ",")


def test_the_line_of_a_curve_begins_with_a_fresh_run_even_if_that_was_not_replayed():
    rates = curved()[1].success_curve
    assert curve_line(rates[1:]) == "0 ·▆▅▁··▁ 6"
    assert curve_line([]) == ""


def test_the_line_of_a_long_curve_holds_the_measured_prefixes_only():
    rates = [PrefixRate(prefix=k, successes=4 - k // 50, replays=4) for k in (50, 100, 200)]
    assert curve_line(rates) == "50 ▆▅▁ 200"


@pytest.mark.parametrize("write", [lambda r: "".join(github(r)), markdown, junit])
def test_the_success_curve_is_one_line(write):
    assert f"k = {CURVE}" in write([curved_run()]).replace("`", "")
    trace, verdict = curved()
    none = {"agent": None, "step": None, "abstained": True, "abstain_reason": "no single step"}
    run = AttributedRun(trace, verdict.model_copy(update={**none, "verification": None}))
    assert f"k = {CURVE}" in write([run]).replace("`", "")
