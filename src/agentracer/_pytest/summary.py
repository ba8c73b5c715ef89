"""Print failures by blamed agent at the end of the session.

Everything comes from the properties of the test reports, so it works the same under xdist.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentracer._guard import swallowed
from agentracer._pytest.flips import FlipCounts, flip_lines
from agentracer.escaping import escape_control_chars
from agentracer.report.grouping import FailureLine, lines

__all__ = ["write"]


def write(terminal: Any, reports: Iterable[Any]) -> None:
    """Write the summary.

    Args:
        terminal: pytest's terminal reporter.
        reports: the reports that have properties of agentracer.
    """
    decisive = [(report, _facts(report)) for report in reports if _decides(report)]
    failures = [_failure(r.nodeid, f) for r, f in decisive if "agentracer.trace" in f]
    repeated = [
        (r.nodeid, f["agentracer.repeats"]) for r, f in decisive if "agentracer.repeats" in f
    ]
    problems = dict.fromkeys(
        f"{report.nodeid}: {value}"
        for report, _ in decisive
        for name, value in report.user_properties
        if name == "agentracer.problem"
    )
    if failures:
        terminal.write_sep("=", "agentracer: failed tests by blamed agent")
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


def _decides(report: Any) -> bool:
    """Whether this report decided the outcome; that of the teardown only repeats its properties."""
    return getattr(report, "when", None) != "teardown" and report.outcome in ("failed", "passed")


def _facts(report: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in report.user_properties}


def _failure(test: str, facts: dict[str, str]) -> FailureLine:
    page = facts.get("agentracer.report", "")
    agent = facts.get("agentracer.agent")
    if agent is None:
        return FailureLine(
            test, note=facts.get("agentracer.no_verdict", "not attributed"), page=page
        )
    note = facts["agentracer.certainty"]
    if "agentracer.proof" in facts:
        note += f", {facts['agentracer.proof']}"
    if "agentracer.speaker" in facts:
        note = f"by {facts['agentracer.speaker']}, {note}"
    return FailureLine(test, agent, int(facts["agentracer.step"]), note, page)
