"""Verdicts for machines that build and test: annotations, JUnit XML, Markdown.

What models and tools wrote is hostile here too. An annotation is a line that a runner obeys, a
Markdown page is rendered with links and mentions, XML forbids characters: each format has its own
escaping, and `escape_control_chars` comes before all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from agentracer.escaping import escape_control_chars
from agentracer.report import formatting
from agentracer.report.grouping import NOBODY, Failure, grouped
from agentracer.trace import Trace
from agentracer.verdict import Candidate, Verdict

__all__ = ["Attributed", "github", "junit", "markdown"]

_ANNOTATIONS: Final = 10
"""So many errors of one step are shown by GitHub; more are in the log only."""

_LONGEST: Final = 400


@dataclass(frozen=True, slots=True)
class Attributed:
    """One run and what came of its attribution: a verdict, or an error.

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
    def failure(self) -> Failure:
        """As it is grouped with others."""
        if self.verdict is None:
            return Failure(self.trace.id, note=self.error)
        return Failure.of(self.trace.id, self.verdict)

    @property
    def headline(self) -> str:
        """Who and which step, or why nobody."""
        verdict = self.verdict
        if verdict is None or verdict.abstained:
            return NOBODY
        by = f" by {verdict.speaker}" if verdict.speaker != verdict.agent else ""
        return f"{verdict.agent}, step {verdict.step}{by}"

    @property
    def explanation(self) -> str:
        """The reason and how sure it is, as lines of text."""
        verdict = self.verdict
        if verdict is None:
            return self.error
        if verdict.abstained:
            return verdict.abstain_reason or ""
        lines = [verdict.reason, f"confidence: {formatting.confidence(verdict)}"]
        if verdict.verification is not None:
            lines.append(formatting.verification(verdict.verification))
        return "\n".join(line for line in lines if line)


def _chance(candidate: Candidate, before: str = "") -> str:
    if candidate.probability is None:
        return ""
    return before + f"{candidate.probability:.0%}".replace("%", " %")


# -- GitHub


def github(results: Sequence[Attributed]) -> Iterator[str]:
    """Workflow commands, one a line: an error for each failure, a notice where nobody is blamed.

    Nothing else is printed, so that no line of a trace can be taken for a command.
    """
    errors = 0
    for result in results:
        if result.succeeded:
            continue
        blamed = result.verdict is not None and not result.verdict.abstained
        errors += blamed
        facts = {"title": f"agentracer: {result.headline}", "file": result.file}
        text = f"{result.explanation}\ntrace {result.trace.id}"
        yield _command("error" if blamed else "notice", facts, text)
    if errors > _ANNOTATIONS:
        text = f"GitHub shows {_ANNOTATIONS} annotations of a step; there are {errors}"
        yield _command("notice", {"title": "agentracer: more failures"}, text)


def _command(name: str, facts: dict[str, str], message: str) -> str:
    # As in actions/toolkit, packages/core/src/command.ts.
    given = ",".join(f"{key}={_property(value)}" for key, value in facts.items() if value)
    return f"::{name} {given}::{_data(message)}"


def _data(text: str) -> str:
    text = escape_control_chars(text).replace("%", "%25")
    return text.replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# -- Markdown


def markdown(results: Sequence[Attributed], *, limit: int | None = None) -> str:
    """A summary: failures by agent, then each verdict with its evidence.

    What a run holds stands in code spans only, where GitHub makes no link, mention or HTML of it.

    Args:
        results: the runs.
        limit: how many verdicts to write out; the rest is counted.
    """
    failed = [result for result in results if not result.succeeded]
    counts = formatting.plural(len(results), "run"), f"{len(failed):,} to attribute"
    lines = ["## agentracer", "", f"{', '.join(counts)}."]
    if len(failed) > 1:
        lines += ["", "| blamed | runs |", "| --- | ---: |"]
        for agent, members in grouped(result.failure for result in failed):
            who = _code(agent) if agent is not None else NOBODY
            lines.append(f"| {who} | {len(members)} |")
    written = failed[:limit]
    for result in written:
        lines += _section(result)
    if len(failed) > len(written):
        lines += ["", f"… {formatting.plural(len(failed) - len(written), 'more run')}."]
    return "\n".join(lines) + "\n"


def _section(result: Attributed) -> Iterator[str]:
    verdict, trace = result.verdict, result.trace
    yield ""
    yield f"### {_code(result.headline)}"
    yield ""
    yield f"- trace {_code(trace.id)}"
    if trace.task:
        yield f"- task {_code(trace.task)}"
    if verdict is None or verdict.abstained:
        yield f"- {NOBODY}: {_code(result.explanation)}"
        return
    yield f"- {_code(verdict.reason)}" if verdict.reason else "- no reason is given"
    yield f"- confidence: {formatting.confidence(verdict)}"
    if verdict.verification is not None:
        yield f"- {formatting.verification(verdict.verification)}"
    yield from ("", "| step | agent | | evidence |", "| ---: | --- | ---: | --- |")
    for candidate in verdict.candidates:
        quotes = [piece.quote or piece.says for piece in candidate.evidence] or [candidate.reason]
        cells = [str(candidate.step), _code(candidate.agent), _chance(candidate)]
        cells.append("<br>".join(_code(quote) for quote in quotes[:3] if quote))
        yield f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Any text as one code span, also inside a table.

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


def junit(results: Sequence[Attributed]) -> str:
    """JUnit XML: a test case for each run, failed where somebody is blamed.

    A run that succeeded passes, one without a verdict is skipped, one whose attribution failed is
    an error.
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


def _case(result: Attributed) -> ElementTree.Element:
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
        found = ElementTree.SubElement(case, "error", {"message": message, "type": "attribution"})
    elif verdict.abstained:
        attributes = {"message": escape_control_chars(verdict.abstain_reason or "")}
        found = ElementTree.SubElement(case, "skipped", attributes)
    else:
        found = ElementTree.SubElement(case, "failure", {"message": message, "type": "blamed"})
    found.text = escape_control_chars(result.explanation)
    shortlist = "\n".join(_candidates(verdict)) if verdict is not None else ""
    if shortlist:
        ElementTree.SubElement(case, "system-out").text = escape_control_chars(shortlist)
    return case


def _candidates(verdict: Verdict) -> Iterator[str]:
    for candidate in verdict.candidates:
        yield f"step {candidate.step}, {candidate.agent}{_chance(candidate, ', ')}"
        yield from (f"  {piece.says}: {piece.quote}" for piece in candidate.evidence)
