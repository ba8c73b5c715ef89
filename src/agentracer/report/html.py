"""Build the page of one run: its steps, its verdict and its replays.

Messages stay shared as in the trace: what a step read is looked up when a reader unfolds it. See
`page` for the protection against untrusted text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentracer.call_nesting import CallNesting
from agentracer.encoding import cut_text
from agentracer.report import formatting, page, success_curve
from agentracer.report.replays import Replay
from agentracer.report.shortlist import shortlist_of
from agentracer.text_bounds import BoundedRun, bound_texts
from agentracer.trace import Observed, Trace
from agentracer.verdict import Verdict

__all__ = ["SCRIPTS", "data", "has_curve", "render", "scripts", "styles", "write"]

SCRIPTS = (
    *("text.js", "theme.js", "list.js", "model.js", "lanes.js", "steps.js"),
    *("verdict.js", "compare.js", "report.js"),
)
"""The scripts that draw a run, in the order in which they run."""

MOST_CHARACTERS = 20_000_000
"""Characters of text of one run in a page: a browser shows the first step within seconds."""

_WHOLE = 5  # candidates whose quoted steps are not cut
_LONGEST_WHOLE = 1_000_000  # characters of such a step


def scripts(*last: str, curve: bool) -> tuple[str, ...]:
    """Return the scripts of a page of runs.

    Args:
        last: those that open the page.
        curve: whether a success curve is to be drawn.
    """
    return (*SCRIPTS, *last, *(("curve.js",) if curve else ()))


def styles(*, curve: bool) -> tuple[str, ...]:
    """Return the styles of a page of runs; see `scripts`."""
    return ("report.css", *(("curve.css",) if curve else ()))


def has_curve(verdict: Verdict | None) -> bool:
    """Whether the verdict has a success curve."""
    return verdict is not None and bool(verdict.success_curve)


def render(trace: Trace, verdict: Verdict | None = None, replays: Sequence[Replay] = ()) -> str:
    """Return the report as the text of one HTML file.

    Args:
        trace: the run to show.
        verdict: the result of its attribution, if there is one.
        replays: runs that replayed it, shown beside it; see `replays.load_replays`.

    Returns:
        HTML that refers to nothing outside itself.
    """
    return page.page(
        "report.html.jinja",
        title=page.title(trace.task, trace.id),
        islands={"data": data(trace, verdict, replays)},
        scripts=scripts("run.js", curve=has_curve(verdict)),
        styles=styles(curve=has_curve(verdict)),
    )


def write(
    path: str | Path,
    trace: Trace,
    verdict: Verdict | None = None,
    replays: Sequence[Replay] = (),
) -> Path:
    """Write the report atomically, so that no reader finds half a file.

    Args:
        path: the file; missing folders are created.
        trace: the run to show.
        verdict: the result of its attribution, if there is one.
        replays: runs that replayed it, shown beside it.

    Returns:
        The path written.
    """
    return page.write(path, render(trace, verdict, replays))


def data(trace: Trace, verdict: Verdict | None, replays: Sequence[Replay] = ()) -> str:
    """Return the data that the scripts draw, as JSON text.

    The texts of a very large run are cut, and the page says so.
    """
    bounded = bound_texts(
        trace.observed, MOST_CHARACTERS, cut=cut_text, repeats=True, whole=_quoted(verdict, trace)
    )
    returns = _returns(trace)
    if bounded.cut:
        trace = trace.model_copy(update={"observed": bounded.run})
    words = {
        "outcome": formatting.run_outcome(trace),
        "summary": formatting.summary(trace),
        "cut": _what_is_cut(bounded, trace) if bounded.cut else "",
        **(_verdict_words(verdict, trace) if verdict is not None else {}),
    }
    content = None if verdict is None else verdict.model_dump(mode="json")
    shortlist = None if verdict is None else shortlist_of(verdict).to_json()
    parts = {
        "trace": trace.to_json(),
        "verdict": json.dumps(content, ensure_ascii=False),
        "shortlist": json.dumps(shortlist, ensure_ascii=False),
        "returns": json.dumps(returns),
        "words": json.dumps(words, ensure_ascii=False),
        "replays": json.dumps(_replay_data(replays), ensure_ascii=False),
    }
    if verdict is not None and verdict.success_curve:
        parts["curve"] = json.dumps(success_curve.page_data(verdict), ensure_ascii=False)
    return "{" + ",".join(f'"{name}":{text}' for name, text in parts.items()) + "}"


def _returns(trace: Trace) -> list[list[int]]:
    """The calls in which steps ran: caller, position of the call, step that its result follows."""
    nesting = CallNesting(trace.observed)
    return [[*ref, nesting.result_follows(*ref)] for ref in sorted(nesting.calls_with_inner_steps)]


def _replay_data(replays: Sequence[Replay]) -> list[dict[str, Any]]:
    """The replays, which share the room that one run has."""
    room = MOST_CHARACTERS // max(len(replays), 1)
    shown = []
    for replay in replays:
        steps = Observed.model_construct(steps=replay.steps)
        bounded = bound_texts(steps, room, cut=cut_text, repeats=True)
        shown.append(replace(replay, steps=bounded.run.steps).to_json())
    return shown


def _quoted(verdict: Verdict | None, trace: Trace) -> set[int]:
    """The steps that the first candidates quote, which the page shows whole."""
    candidates = verdict.candidates[:_WHOLE] if verdict is not None else ()
    steps = {piece.step for candidate in candidates for piece in candidate.evidence}
    return {step for step in steps if _is_short_enough(trace, step)}


def _is_short_enough(trace: Trace, step: int) -> bool:
    return step < len(trace.steps) and len(trace.steps[step].content) <= _LONGEST_WHOLE


def _what_is_cut(bounded: BoundedRun, trace: Trace) -> str:
    return (
        f"This run has {bounded.characters:,} characters of text. So that a browser can open this "
        f"page, {formatting.plural(bounded.cut, 'text')} of it are shown in part, "
        f"{bounded.longest:,} characters of each; the places are marked. "
        f"`agentracer export {trace.id}` writes all of it."
    )


def _verdict_words(verdict: Verdict, trace: Trace) -> dict[str, str]:
    words = {
        "headline": formatting.headline(verdict, trace.outcome),
        "confidence": formatting.confidence(verdict),
        "provenance": formatting.provenance(verdict.provenance),
        "settling": formatting.settling(verdict, replayable=trace.replayable),
    }
    if not verdict.abstained and not verdict.stands_out:
        words["reading_list"] = formatting.reading_list(verdict)
    if verdict.verification is not None:
        words["verification"] = formatting.verification(verdict.verification)
    return words
