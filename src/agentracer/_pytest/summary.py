"""Failures by blamed agent, at the end of the session; read from the properties of reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentracer._guard import swallowed
from agentracer._pytest.flips import FlipCounts, flip_lines
from agentracer.escaping import escape_control_chars
from agentracer.report.grouping import Failure, lines

__all__ = ["write"]


def write(terminal: Any, reports: Iterable[Any]) -> None:
    """Write the summary.

    Args:
        terminal: pytest's terminal reporter.
        reports: those that have properties of ours.
    """
    told = [(report, _facts(report)) for report in reports if _counts(report)]
    failures = [_failure(r.nodeid, f) for r, f in told if "agentracer.trace" in f]
    repeated = [(r.nodeid, f["agentracer.repeats"]) for r, f in told if "agentracer.repeats" in f]
    problems = dict.fromkeys(
        f"{report.nodeid}: {value}"
        for report, _ in told
        for name, value in report.user_properties
        if name == "agentracer.problem"
    )
    if failures:
        terminal.write_sep("=", "agentracer: who made the tests fail")
        for text, heading in lines(failures, "test"):
            terminal.write_line(text, bold=heading)
    if repeated:
        terminal.write_sep("=", "agentracer: repeated tests")
        for test, flips in repeated:
            terminal.write_line(escape_control_chars(test), bold=True)
            for text in flip_lines(FlipCounts.from_json(flips)):
                terminal.write_line(f"  {text}")
    for problem in problems:
        terminal.write_line(f"agentracer: {escape_control_chars(problem)}")
    lost = sum(swallowed().values())
    if lost:
        terminal.write_line(f"agentracer: {lost} internal errors were swallowed: {swallowed()}")


def _counts(report: Any) -> bool:
    """Whether this report is the one that decided; teardown only repeats what it said."""
    return getattr(report, "when", None) != "teardown" and report.outcome in ("failed", "passed")


def _facts(report: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in report.user_properties}


def _failure(test: str, facts: dict[str, str]) -> Failure:
    page = facts.get("agentracer.report", "")
    agent = facts.get("agentracer.agent")
    if agent is None:
        return Failure(test, note=facts.get("agentracer.no_verdict", "not attributed"), page=page)
    doubt = "" if facts.get("agentracer.calibrated") == "true" else " (uncalibrated)"
    proof = facts.get("agentracer.verification")
    note = f"{float(facts['agentracer.confidence']):.0%}".replace("%", " %") + doubt
    note += f", {proof} by replay" if proof else ""
    speaker = facts.get("agentracer.speaker")
    note = f"by {speaker}, {note}" if speaker else note
    return Failure(test, agent, int(facts["agentracer.step"]), note, page)
