"""Methods that see the whole run, asked at once, in two stages, step by step, or by halves.

A run that does not fit the budget is read in windows, or by `rerank` in excerpts; see `windows`.
"""

from __future__ import annotations

from collections.abc import Generator

from agentracer.attribution import answers
from agentracer.attribution.answers import Answer, Unreadable
from agentracer.attribution.backends import Judgement
from agentracer.attribution.embedded import EmbeddedBackend
from agentracer.attribution.language_models.base import Reply, Request
from agentracer.attribution.methods.base import JudgeContext, RequestFlow
from agentracer.attribution.methods.windows import windowed, with_neighbours

__all__ = ["all_at_once", "binary_search", "requirements_first", "rerank", "step_by_step"]

_SHORTLIST = 10
_REQUIREMENTS = 8
_YES_NO = ("yes", "no")
_HALVES = ("first", "second")


def all_at_once(context: JudgeContext) -> RequestFlow:
    """Ask once for agent and step, after reasoning (AgenTracer; the first method of Who&When)."""
    if not context.fits(context.view.steps()):
        return (yield from windowed(context))
    question = context.question("ask_all_at_once")
    samples = yield from context.ask_for_blame(
        context.body(), question, context.all_steps, samples=context.options.samples
    )
    return context.rank_votes(samples)


def requirements_first(context: JudgeContext) -> RequestFlow:
    """Write down what the task requires before the run is read, then ask for the first violation.

    After TSR-Loc, which fixes the requirements first, so that the run cannot talk the judge out of
    them. The requirements are quoted like the trace: the task that they repeat may be hostile.
    """
    if not context.fits(context.view.steps()):
        return (yield from windowed(context))
    request = context.list_request(
        context.body("task", []),
        context.question("ask_requirements", most=str(_REQUIREMENTS)),
        _REQUIREMENTS,
    )
    lists = yield from context.ask(
        [request], lambda _, text: answers.parse_list(context.style, text, _REQUIREMENTS)
    )
    items = lists[0][0] if lists[0] else Unreadable("the model wrote nothing", "")
    if isinstance(items, Unreadable):
        context.add_note("the judge wrote down no requirements: it was asked without them")
        question = context.question("ask_all_at_once")
    else:
        quoted = "\n".join(context.view.untrusted(item) for item in items)
        question = context.question("ask_violation", requirements=quoted)
    samples = yield from context.ask_for_blame(
        context.body(), question, context.all_steps, samples=context.options.samples
    )
    return context.rank_votes(samples)


def step_by_step(context: JudgeContext) -> RequestFlow:
    """Ask of each step whether it is decisive, and stop at the first yes."""
    if not context.fits(context.view.steps()):
        return (yield from windowed(context))
    pieces = context.view.pieces()
    failed: list[Unreadable] = []
    for step in context.all_steps:
        question = context.question("ask_step", label=context.view.labels[step])
        # The prompts share all but their ends, so that a prefix cache reads each step once.
        body = context.body("growing", pieces[: step + 1])
        answer = yield from _choice(context, body, question, _YES_NO)
        if isinstance(answer, Unreadable):
            failed.append(answer)
        elif answer == "yes":
            context.add_note(
                f"the judge was asked about {step + 1} of {len(pieces)} steps, one after the other"
            )
            why = "the first step that the judge calls decisive"
            return Judgement(candidates=(context.candidate(step, reason=why),))
    if len(failed) == len(pieces):
        return context.abstain_unreadable(failed)
    return Judgement(abstain_reason="the judge calls no step decisive, asked about one at a time")


def binary_search(context: JudgeContext) -> RequestFlow:
    """Halve the range of steps until one is left; each prompt shows the whole run."""
    if not context.fits(context.view.steps()):
        return (yield from windowed(context))
    low, high = 0, len(context.all_steps) - 1
    body, labels = context.body(), context.view.labels
    while low < high:
        middle = (low + high) // 2
        question = context.question(
            "ask_half",
            first=labels[low],
            middle=labels[middle],
            next=labels[middle + 1],
            last=labels[high],
        )
        answer = yield from _choice(context, body, question, _HALVES)
        if isinstance(answer, Unreadable):
            return context.abstain_unreadable([answer])
        low, high = (low, middle) if answer == "first" else (middle + 1, high)
    return Judgement(candidates=(context.candidate(low, reason="found by halving the run"),))


def rerank(context: JudgeContext) -> RequestFlow:
    """Let the judge choose among the first steps of the embedded tracer's ranking."""
    ranking = EmbeddedBackend().attribute(context.view.run)
    context.versions.update(ranking.versions)
    steps = (candidate.step for candidate in ranking.candidates)
    shortlist = list(dict.fromkeys(steps))[:_SHORTLIST]
    if not shortlist:
        return (yield from all_at_once(context))
    labels = " ".join(context.view.labels[step] for step in shortlist)
    question = context.question("ask_shortlist", labels=labels)
    pieces = None
    if not context.fits(context.view.steps()):
        pieces = with_neighbours(context, {step: context.view.pieces()[step] for step in shortlist})
        shown = sorted({piece.step for piece in pieces})
        context.add_note(
            f"the run does not fit the prompt: the judge saw the steps {shown}, some in part"
        )
    samples = yield from context.ask_for_blame(
        context.body(pieces=pieces), question, shortlist, samples=context.options.samples
    )
    return context.rank_votes(
        samples, rest=shortlist, why="on the shortlist of the embedded tracer"
    )


def _choice(
    context: JudgeContext, body: str, question: str, choices: tuple[str, ...]
) -> Generator[list[Request], list[Reply], Answer | str | Unreadable]:
    request = context.choice_request(body, question, choices)
    results = yield from context.ask(
        [request], lambda _, text: answers.parse_choice(context.style, text, choices)
    )
    return results[0][0] if results[0] else Unreadable("the model wrote nothing", "")
