"""Methods that see the whole run: all at once, step by step, by halves, and from a shortlist.

Each of them leaves a run that does not fit the budget to `windows`; none of them cuts it.
"""

from __future__ import annotations

from collections.abc import Generator

from agentracer.attribution import answers
from agentracer.attribution.answers import Answer, Unreadable
from agentracer.attribution.embedded import EmbeddedBackend
from agentracer.attribution.language_models.base import Reply, Request
from agentracer.attribution.methods.base import Case, Finding, Steps
from agentracer.attribution.methods.windows import surroundings, windowed

__all__ = ["all_at_once", "binary_search", "rerank", "step_by_step"]

_SHORTLIST = 10
_YES_NO = ("yes", "no")
_HALVES = ("first", "second")


def all_at_once(case: Case) -> Steps:
    """One inference: reasoning, then agent and step (AgenTracer, and Who&When's first method)."""
    if not case.fits(case.view.steps()):
        return (yield from windowed(case))
    question = case.question("ask_all_at_once")
    said = yield from case.blamed(
        case.body(), question, case.all_steps, samples=case.options.samples
    )
    return case.counted(said)


def step_by_step(case: Case) -> Steps:
    """Each step in turn, knowing what came before; the first one that is called decisive."""
    if not case.fits(case.view.steps()):
        return (yield from windowed(case))
    parts = case.view.parts()
    failed: list[Unreadable] = []
    for step in case.all_steps:
        question = case.question("ask_step", label=case.view.labels[step])
        # The prompts share all but their ends, so that a prefix cache reads each step once.
        body = case.body("growing", parts[: step + 1])
        said = yield from _chosen(case, body, question, _YES_NO)
        if isinstance(said, Unreadable):
            failed.append(said)
        elif said == "yes":
            asked = step + 1
            case.note(f"{asked} of {len(parts)} steps were asked about, one after the other")
            why = "the first step that the judge calls decisive"
            return Finding(candidates=(case.candidate(step, reason=why),))
    if len(failed) == len(parts):
        return case.unreadable(failed)
    return Finding(abstain_reason="the judge calls no step decisive, asked about one at a time")


def binary_search(case: Case) -> Steps:
    """The whole run in view, halve the range of steps until one is left."""
    if not case.fits(case.view.steps()):
        return (yield from windowed(case))
    low, high = 0, len(case.all_steps) - 1
    body, labels = case.body(), case.view.labels
    while low < high:
        middle = (low + high) // 2
        question = case.question(
            "ask_half",
            first=labels[low],
            middle=labels[middle],
            next=labels[middle + 1],
            last=labels[high],
        )
        said = yield from _chosen(case, body, question, _HALVES)
        if isinstance(said, Unreadable):
            return case.unreadable([said])
        low, high = (low, middle) if said == "first" else (middle + 1, high)
    return Finding(candidates=(case.candidate(low, reason="left over by halving the run"),))


def rerank(case: Case) -> Steps:
    """The embedded ranker suspects a few steps, and the judge decides among them."""
    ranked = EmbeddedBackend().attribute(case.view.run)
    case.versions.update(ranked.versions)
    shortlist = list(dict.fromkeys(one.step for one in ranked.candidates))[:_SHORTLIST]
    if not shortlist:
        return (yield from all_at_once(case))
    labels = " ".join(case.view.labels[step] for step in shortlist)
    question = case.question("ask_shortlist", labels=labels)
    parts = None
    if not case.fits(case.view.steps()):
        parts = surroundings(case, {step: case.view.parts()[step] for step in shortlist})
        shown = sorted({part.step for part in parts})
        case.note(f"the run does not fit: of its steps the judge saw {shown}, some in part")
    said = yield from case.blamed(
        case.body(parts=parts), question, shortlist, samples=case.options.samples
    )
    return case.counted(said, rest=shortlist, why="on the shortlist of the embedded ranker")


def _chosen(
    case: Case, body: str, question: str, choices: tuple[str, ...]
) -> Generator[list[Request], list[Reply], Answer | str | Unreadable]:
    request = case.choice_request(body, question, choices)
    said = yield from case.asked(
        [request], lambda _, text: answers.parse_choice(case.style, text, choices)
    )
    return said[0][0] if said[0] else Unreadable("the model wrote nothing", "")
