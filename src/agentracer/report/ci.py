"""Write verdicts for continuous integration: GitHub annotations, JUnit XML, Markdown.

Text of models and tools is untrusted. A runner obeys an annotation line, a Markdown page is
rendered with links and mentions, XML forbids some characters. So each format escapes in its own
way, after `escape_control_chars`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from xml.etree import ElementTree

from agentracer.escaping import escape_control_chars
from agentracer.report import formatting
from agentracer.report.grouping import NO_VERDICT, FailureLine, grouped
from agentracer.report.shortlist import ShortlistEntry, shortlist_of
from agentracer.report.success_curve import curve_line
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["AttributedRun", "github", "junit", "markdown"]

_ANNOTATIONS: Final = 10
"""Annotations of one kind that GitHub shows for a step; more are in the log only."""

_LONGEST: Final = 400

_CURVE: Final = "success with the first k steps kept, k ="


@dataclass(frozen=True, slots=True)
class AttributedRun:
    """One run and the result of its attribution: a verdict, or an error.

    Attributes:
        trace: the run.
        verdict: None where attribution failed.
        error: why it did; empty otherwise.
        file: where the trace was read from, if that was one file.
    """

    trace: Trace
    verdict: Verdict | None = None
    error: str = ""
    file: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether there was no failure to attribute."""
        return self.trace.outcome.success is True

    @property
    def failure(self) -> FailureLine:
        """The run as a line of a grouped list."""
        if self.verdict is None:
            return FailureLine(self.trace.id, note=self.error)
        return FailureLine.of(self.trace.id, self.verdict)

    @property
    def headline(self) -> str:
        """The blamed agent and step, marked as found or suspected unless proved."""
        verdict = self.verdict
        if verdict is None or verdict.abstained:
            return NO_VERDICT
        if not verdict.stands_out:
            return formatting.headline(verdict, self.trace.outcome).lower()
        by = f" by {verdict.speaker}" if verdict.speaker != verdict.agent else ""
        blame = f"{verdict.agent}, step {verdict.step}{by}"
        if self.established:
            return blame
        condition = "if this run failed: " if self.trace.outcome.success is None else ""
        return f"{condition}{verdict.level}: {blame}"

    @property
    def established(self) -> bool:
        """Whether the verdict is stated as a fact; see `formatting.is_established`."""
        verdict = self.verdict
        return verdict is not None and formatting.is_established(verdict, self.trace.outcome)

    @property
    def level(self) -> Literal["error", "warning", "notice"]:
        """How loudly CI reports the run.

        `error`: the verdict is proved. `warning`: a finding or a suspect in a run that failed.
        `notice`: no step stands out, or whether the run failed is not known.
        """
        if self.established:
            return "error"
        blamed = self.verdict is not None and self.verdict.stands_out
        return "warning" if blamed and self.trace.outcome.success is False else "notice"

    @property
    def explanation(self) -> str:
        """The reason, the confidence and what replays showed, as lines of text."""
        verdict = self.verdict
        if verdict is None:
            return self.error
        if verdict.abstained:
            lines = [verdict.abstain_reason or ""]
        else:
            lines = [] if verdict.stands_out else [formatting.reading_list(verdict)]
            lines += [verdict.reason, f"confidence: {formatting.confidence(verdict)}"]
            lines.append(formatting.settling(verdict, replayable=self.trace.replayable))
        if verdict.verification is not None:
            lines.append(formatting.verification(verdict.verification))
        if verdict.success_curve:
            lines.append(f"{_CURVE} {curve_line(verdict.success_curve)}")
        return "\n".join(line for line in lines if line)


# -- GitHub


def github(results: Sequence[AttributedRun]) -> Iterator[str]:
    """Yield one workflow command for each run that did not succeed; see `AttributedRun.level`.

    Nothing else is printed, so that no line of a trace can be taken for a command.
    """
    counts: Counter[str] = Counter()
    for result in results:
        if result.succeeded:
            continue
        counts[result.level] += 1
        facts = {"title": f"agentracer: {result.headline}", "file": result.file}
        text = f"{result.explanation}\ntrace {result.trace.id}"
        yield _command(result.level, facts, text)
    for level, count in counts.items():
        if count > _ANNOTATIONS:
            text = f"GitHub shows {_ANNOTATIONS} {level} annotations of a step; there are {count}"
            yield _command("notice", {"title": "agentracer: more failures"}, text)


def _command(name: str, facts: dict[str, str], message: str) -> str:
    # As in actions/toolkit, packages/core/src/command.ts.
    properties = ",".join(f"{key}={_property(value)}" for key, value in facts.items() if value)
    return f"::{name} {properties}::{_data(message)}"


def _data(text: str) -> str:
    text = escape_control_chars(text).replace("%", "%25")
    return text.replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# -- Markdown


def markdown(results: Sequence[AttributedRun], *, limit: int | None = None) -> str:
    """Return a summary: failures by agent, then each verdict with its evidence.

    Text of a run stands in code spans only, in which GitHub renders no link, mention or HTML.

    Args:
        results: the runs.
        limit: verdicts to write out; the rest is counted.
    """
    failed = [result for result in results if not result.succeeded]
    counts = formatting.plural(len(results), "run"), f"{len(failed):,} to attribute"
    lines = ["## agentracer", "", f"{', '.join(counts)}."]
    if len(failed) > 1:
        lines += ["", "| agent | runs |", "| --- | ---: |"]
        for agent, members in grouped(result.failure for result in failed):
            who = _code(agent) if agent is not None else NO_VERDICT
            lines.append(f"| {who} | {len(members)} |")
    written = failed[:limit]
    for result in written:
        lines += _section(result)
    if len(failed) > len(written):
        lines += ["", f"… {formatting.plural(len(failed) - len(written), 'more run')}."]
    return "\n".join(lines) + "\n"


def _section(result: AttributedRun) -> Iterator[str]:
    verdict, trace = result.verdict, result.trace
    yield ""
    yield f"### {_code(result.headline)}"
    yield ""
    yield f"- trace {_code(trace.id)}"
    if trace.task:
        yield f"- task {_code(trace.task)}"
    if verdict is None or verdict.abstained:
        reason = result.error if verdict is None else verdict.abstain_reason or ""
        yield f"- {NO_VERDICT}: {_code(reason)}"
        if verdict is not None:
            yield from _curve(verdict)
        return
    if not result.established:
        yield f"- {formatting.headline(verdict, trace.outcome)}"
    yield f"- {_code(verdict.reason)}" if verdict.reason else "- no reason was stated"
    if not verdict.stands_out:
        yield f"- {_code(formatting.reading_list(verdict))}"
    yield f"- confidence: {formatting.confidence(verdict)}"
    settling = formatting.settling(verdict, replayable=trace.replayable)
    if settling:
        yield f"- {_code(settling)}"
    if verdict.verification is not None:
        yield f"- {formatting.verification(verdict.verification)}"
    yield from _curve(verdict)
    shortlist = shortlist_of(verdict)
    yield from ("", "| step | agent | | evidence |", "| ---: | --- | ---: | --- |")
    for entry in shortlist.entries:
        cells = [str(entry.step), _code(entry.agent), entry.share, "<br>".join(_evidence(entry))]
        yield f"| {' | '.join(cells)} |"
    if shortlist.more:
        yield f"\n… {formatting.plural(len(shortlist.more), 'more candidate')}."
    if shortlist.likely is not None:
        yield f"\n{shortlist.likely.text[0].upper()}{shortlist.likely.text[1:]}."


def _curve(verdict: Verdict) -> Iterator[str]:
    if verdict.success_curve:
        yield f"- {_CURVE} {_code(curve_line(verdict.success_curve))}"


def _evidence(entry: ShortlistEntry) -> Iterator[str]:
    """Yield the cell's lines: the reason, and what each piece of evidence says and quotes."""
    if entry.reason:
        yield _code(entry.reason)
    for piece in entry.evidence:
        parts = [_code(text) for text in (piece.says, piece.quote) if text.strip()]
        where = f" (step {piece.step})" if piece.step != entry.step else ""
        if parts:
            yield f"{': '.join(parts)}{where}"
    if entry.more_evidence:
        yield f"… {formatting.plural(len(entry.more_evidence), 'more piece')} of evidence"


def _code(text: str) -> str:
    """Return any text as a code span that may stand inside a table.

    A pipe would end the cell, even escaped if a backslash stands before it, so it is shown as the
    escape that Python would write.
    """
    flat = " ".join(escape_control_chars(text).split()).replace("|", r"\x7c")
    if len(flat) > _LONGEST:
        flat = f"{flat[:_LONGEST]}… ({len(flat) - _LONGEST:,} more characters)"
    if not flat:
        return "`(empty)`"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    pad = " " if flat[0] == "`" or flat[-1] == "`" else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


# -- JUnit


def junit(results: Sequence[AttributedRun]) -> str:
    """Return JUnit XML with a test case for each run.

    A run with a proved verdict is a failure. One with a finding, a suspicion or no verdict is
    skipped with the reason. One whose attribution raised is an error. One that succeeded passes.
    """
    cases = [_case(result) for result in results]
    suite = ElementTree.Element("testsuite", {"name": "agentracer", "tests": str(len(cases))})
    for kind, counted in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(counted, str(sum(case.find(kind) is not None for case in cases)))
    seconds = sum(r.verdict.provenance.usage.seconds for r in results if r.verdict is not None)
    suite.set("time", f"{seconds:.3f}")
    suite.extend(cases)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(result: AttributedRun) -> ElementTree.Element:
    verdict, trace = result.verdict, result.trace
    case = ElementTree.Element(
        "testcase",
        {
            "classname": f"agentracer.{escape_control_chars(trace.observed.framework or 'trace')}",
            "name": escape_control_chars(trace.id),
            "time": f"{verdict.provenance.usage.seconds if verdict is not None else 0.0:.3f}",
        },
    )
    if result.succeeded:
        return case
    message = escape_control_chars(result.headline)
    if verdict is None:
        element = ElementTree.SubElement(case, "error", {"message": message, "type": "attribution"})
    elif verdict.abstained:
        attributes = {"message": escape_control_chars(verdict.abstain_reason or "")}
        element = ElementTree.SubElement(case, "skipped", attributes)
    elif result.established:
        element = ElementTree.SubElement(case, "failure", {"message": message, "type": "blamed"})
    else:
        element = ElementTree.SubElement(case, "skipped", {"message": message})
    element.text = escape_control_chars(result.explanation)
    shortlist = "\n".join(_candidates(verdict)) if verdict is not None else ""
    if shortlist:
        ElementTree.SubElement(case, "system-out").text = escape_control_chars(shortlist)
    return case


def _candidates(verdict: Verdict) -> Iterator[str]:
    shortlist = shortlist_of(verdict)
    for entry in shortlist.entries:
        yield ", ".join(filter(None, (f"step {entry.step}", entry.agent, entry.share)))
        if entry.reason:
            yield f"  {entry.reason}"
        for piece in entry.evidence:
            colon = ": " if piece.quote or not piece.says else ""
            yield f"  {piece.says}{colon}{piece.quote}"
        if entry.more_evidence:
            yield f"  {formatting.plural(len(entry.more_evidence), 'more piece')} of evidence"
    if shortlist.more:
        yield formatting.plural(len(shortlist.more), "more candidate")
