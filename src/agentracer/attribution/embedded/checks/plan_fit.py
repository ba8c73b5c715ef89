"""Measure how well the parts that a task was divided into fit the task.

No language is understood: put together, the parts of a plan should use the figures of the task, all
of its parts, and its words in their order. What is measured is a deficit, 0 for a perfect fit.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from agentracer.attribution.embedded.kinds import FindingKind, FindingKinds
from agentracer.attribution.embedded.text.assignments import formula_value, variable_names
from agentracer.attribution.embedded.text.lexicon import STOPWORDS
from agentracer.attribution.embedded.text.system_conventions import (
    CODE_SPAN,
    FIGURES_OF_ANY_TASK,
    SPELLED_FIGURES,
)

__all__ = ["DEFICITS", "TaskFacts", "deficits"]

DEFICITS = FindingKinds()
"""What is measured of a plan."""

_UNLIKE_TASK = DEFICITS.against("plan_unlike_task", "plans something else than the task asks for")
_FOREIGN_WORDS = DEFICITS.against(
    "plan_words_not_in_task", "plans in words that the task does not use"
)
_FIGURES_OMITTED = DEFICITS.against(
    "plan_omits_figures", "leaves figures of the task out of its plan"
)
_FOREIGN_FIGURES = DEFICITS.against(
    "plan_figures_not_in_task", "plans with figures that the task does not state"
)
_UNUSED_PARTS = DEFICITS.against("plan_unused_parts", "plans parts that no other part uses")
_IDLE_PARTS = DEFICITS.against("plan_idle_parts", "plans a part that computes nothing")
_IMPLAUSIBLE_RESULTS = DEFICITS.against(
    "plan_implausible_results", "plans calculations that give fractions or negative values"
)
_REQUIREMENTS_OMITTED = DEFICITS.against(
    "plan_omits_requirements", "leaves requirements of the task out of its plan"
)

_WORD = re.compile(r"[^\W\d_]+(?:'s)?")
_FIGURE = re.compile(r"(?<![\w.])(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
_ITEM = re.compile(r"(?m)^[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+(\S[^\n]*)$")
_LONGEST_TASK = 20_000  # characters that are looked at
_LONGEST_PLAN = 4_000  # characters of a plan whose parts were put together
_MOST_REQUIREMENTS = 60  # of a task
_STEM = 5  # letters by which `returned` and `returns` are the same
_COVERED = 0.5  # share of the words of a requirement from which a plan covers it


class TaskFacts:
    """The words, figures and listed requirements of a task.

    Attributes:
        words: in lower case.
        pairs: of neighbouring words.
        figures: as numbers, in one spelling.
        requirements: the stems of each listed item.
        spelled: figures that words of the task stand for.
    """

    def __init__(self, text: str) -> None:
        text = text[:_LONGEST_TASK]
        words = [word.lower() for word in _WORD.findall(text)]
        self.words = frozenset(words)
        self.pairs = frozenset(itertools.pairwise(words))
        self.figures = frozenset(_figures(text))
        items = (_stems(item) for item in _ITEM.findall(text)[:_MOST_REQUIREMENTS])
        self.requirements = [item for item in items if len(item) > 1]
        self.spelled = frozenset(SPELLED_FIGURES[w] for w in words if w in SPELLED_FIGURES)


def _figures(text: str) -> list[str]:
    return [f"{float(match.replace(',', '')):g}" for match in _FIGURE.findall(text)]


def deficits(plan: Mapping[str, str], task: TaskFacts) -> dict[FindingKind, float]:
    """Measure a plan.

    A part that names code (`write `f(x)`. ...`) is an order for work: it need not repeat the words
    of the task, and what it names are no other parts.

    Args:
        plan: the names of its parts and how each is found, in order.
        task: what it is a plan for.

    Returns:
        The deficits, of all kinds in `DEFICITS`.
    """
    variables = dict.fromkeys(plan, 1.0)
    formulas = {n: text for n, text in plan.items() if formula_value(text, variables) is not None}
    orders = {name: text for name, text in plan.items() if CODE_SPAN.search(text)}
    texts = {n: text for n, text in plan.items() if n not in formulas and n not in orders}
    words = [w.lower() for text in texts.values() for w in _WORD.findall(text) if len(w) > 1]
    content_words = [word for word in words if word not in STOPWORDS]
    foreign = sum(word not in task.words for word in content_words) / max(len(content_words), 1)
    omitted_figures, foreign_figures = _figure_deficits(list(formulas.values()), task)
    return {
        _UNLIKE_TASK: _unlike_task(texts, task) if texts else 0.0,
        _FOREIGN_WORDS: foreign,
        _FIGURES_OMITTED: omitted_figures,
        _FOREIGN_FIGURES: foreign_figures,
        _UNUSED_PARTS: _unused_parts({n: t for n, t in plan.items() if n not in orders}),
        _IDLE_PARTS: sum(map(_is_idle, formulas.values())) / max(len(formulas), 1),
        _IMPLAUSIBLE_RESULTS: _implausible_results(formulas, task),
        _REQUIREMENTS_OMITTED: _omitted_requirements([*texts.values(), *orders.values()], task),
    }


def _stems(text: str) -> frozenset[str]:
    """The beginnings of the content words of a text, without the code in it."""
    words = (word.lower() for word in _WORD.findall(CODE_SPAN.sub(" ", text)))
    return frozenset(w[:_STEM] for w in words if len(w) > 2 and w not in STOPWORDS)


def _omitted_requirements(texts: list[str], task: TaskFacts) -> float:
    """Share of the requirements of a task of whose words the plan uses too few."""
    if not texts or not task.requirements:
        return 0.0
    held = _stems("\n".join(texts))
    omitted = sum(len(item & held) < _COVERED * len(item) for item in task.requirements)
    return omitted / len(task.requirements)


def _unlike_task(texts: Mapping[str, str], task: TaskFacts) -> float:
    """Share of neighbouring words, with parts put in for their names, that the task lacks."""
    last = list(texts.values())[-1]
    whole = last
    for _ in range(len(texts)):
        expanded = re.sub(r"\b[A-Z]\b", lambda m: texts.get(m[0], m[0]), whole)[:_LONGEST_PLAN]
        if expanded == whole:
            break
        whole = expanded
    if whole == last and len(texts) > 1:
        whole = " ".join(texts.values())[:_LONGEST_PLAN]
    words = [word.lower() for word in _WORD.findall(whole)]
    pairs = list(itertools.pairwise(words))
    return sum(pair not in task.pairs for pair in pairs) / max(len(pairs), 1)


def _figure_deficits(formulas: list[str], task: TaskFacts) -> tuple[float, float]:
    """Shares of the figures of the task that are not used, and of those used that it lacks."""
    used = {figure for text in formulas for figure in _figures(text)}
    if not used:
        return 0.0, 0.0
    omitted = task.figures - used
    allowed = task.figures | task.spelled | FIGURES_OF_ANY_TASK
    foreign = {f for f in used - allowed if f"{float(f) * 100:g}" not in task.figures}
    return len(omitted) / max(len(task.figures), 1), len(foreign) / len(used)


def _unused_parts(plan: Mapping[str, str]) -> float:
    """Share of the parts, but for the last, that no other part refers to."""
    names = list(plan)
    referred = {
        other for name, text in plan.items() for other in variable_names(text) if other != name
    }
    if not referred:
        return 0.0  # a plan of parts that do not refer to each other
    return sum(name not in referred for name in names[:-1]) / max(len(names) - 1, 1)


def _is_idle(formula: str) -> bool:
    """Whether a formula is a lone name or figure."""
    return re.search(r"[-+*/×÷]", formula.strip("-+ ")) is None


def _implausible_results(formulas: Mapping[str, str], task: TaskFacts) -> float:
    """Share of the formulas with a negative value, or a fraction where the task has none."""
    values: dict[str, float] = {}
    implausible = 0
    whole = all("." not in figure for figure in task.figures)
    for name, text in formulas.items():
        value = formula_value(text, values)
        if value is None:
            continue
        values[name] = value
        implausible += value < 0 or (whole and abs(value - round(value)) > 1e-6)
    return implausible / max(len(formulas), 1)
