"""What speaks for a candidate, in words and with a verbatim quote.

`explain` takes the features that really lifted a step's score and says what they mean, with what
was found where that can be shown. `evidence` is the account of the rule list. Which step is
suspected is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from agentracer.attribution.embedded.model.catalogue import CATALOGUE
from agentracer.attribution.embedded.model.features import Features
from agentracer.attribution.embedded.model.ranker import Ranking, system_row
from agentracer.attribution.embedded.rule_list import FEW_FACTS
from agentracer.attribution.embedded.text.lexicon import CLASSES
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.tokens import tokens
from agentracer.verdict import Evidence

__all__ = ["answer_source", "evidence", "explain"]

_QUOTE = 160  # characters
_LONGEST_ANSWER = 200  # characters; a whole paragraph is never repeated word by word
_EXAMPLES = 4  # facts named in one piece of evidence
_SHOWN = 4  # pieces of evidence for a candidate
_TELLING = 0.05  # log odds from which a feature is worth mentioning
_FAMILIES = (
    ("answer", "first answer", "holds answer", "end rests on it", "used later"),
    ("new facts", "new words", "figures nobody gave", "first figures nobody gave", "length",
     "relative length"),
    ("code", "first code", "code lines", "success follows"),
    ("failure follows", "first failure follows"),
    ("invents", "first invents", "makes facts up", "first makes facts up"),
    ("task words", "task facts"),
    ("worker turn 1", "worker turn 2", "worker turn 3", "worker turns left", "own first turn",
     "is worker", "last worker turn", "only few worker turns", "rare worker"),
    ("is deliberation", "deliberation 1"),
    ("is instruction", "instruction 1"),
)  # fmt: skip
_FAMILY = {name: family[0] for family in _FAMILIES for name in family}


def explain(features: Features, ranking: Ranking, index: int) -> tuple[str, tuple[Evidence, ...]]:
    """Why a step is suspected: a sentence, and what was found, the weightiest first."""
    row = features.row(index)
    if ranking.model.knows_names:
        row |= system_row(features, index)
    lifts = ranking.contributions(row)
    found: list[Evidence] = []
    families: set[str] = set()
    for name, lift in lifts.items():
        says = _words(name)
        family = _FAMILY.get(name, name.removeprefix("first "))
        # Only what the step has is shown: the lack of something lifts too, but is hard to see.
        if lift < _TELLING or not says or not row.get(name) or family in families:
            continue
        families.add(family)
        found.append(_shown(features, index, name, says))
        if len(found) == _SHOWN:
            break
    if not found:
        return "nothing in particular speaks for this step", ()
    return f"this step {found[0].says}", tuple(found)


def _words(name: str) -> str:
    """What a feature says of a step."""
    known = CATALOGUE.get(name)
    if known is not None:
        return known.says
    if name.startswith("agent: "):
        return "is of the agent and turn that often erred in the labelled runs of this system"
    return "has a place where the labelled runs of this system often went wrong"


def _shown(features: Features, index: int, name: str, says: str) -> Evidence:
    """One piece of evidence, with what was found where there is something to show."""
    detail = _DETAILS.get(name)
    if detail is not None:
        return detail(features, index, says)
    note = features.notes[index].get(name.removeprefix("first "))
    if note is None or not note.detail:
        return Evidence(step=index, says=says)
    text = features.run.text(index)
    quoted = note.detail.split(",", 1)[0]
    quote = _line_at(text, text.find(quoted)) if quoted in text else ""
    return Evidence(step=index, says=f"{says}: {note.detail}", quote=quote)


def _by_rule(features: Features, index: int, says: str) -> Evidence:
    """Name the rule where it names the step; further down its list it only says where to look."""
    if features.rule is None or features.place(index) > 1:
        place = f"it is number {features.place(index)} on their list"
        return Evidence(step=index, says=f"{says}: {place}")
    return Evidence(step=index, says=f"{says}: {features.rule.because}")


def _holds_answer(features: Features, index: int, says: str) -> Evidence:
    """Quote the answer where the step holds it word by word."""
    answer = (features.run.outcome.answer or "").strip()
    whole = _answer_pattern(features.signals)
    text = features.run.text(index)
    found = whole.search(text) if whole else None
    if found is not None:
        says = f"holds the final answer {answer!r}"
        return Evidence(step=index, says=says, quote=_line_at(text, found.start()))
    if features.reading.stated:
        return Evidence(step=index, says=f"holds parts of the final answer {answer[:_QUOTE]!r}")
    return Evidence(step=index, says="holds figures or names of the conclusion of the run")


def _facts(features: Features, index: int, says: str) -> Evidence:
    examples = features.reading.steps[index].examples
    count = features.reading.steps[index].new
    if not examples:
        return Evidence(step=index, says=says)
    text = features.run.text(index)
    some = ", ".join(examples) + (", …" if count > len(examples) else "")
    quote = _line_at(text, _place_of(examples, text))
    return Evidence(step=index, says=f"{says}: {some}", quote=quote)


def _code(features: Features, index: int, says: str) -> Evidence:
    return Evidence(step=index, says=says, quote=_code_line(features.run.text(index)))


def _failure(features: Features, index: int, says: str) -> Evidence:
    after = features.failure_after(index)
    if after is None:
        return Evidence(step=index, says=says)
    text = features.run.text(after)
    place = max(text.find("Error"), text.find("exitcode"))
    return Evidence(step=after, says=f"{says} at step {after}", quote=_line_at(text, place))


def _admission(word_class: str) -> Callable[[Features, int, str], Evidence]:
    """Quote the first word of a class of the lexicon."""

    def show(features: Features, index: int, says: str) -> Evidence:
        text = features.run.steps[index].content
        words = CLASSES[word_class] - tokens(features.run.task).words
        for match in re.finditer(r"[^\W\d_]{2,}", text):
            if match[0].lower() in words:
                quote = _line_at(text, match.start())
                return Evidence(step=index, says=f"{says} ('{match[0]}')", quote=quote)
        return Evidence(step=index, says=says)

    return show


def _sum(features: Features, index: int, says: str) -> Evidence:
    wrong = features.reading.steps[index].sums[0]
    text = features.run.text(index)
    quote = wrong.text if wrong.text in text else ""
    return Evidence(step=index, says=f"{says}: it comes to {wrong.value:g}", quote=quote)


def _slip(features: Features, index: int, says: str) -> Evidence:
    read = features.reading.steps[index]
    stated, source = read.slip or ("", "")
    text = features.run.text(index)
    says = f"{says}: it says {stated}, the result at step {read.source} says {source}"
    return Evidence(step=index, says=says, quote=_line_at(text, text.find(stated)))


def _change(features: Features, index: int, says: str) -> Evidence:
    change = features.reading.steps[index].change
    if change is None:
        return Evidence(step=index, says=says)
    text = features.run.text(index)
    says = (
        f"says that '{change.name}' is {change.value}; at step {change.step} it was {change.before}"
    )
    return Evidence(step=index, says=says, quote=_line_at(text, text.find(change.name)))


def _argument(features: Features, index: int, says: str) -> Evidence:
    figure = features.reading.steps[index].invented_argument
    text = features.run.text(index)
    return Evidence(
        step=index, says=f"{says}: {figure}", quote=_line_at(text, text.find(str(figure)))
    )


def _hands_answer_out(features: Features, index: int, says: str) -> Evidence:
    """Quote the first part of the answer, or of the conclusion, that a briefing holds."""
    text = features.run.text(index)
    parts = sorted(features.reading.sought & tokens(text).all, key=lambda part: (-len(part), part))
    if not features.reading.stated:
        says = says.replace("answer", "facts of the last conclusion")
    some = ", ".join(parts[:_EXAMPLES]) + (", …" if len(parts) > _EXAMPLES else "")
    place = _place_of(parts, text)
    return Evidence(step=index, says=f"{says}: {some}", quote=_line_at(text, place))


def _place_of(facts: Sequence[str], text: str) -> int:
    """Where the first of some facts that is found word by word stands in a text; -1 if none is."""
    places = (text.lower().find(fact) for fact in facts)
    return next((place for place in places if place >= 0), -1)


def _brings_answer(features: Features, index: int, says: str) -> Evidence:
    if answer_source(features.signals) == index:
        return _answer(features.signals, index)
    if features.reading.stated:
        answer = (features.run.outcome.answer or "").strip()[:_QUOTE]
        return Evidence(step=index, says=f"{says} {answer!r} or a part of it")
    return Evidence(step=index, says=says.replace("answer", "facts of the last conclusion"))


_DETAILS: dict[str, Callable[[Features, int, str], Evidence]] = {
    "new facts": _facts,
    "figures nobody gave": _facts,
    "first figures nobody gave": _facts,
    "code": _code,
    "first code": _code,
    "code lines": _code,
    "hard-coded data": _code,
    "unfilled placeholder": _code,
    "broken code": _code,
    "failure follows": _failure,
    "first failure follows": _failure,
    "invents": _admission("invents"),
    "first invents": _admission("invents"),
    "fails": _admission("fails"),
    "manual": _admission("manual"),
    "wrong sum": _sum,
    "misreads a result": _slip,
    "changes a value": _change,
    "invented argument": _argument,
    "rule list": _by_rule,
    "holds answer": _holds_answer,
    "answer": _brings_answer,
    "first answer": _brings_answer,
    "briefing holds answer": _hands_answer_out,
}


def evidence(signals: Signals, index: int, source: int | None) -> tuple[Evidence, ...]:
    """What is observable about step `index`; `source` is the result of `answer_source`."""
    found = [*_own(signals, index), *_failed(signals, index)]
    if index == source:
        found.append(_answer(signals, index))
    return tuple(found)


def answer_source(signals: Signals) -> int | None:
    """The first step after the task was given that holds the final answer word by word."""
    whole = _answer_pattern(signals)
    if whole is None:
        return None
    for step, text in zip(signals.run.steps, signals.texts, strict=True):
        tells = step.agent not in signals.users and step.index != signals.briefing
        if tells and whole.search(text):
            return step.index
    return None


def _answer_pattern(signals: Signals) -> re.Pattern[str] | None:
    answer = (signals.run.outcome.answer or "").strip()
    if len(answer) > _LONGEST_ANSWER or not any(map(str.isalnum, answer)):
        return None
    return re.compile(rf"(?<![\w.,=&-]){re.escape(answer)}(?![\w=&-]|[.,]\d)", re.IGNORECASE)


def _own(signals: Signals, index: int) -> Iterator[Evidence]:
    step, text = signals.run.steps[index], signals.texts[index]
    if step.error is not None:
        yield Evidence(step=index, says=f"raised {step.error.type}: {step.error.message[:_QUOTE]}")
    if signals.code[index]:
        act = "calls a tool" if step.tool_calls else "writes code"
        yield Evidence(step=index, says=act, quote=_code_line(text))
    facts = signals.new_facts[index]
    if index != signals.briefing and len(facts) >= FEW_FACTS:
        some = ", ".join(facts[:4]) + (", …" if len(facts) > 4 else "")
        says = f"brings {len(facts)} figures or names that nothing before it held: {some}"
        yield Evidence(step=index, says=says, quote=_line_at(text, text.find(facts[0])))


def _failed(signals: Signals, index: int) -> Iterator[Evidence]:
    if not signals.code[index]:
        return
    after = index if index in signals.failures else index + 1
    if after in signals.failures and signals.run.steps[index].error is None:
        text = signals.texts[after]
        yield Evidence(
            step=after, says="its execution failed", quote=_line_at(text, text.find("Error"))
        )


def _answer(signals: Signals, index: int) -> Evidence:
    answer = (signals.run.outcome.answer or "").strip()
    whole, text = _answer_pattern(signals), signals.texts[index]
    found = whole.search(text) if whole else None
    says = f"the final answer {answer!r} first appears at step {index}"
    return Evidence(step=index, says=says, quote=_line_at(text, found.start() if found else 0))


def _line_at(text: str, position: int) -> str:
    """The line of `text` around a position (its first line, if negative); cut, but verbatim."""
    position = max(position, 0)
    start = text.rfind("\n", 0, position) + 1
    if position - start > _QUOTE // 2:
        start = position
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return text[start : min(end, start + _QUOTE)].strip()


def _code_line(text: str) -> str:
    """The first line inside the first code block; without one, of the text."""
    fence = text.find("```")
    start = text.find("\n", fence) + 1 if fence >= 0 else 0
    lines = (line.strip() for line in text[start : start + 2_000].split("\n"))
    return next((line for line in lines if line), "")[:_QUOTE]
