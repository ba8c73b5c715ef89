"""No decoding at all: steps ranked by how the model reads them.

After MASPrism (arXiv 2605.07509): a step that surprises the model and that the question about the
error attends to is suspect. One prefill a window. Only a model in this process can be asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentracer.attribution.language_models.base import Scorer, Span, SpanScore
from agentracer.attribution.methods.base import Case, Finding, Steps
from agentracer.attribution.methods.windows import plan
from agentracer.attribution.rendering import Part
from agentracer.errors import BackendError
from agentracer.verdict import Candidate

__all__ = ["prefill"]


def prefill(case: Case) -> Steps:
    """Rank every step by surprise and attention; both as ranks, for their scales differ."""
    if not isinstance(case.model, Scorer):
        raise BackendError(
            f"{case.model.name} cannot be asked how it reads\n"
            "  remedy: method='prefill' needs a model in this process: transformers: or vllm:"
        )
    whole = case.fits(case.view.steps())
    windows = [case.view.parts()] if whole else plan(case)
    if not whole:
        case.note(f"read in {len(windows)} windows, and ranked by the most suspect reading")
    scores: dict[int, list[SpanScore]] = {}
    for window in windows:
        for part, score in zip(window, _read(case, case.model, window), strict=True):
            scores.setdefault(part.step, []).append(score)
    yield from ()  # nothing is asked for: the model is read, not written to
    order = _ranked(scores)
    if any(one.attention is None for read in scores.values() for one in read):
        case.note("ranked by surprise alone: this backend does not show attention")
    return Finding(candidates=tuple(_candidate(case, step, scores[step]) for step in order))


def _read(case: Case, model: Scorer, window: Sequence[Part]) -> list[SpanScore]:
    question = case.question("ask_prefill")
    prompt = case.prompt(case.body(parts=window), question)
    text, spans, at = prompt[-1].content, [], 0
    for part in window:
        block = case.view.block(part)
        start = text.index(block, at)
        spans.append(Span(start, start + len(block)))
        at = start + len(block)
    found, cost = model.score(prompt, spans)
    case.usage += cost.usage
    return found


def _ranked(scores: dict[int, list[SpanScore]]) -> list[int]:
    surprise = {step: max(one.surprise for one in read) for step, read in scores.items()}
    attention = {step: max(one.attention or 0.0 for one in read) for step, read in scores.items()}
    places: dict[int, int] = dict.fromkeys(scores, 0)
    for measure in (surprise, attention):
        for place, step in enumerate(sorted(measure, key=lambda s: (-measure[s], s))):
            places[step] += place
    return sorted(places, key=lambda step: (places[step], step))


def _candidate(case: Case, step: int, read: Sequence[SpanScore]) -> Candidate:
    most = max(read, key=lambda one: one.surprise)
    reason = f"surprise {most.surprise:.2f} nats a token"
    if most.attention is not None:
        reason += f", attention {most.attention:.2e} a token"
    return case.candidate(step, reason=reason)
