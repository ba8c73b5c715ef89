"""Why the ranker suspects a step, in words and with verbatim quotes.

`explain` takes the features that lifted the score of a step and says what they mean, with what was
found where there is something to show. Which step is suspected is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from agentracer.attribution.embedded.kinds import Feature
from agentracer.attribution.embedded.model import features as shape
from agentracer.attribution.embedded.model.catalogue import AGENT, CATALOGUE, is_of_one_system
from agentracer.attribution.embedded.model.features import FIRST, Features
from agentracer.attribution.embedded.model.ranker import Ranking, system_row
from agentracer.attribution.embedded.text.lexicon import WORD_CLASSES
from agentracer.attribution.embedded.text.quotes import (
    LONGEST_QUOTE,
    answer_pattern,
    answer_source,
    code_line,
    first_place,
    line_at,
)
from agentracer.attribution.embedded.text.system_conventions import ERROR_MARKS
from agentracer.attribution.embedded.text.tokens import tokens
from agentracer.verdict import Evidence

__all__ = ["answer_evidence", "decisive_evidence", "decisive_step", "explain"]

_EXAMPLES = 4  # facts named in one piece of evidence
_SHOWN = 4  # pieces of evidence for a candidate
_LEAST_LIFT = 0.05  # log odds from which a feature is worth mentioning
_OFTEN_WRONG_TURN = "is of an agent and turn that often erred in the labelled runs of this system"
_OFTEN_WRONG_NUMBER = "has a number at which the labelled runs of this system often went wrong"

_Show = Callable[[Features, int, str], Evidence]


def explain(features: Features, ranking: Ranking, index: int) -> tuple[str, tuple[Evidence, ...]]:
    """Explain why a step is suspected.

    Returns:
        A sentence, and what was found, the weightiest first.
    """
    evidence = decisive_evidence(features, index)
    row = features.row(index)
    if ranking.model.is_adapted:
        row |= system_row(features, index)
    topics: set[str] = {
        kind.topic or kind.name for kind in features.context.findings[index] if kind.decides
    }
    for name, lift in ranking.contributions(row).items():
        wording, topic = _wording(name)
        # Only what the step has is shown: the lack of something lifts too, but is hard to see.
        if lift < _LEAST_LIFT or not wording or not row.get(name) or topic in topics:
            continue
        topics.add(topic)
        evidence.append(_evidence(features, index, name, wording))
        if len(evidence) >= _SHOWN:
            break
    if not evidence:
        return "no single observation stands out at this step", ()
    return f"this step {evidence[0].says}", tuple(evidence)


def decisive_evidence(features: Features, index: int) -> list[Evidence]:
    """The contradictions of a step, each quoted on both sides."""
    run, evidence = features.context.run, []
    for kind, finding in features.context.findings[index].items():
        if not kind.decides:
            continue
        quote = finding.quote if finding.quote in run.text(index) else ""
        says = f"{kind.wording}: {finding.detail}"
        evidence.append(Evidence(step=index, says=says, quote=quote))
        source = finding.source
        if source is not None and source.step is not None:
            line = source.line if source.line in run.text(source.step) else ""
            evidence.append(
                Evidence(step=source.step, says=f"what {source.place} says", quote=line)
            )
    return evidence


def decisive_step(features: Features) -> int | None:
    """The first step of a run with a contradiction; None if there is none."""
    return next(
        (
            index
            for index, findings in enumerate(features.context.findings)
            if any(kind.decides for kind in findings)
        ),
        None,
    )


def _wording(name: str) -> tuple[str, str]:
    """What a feature means, and its topic."""
    if not is_of_one_system(name):
        feature = CATALOGUE[name]
        return feature.wording, feature.topic or feature.name
    if name.startswith(AGENT):
        return _OFTEN_WRONG_TURN, name
    return _OFTEN_WRONG_NUMBER, name


def _evidence(features: Features, index: int, name: str, wording: str) -> Evidence:
    """One piece of evidence, with what was found where there is something to show."""
    feature = CATALOGUE.get(name)
    show = _SHOW.get(feature) if feature is not None else None
    if show is not None:
        return show(features, index, wording)
    by_name = {kind.name: finding for kind, finding in features.context.findings[index].items()}
    finding = by_name.get(name.removeprefix(FIRST))
    if finding is None or not finding.detail:
        return Evidence(step=index, says=wording)
    text = features.context.run.text(index)
    quote = finding.quote if finding.quote in text else ""
    if not quote and finding.anchor in text:
        quote = line_at(text, text.find(finding.anchor))
    return Evidence(step=index, says=f"{wording}: {finding.detail}", quote=quote)


def _rule(features: Features, index: int, wording: str) -> Evidence:
    """Name the rule where it names the step; else the rank that the list gives it."""
    context = features.context
    rank = context.rule_rank(index)
    detail = f"rank {rank}" if context.rule is None or rank > 1 else context.rule.because
    return Evidence(step=index, says=f"{wording}: {detail}")


def _contains_answer(features: Features, index: int, wording: str) -> Evidence:  # noqa: ARG001 - one signature for all
    """Quote the answer where the step contains it word by word."""
    context = features.context
    answer = (context.run.outcome.answer or "").strip()
    pattern = answer_pattern(answer)
    text = context.run.text(index)
    match = pattern.search(text) if pattern else None
    if match is not None:
        says = f"contains the final answer {answer!r}"
        return Evidence(step=index, says=says, quote=line_at(text, match.start()))
    if context.facts.has_answer:
        says = f"contains parts of the final answer {answer[:LONGEST_QUOTE]!r}"
        return Evidence(step=index, says=says)
    return Evidence(step=index, says="contains figures or names of the conclusion of the run")


def _introduces_answer(features: Features, index: int, wording: str) -> Evidence:
    context = features.context
    if answer_source(context.signals) == index:
        return answer_evidence(context.run.outcome.answer, context.run.text(index), index)
    if context.facts.has_answer:
        answer = (context.run.outcome.answer or "").strip()[:LONGEST_QUOTE]
        return Evidence(step=index, says=f"{wording} {answer!r} or a part of it")
    return Evidence(step=index, says=_of_conclusion(wording))


def answer_evidence(answer: str | None, text: str, index: int) -> Evidence:
    """That the final answer first appears at a step, quoted from the text of the step."""
    answer = (answer or "").strip()
    pattern = answer_pattern(answer)
    match = pattern.search(text) if pattern else None
    says = f"the final answer {answer!r} first appears at step {index}"
    return Evidence(step=index, says=says, quote=line_at(text, match.start() if match else 0))


def _briefing_contains_answer(features: Features, index: int, wording: str) -> Evidence:
    """Quote the first part of the answer, or of the conclusion, that a briefing contains."""
    facts = features.context.facts
    text = features.context.run.text(index)
    held = facts.answer_beyond_task & tokens(text).all
    parts = sorted(held, key=lambda part: (-len(part), part))
    says = wording if facts.has_answer else _of_conclusion(wording)
    quote = line_at(text, first_place(parts, text))
    return Evidence(step=index, says=f"{says}: {_some(parts, len(parts))}", quote=quote)


def _of_conclusion(wording: str) -> str:
    """The wording where the run states no answer, and its last conclusion is taken for one."""
    return wording.replace("answer", "facts of the last conclusion")


def _some(facts: Sequence[str], count: int) -> str:
    """The first few facts; an ellipsis where there are more."""
    some = facts[:_EXAMPLES]
    return ", ".join(some) + (", …" if count > len(some) else "")


def _new_facts(features: Features, index: int, wording: str) -> Evidence:
    facts = features.context.facts.steps[index]
    if not facts.examples:
        return Evidence(step=index, says=wording)
    text = features.context.run.text(index)
    quote = line_at(text, first_place(facts.examples, text))
    says = f"{wording}: {_some(facts.examples, facts.new_facts)}"
    return Evidence(step=index, says=says, quote=quote)


def _code(features: Features, index: int, wording: str) -> Evidence:
    return Evidence(step=index, says=wording, quote=code_line(features.context.run.text(index)))


def _failure(features: Features, index: int, wording: str) -> Evidence:
    after = features.context.failure_after(index)
    if after is None:
        return Evidence(step=index, says=wording)
    text = features.context.run.text(after)
    quote = line_at(text, max(text.find(mark) for mark in ERROR_MARKS))
    return Evidence(step=after, says=f"{wording} at step {after}", quote=quote)


def _first_word(word_class: str) -> _Show:
    """Quote the first word of a class of the lexicon."""

    def show(features: Features, index: int, wording: str) -> Evidence:
        run = features.context.run
        text = run.steps[index].content
        words = WORD_CLASSES[word_class] - tokens(run.task).words
        for match in re.finditer(r"[^\W\d_]{2,}", text):
            if match[0].lower() in words:
                quote = line_at(text, match.start())
                return Evidence(step=index, says=f"{wording} ('{match[0]}')", quote=quote)
        return Evidence(step=index, says=wording)

    return show


_SHOW: dict[Feature, _Show] = {
    shape.NEW_FACTS: _new_facts,
    shape.UNSOURCED_FIGURES: _new_facts,
    shape.FIRST_UNSOURCED_FIGURES: _new_facts,
    shape.CODE: _code,
    shape.FIRST_CODE: _code,
    shape.CODE_LINES: _code,
    shape.HARD_CODED_DATA: _code,
    shape.UNFILLED_PLACEHOLDER: _code,
    shape.BROKEN_CODE: _code,
    shape.FAILURE_FOLLOWS: _failure,
    shape.FIRST_FAILURE_FOLLOWS: _failure,
    shape.INVENTION_WORDS: _first_word("invents"),
    shape.FIRST_INVENTION_WORDS: _first_word("invents"),
    shape.FAILURE_WORDS: _first_word("fails"),
    shape.MANUAL_WORDS: _first_word("manual"),
    shape.RULE_LIST: _rule,
    shape.CONTAINS_ANSWER: _contains_answer,
    shape.INTRODUCES_ANSWER: _introduces_answer,
    shape.FIRST_INTRODUCES_ANSWER: _introduces_answer,
    shape.BRIEFING_CONTAINS_ANSWER: _briefing_contains_answer,
}
"""How the evidence for a feature is shown, where its wording alone does not show it."""
