"""Compare the end of a run with the answer that its earlier steps had agreed on.

Two steps of different agents that conclude the same, or a step that concludes what a tool returned,
have an answer. Where the last message lacks it, or states another one, that message is reported,
with the steps that had it; so is a last message that is empty. Linear in the text of the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.checks.history import Mention, line_around
from agentracer.attribution.embedded.kinds import FindingKinds
from agentracer.attribution.embedded.text.quantities import figures, rounded, values
from agentracer.attribution.embedded.text.sentences import is_claim, sentences
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.system_conventions import CHAT_END
from agentracer.attribution.embedded.text.unwrap import without_code_and_logs
from agentracer.trace import Observed, Step

__all__ = ["KINDS", "check_answer"]

KINDS = FindingKinds()
"""What this check reports."""

_DROPPED = KINDS.decisive(
    "drops_answer",
    "ends the run without the answer that the steps before it agree on",
    detail="{answer} is concluded at {places} and missing here",
)
_CHANGED = KINDS.decisive(
    "changes_answer",
    "ends the run with another answer than the steps before it agree on",
    detail="it concludes {own}; {places} conclude {answer}",
)
_EMPTY_END = KINDS.decisive(
    "ends_with_nothing",
    "ends the run with an empty message",
    detail="step {place} had written text, and the run has no answer",
)

_CONCLUSION = re.compile(
    r"(?:\b(?:answer|result|solution|total|sum|conclusion)\b[^\n.;:=]{0,60}?"
    r"(?:\bis\b|\bare\b|\bcomes to\b|\bequals\b|[:=])"
    r"|\b(?:therefore|thus|hence|so|altogether|in total)\b[ ,][^\n.;]{0,80}?"
    r"(?:\b(?:is|are|has|have|pays?|costs?|earns?|needs?)\b|=)|\\boxed\{|####)",
    re.IGNORECASE,
)
_REACH = 80  # characters behind the words of a conclusion in which its figure stands
_LONGEST = 8_000  # characters of a step that are looked at, from its end
_LONGEST_RESULT = 2_000  # characters of a tool's result
_EMPTY_TOKENS = 8  # up to which a model's answer may be empty; more were not recorded as text
_SHOWN_PLACES = 3


@dataclass(frozen=True, slots=True)
class _Conclusion:
    """A figure that a step concludes with."""

    value: float
    text: str
    step: Step
    line: str


def check_answer(signals: Signals) -> FindingLog:
    """Compare the last message of a run with what the steps before it concluded.

    Args:
        signals: of the run.
    """
    run = signals.run
    findings = FindingLog(KINDS, len(run.steps))
    steps = [step for step in run.steps if step.index not in signals.quoting]
    if _ends_with_nothing(steps) and not (run.outcome.answer or "").strip():
        before = next(step for step in reversed(steps) if step.content.strip())
        source = Mention(before.index, False, "", before.content)
        findings.add(steps[-1].index, _EMPTY_END, place=before.index, source=source)
        return findings
    last = next((step for step in reversed(steps) if _is_message(step)), None)
    if last is None or last is not steps[-1] or last.tool_calls:
        return findings
    conclusions = [c for step in steps[:-1] if (c := _conclusion(step)) is not None]
    agreed = _agreed(conclusions, last) or _from_tool(run, conclusions, last)
    if not agreed or rounded(agreed[-1].value) in values(last.content):
        return findings
    answer = run.outcome.answer
    if answer is not None and rounded(agreed[-1].value) in values(answer):
        return findings
    _report(findings, last, agreed)
    return findings


def _report(findings: FindingLog, last: Step, agreed: list[_Conclusion]) -> None:
    first = agreed[-1]
    steps = _list([f"step {c.step.index}" for c in agreed[:_SHOWN_PLACES]])
    source = Mention(first.step.index, False, first.line, first.text)
    own = _conclusion(last)
    shown = {"answer": first.text, "places": steps, "source": source}
    if own is not None:
        findings.add(last.index, _CHANGED, quote=own.line, own=own.text, **shown)  # type: ignore[arg-type]
    elif not any(True for _ in figures(CHAT_END.sub("", last.content))):
        text = last.content.strip()
        findings.add(last.index, _DROPPED, quote=line_around(text, 0), **shown)  # type: ignore[arg-type]


def _agreed(conclusions: list[_Conclusion], last: Step) -> list[_Conclusion]:
    """The latest conclusions with one value, if they are of two agents and none differs later."""
    if not conclusions:
        return []
    same: list[_Conclusion] = []
    for conclusion in reversed(conclusions):
        if rounded(conclusion.value) != rounded(conclusions[-1].value):
            break
        same.append(conclusion)
    agents = {conclusion.step.agent for conclusion in same}
    return same[::-1] if len(agents) > 1 and agents != {last.agent} else []


def _from_tool(run: Observed, conclusions: list[_Conclusion], last: Step) -> list[_Conclusion]:
    """The latest conclusion, if a tool had returned it and the last message has no figure at all.

    Another figure in the last message may have been worked out from it.
    """
    if not conclusions or conclusions[-1].step.agent == last.agent:
        return []
    conclusion = conclusions[-1]
    returned = {
        rounded(value)
        for step in run.steps[: conclusion.step.index + 1]
        if step.agent == conclusion.step.agent
        for call in step.tool_calls
        if call.result is not None
        for value in values(str(call.result)[:_LONGEST_RESULT])
    }
    has_figure = any(True for _ in figures(last.content))
    return [conclusion] if rounded(conclusion.value) in returned and not has_figure else []


def _ends_with_nothing(steps: Sequence[Step]) -> bool:
    """Whether a model's last answer is empty, in a run whose texts were recorded."""
    if not steps or not any(step.content.strip() for step in steps):
        return False
    last = steps[-1]
    generated = last.usage is not None and (last.usage.output_tokens or 0) > _EMPTY_TOKENS
    silent = not last.content.strip() and not last.tool_calls and last.error is None
    return last.kind == "llm" and silent and not generated


def _is_message(step: Step) -> bool:
    return bool(CHAT_END.sub("", step.content).strip())


def _conclusion(step: Step) -> _Conclusion | None:
    """The figure of the last conclusion that a step draws."""
    text = without_code_and_logs(step.content[-_LONGEST:])
    conclusion = None
    for sentence in sentences(text):
        if not (is_claim(sentence.text) and _CONCLUSION.search(sentence.text)):
            continue
        figure = next(_figures_of_conclusion(sentence.text), None)
        if figure is not None:
            conclusion = _Conclusion(figure[0], figure[1], step, line_around(text, sentence.start))
    return conclusion


def _figures_of_conclusion(sentence: str) -> Iterator[tuple[float, str]]:
    """The figure of the last conclusion in a sentence: the last one of a calculation."""
    matches = list(_CONCLUSION.finditer(sentence))
    for match in reversed(matches):
        rest = sentence[match.end() : match.end() + _REACH]
        stated = list(figures(f"is {rest}".replace("{", " ").replace("}", " ")))
        if not stated:
            continue
        last = stated[-1] if "=" in rest else stated[0]
        yield last.value, last.text
        return


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
