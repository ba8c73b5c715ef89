"""The method that generates no text: steps are ranked by log likelihood and attention.

After MASPrism (arXiv 2605.07509): a step is suspect if its tokens are unlikely and if the question
about the error attends to it. Needs one prefill for each window, and a model in this process.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentracer.attribution.backends import Judgement
from agentracer.attribution.language_models.base import Scorer, SpanScore, TextSpan
from agentracer.attribution.methods.base import JudgeContext, RequestFlow
from agentracer.attribution.methods.windows import plan_windows
from agentracer.attribution.rendering import StepPiece
from agentracer.errors import BackendError
from agentracer.verdict import Candidate

__all__ = ["prefill"]


def prefill(context: JudgeContext) -> RequestFlow:
    """Rank every step by the sum of its ranks in surprise and in attention."""
    if not isinstance(context.model, Scorer):
        raise BackendError(
            f"{context.model.name} gives no likelihoods of its prompt\n"
            "  remedy: method='prefill' needs a model in this process: transformers: or vllm:"
        )
    whole = context.fits(context.view.steps())
    windows = [context.view.pieces()] if whole else plan_windows(context)
    if not whole:
        context.add_note(
            f"read in {len(windows)} windows; each step has the score of its most suspect window"
        )
    scores: dict[int, list[SpanScore]] = {}
    for window in windows:
        for piece, score in zip(window, _score(context, context.model, window), strict=True):
            scores.setdefault(piece.step, []).append(score)
    yield from ()  # makes this a generator: it has no requests
    order = _ranked(scores)
    if any(score.attention is None for group in scores.values() for score in group):
        context.add_note("ranked by surprise alone: this model gives no attention weights")
    return Judgement(candidates=tuple(_candidate(context, step, scores[step]) for step in order))


def _score(context: JudgeContext, model: Scorer, window: Sequence[StepPiece]) -> list[SpanScore]:
    question = context.question("ask_prefill")
    prompt = context.prompt(context.body(pieces=window), question)
    text, spans, at = prompt[-1].content, [], 0
    for piece in window:
        block = context.view.block(piece)
        start = text.index(block, at)
        spans.append(TextSpan(start, start + len(block)))
        at = start + len(block)
    scores, completion = model.score(prompt, spans)
    context.usage += completion.usage
    return scores


def _ranked(scores: dict[int, list[SpanScore]]) -> list[int]:
    surprise = {step: max(score.surprise for score in group) for step, group in scores.items()}
    attention = {
        step: max(score.attention or 0.0 for score in group) for step, group in scores.items()
    }
    rank_sum: dict[int, int] = dict.fromkeys(scores, 0)
    for measure in (surprise, attention):
        for rank, step in enumerate(sorted(measure, key=lambda s: (-measure[s], s))):
            rank_sum[step] += rank
    return sorted(rank_sum, key=lambda step: (rank_sum[step], step))


def _candidate(context: JudgeContext, step: int, scores: Sequence[SpanScore]) -> Candidate:
    most = max(scores, key=lambda score: score.surprise)
    reason = f"surprise {most.surprise:.2f} nats a token"
    if most.attention is not None:
        reason += f", attention {most.attention:.2e} a token"
    return context.candidate(step, reason=reason)
