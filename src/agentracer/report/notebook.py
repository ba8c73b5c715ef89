"""Show runs and verdicts in a notebook: a card of plain HTML, with the report folded under it.

The card has no script, so it also shows in a notebook that is viewed without being run. The report
is the same page as on disk, in a sandboxed frame without the notebook's origin, so that nothing in
a trace can reach the notebook.
"""

from __future__ import annotations

from agentracer.report import formatting, html, page
from agentracer.report.shortlist import shortlist_of
from agentracer.trace import Step, Trace
from agentracer.verdict import Evidence, Verdict

__all__ = ["trace_card", "verdict_card"]

_STEPS = 12
_TEXT = 160
_MOST_CHARACTERS = 2_000_000
"""Of a report inside a notebook, which keeps every output that it shows."""


def trace_card(trace: Trace) -> str:
    """A run as a fragment of HTML: outcome, task, the first steps, and the whole report folded."""
    report = html.render(trace)
    small = len(report) <= _MOST_CHARACTERS
    return page.fragment(
        "trace_card.html.jinja",
        style=page.asset("card.css"),
        trace=trace,
        outcome=formatting.run_outcome(trace),
        summary=formatting.summary(trace),
        steps=[(step, _short(_first_line(step))) for step in trace.steps[:_STEPS]],
        left=max(0, len(trace.steps) - _STEPS),
        task=_short(trace.task, 400),
        answer=_short(trace.outcome.answer or "", 400),
        report=report if small else None,
        size=formatting.plural(len(report) // 1_000_000, "MB").rstrip("s"),
    )


def verdict_card(verdict: Verdict) -> str:
    """A verdict as a fragment of HTML: who, which step, why, how sure, the shortlist."""
    proof = verdict.verification
    shortlist = shortlist_of(verdict)
    return page.fragment(
        "verdict_card.html.jinja",
        style=page.asset("card.css"),
        verdict=verdict,
        confidence=formatting.confidence(verdict),
        proof=formatting.verification(proof) if proof is not None else "",
        title=formatting.headline(verdict, None),
        reading_list=""
        if verdict.stands_out or verdict.abstained
        else formatting.reading_list(verdict),
        settling=formatting.settling(verdict),
        candidates=[
            (entry, [_quoted(piece) for piece in entry.evidence]) for entry in shortlist.entries
        ],
        left=len(shortlist.more),
        likely=shortlist.likely.text if shortlist.likely is not None else "",
        provenance=formatting.provenance(verdict.provenance),
    )


def _quoted(piece: Evidence) -> tuple[str, str, int]:
    return _short(piece.quote), _short(piece.says), piece.step


def _first_line(step: Step) -> str:
    line = next((line for line in step.content.splitlines() if line.strip()), "")
    if line or not step.tool_calls:
        return line
    return ", ".join(f"{call.name}( )" for call in step.tool_calls)


def _short(text: str, most: int = _TEXT) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
