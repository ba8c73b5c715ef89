"""How well the parts that a task was taken apart into fit the task.

Needs no understanding: put together, the parts of a plan should use the figures of the task, all of
its parts, and its words in their order. What is measured is a deficit, 0 for a perfect fit.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from agentracer.attribution.embedded.text.assignments import evaluate, names_in
from agentracer.attribution.embedded.text.lexicon import STOPWORDS

__all__ = ["DEFICITS", "Task", "deficits"]

DEFICITS = (
    "unlike the task",
    "words not of the task",
    "figures left out",
    "figures not of the task",
    "parts not used",
    "parts that do nothing",
    "broken results",
    "requirements left out",
)
"""What is measured of a plan, in this order."""

_WORD = re.compile(r"[^\W\d_]+(?:'s)?")
_FIGURE = re.compile(r"(?<![\w.])(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
_SPELLED = """zero:0 one:1 two:2 three:3 four:4 five:5 six:6 seven:7 eight:8 nine:9 ten:10 eleven:11
twelve:12 half:2 twice:2 double:2 triple:3 thrice:3 dozen:12 quarter:4 third:3 week:7 hour:60
minutes:60 year:12"""
_WORDS_AS_FIGURES = dict(pair.split(":") for pair in _SPELLED.split())
_LONGEST = 4_000  # characters of a plan that was put together
_ITEM = re.compile(r"(?m)^[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+(\S[^\n]*)$")
_CODE_SPAN = re.compile(r"`[^`\n]*`")
_ITEMS = 60  # requirements of a task that are looked for
_STEM = 5  # letters by which `returned` and `returns` are the same
_TAKEN_UP = 0.5  # share of the words of a requirement from which a plan takes it up
_HARMLESS = frozenset({"1", "100", "2"})  # figures that a formula may bring without the task


class Task:
    """The words and figures of a task, and the words of each item of its lists."""

    def __init__(self, text: str) -> None:
        words = [word.lower() for word in _WORD.findall(text[:20_000])]
        self.words = frozenset(words)
        self.pairs = frozenset(itertools.pairwise(words))
        self.figures = frozenset(_figures(text[:20_000]))
        items = (stems(item) for item in _ITEM.findall(text[:20_000])[:_ITEMS])
        self.requirements = [item for item in items if len(item) > 1]
        self.spelled = frozenset(_WORDS_AS_FIGURES[w] for w in words if w in _WORDS_AS_FIGURES)


def _figures(text: str) -> list[str]:
    return [_normal(match) for match in _FIGURE.findall(text)]


def _normal(figure: str) -> str:
    return f"{float(figure.replace(',', '')):g}"


def deficits(plan: Mapping[str, str], task: Task) -> list[float]:
    """The figures of `DEFICITS` for a plan: names of its parts and how each is found, in order.

    A part that names code (`write `f(x)`. ...`) is an order for work: it need not repeat the words
    of the task, and what it names are no other parts.
    """
    sums = {
        name for name, text in plan.items() if evaluate(text, dict.fromkeys(plan, 1.0)) is not None
    }
    orders = {name for name, text in plan.items() if _CODE_SPAN.search(text)}
    texts = {name: text for name, text in plan.items() if name not in sums | orders}
    words = [w.lower() for text in texts.values() for w in _WORD.findall(text) if len(w) > 1]
    telling = [word for word in words if word not in STOPWORDS]
    alien = sum(word not in task.words for word in telling) / max(len(telling), 1)
    return [
        _unlike(texts, task) if texts else 0.0,
        alien,
        *_of_figures([plan[name] for name in sums], task),
        _unused({name: text for name, text in plan.items() if name not in orders}),
        sum(_idle(plan[name]) for name in sums) / max(len(sums), 1),
        _broken({name: plan[name] for name in plan if name in sums}, task),
        _left_out(texts | {name: plan[name] for name in plan if name in orders}, task),
    ]


def stems(text: str) -> frozenset[str]:
    """The beginnings of the telling words of a text, without the code in it."""
    words = (word.lower() for word in _WORD.findall(_CODE_SPAN.sub(" ", text)))
    return frozenset(w[:_STEM] for w in words if len(w) > 2 and w not in STOPWORDS)


def _left_out(texts: Mapping[str, str], task: Task) -> float:
    """Share of the requirements that a task lists of whose words the plan takes up too few."""
    if not texts or not task.requirements:
        return 0.0
    held = stems("\n".join(texts.values()))
    missed = sum(len(item & held) < _TAKEN_UP * len(item) for item in task.requirements)
    return missed / len(task.requirements)


def _unlike(texts: Mapping[str, str], task: Task) -> float:
    """Share of neighbouring words, with parts put in for their names, that the task has not."""
    last = list(texts.values())[-1]
    whole = last
    for _ in range(len(texts)):
        grown = re.sub(r"\b[A-Z]\b", lambda m: texts.get(m[0], m[0]), whole)[:_LONGEST]
        if grown == whole:
            break
        whole = grown
    if whole == last and len(texts) > 1:
        whole = " ".join(texts.values())[:_LONGEST]
    words = [word.lower() for word in _WORD.findall(whole)]
    pairs = list(itertools.pairwise(words))
    return sum(pair not in task.pairs for pair in pairs) / max(len(pairs), 1)


def _of_figures(sums: list[str], task: Task) -> tuple[float, float]:
    used = {figure for text in sums for figure in _figures(text)}
    if not used:
        return 0.0, 0.0
    left_out = task.figures - used
    known = task.figures | task.spelled | _HARMLESS
    alien = {f for f in used - known if f"{float(f) * 100:g}" not in task.figures}
    return len(left_out) / max(len(task.figures), 1), len(alien) / len(used)


def _unused(plan: Mapping[str, str]) -> float:
    """Share of the parts, but for the last, that no other part refers to."""
    names = list(plan)
    referred = {other for name, text in plan.items() for other in names_in(text) if other != name}
    if not referred:
        return 0.0  # a plan of parts that do not refer to each other
    return sum(name not in referred for name in names[:-1]) / max(len(names) - 1, 1)


def _idle(text: str) -> bool:
    """A sum that sums nothing up: a lone name or figure."""
    return re.search(r"[-+*/×÷]", text.strip("-+ ")) is None


def _broken(sums: Mapping[str, str], task: Task) -> float:
    """Share of the sums that come to a negative value or a fraction that the task does not need."""
    values: dict[str, float] = {}
    broken = 0
    whole = all("." not in figure for figure in task.figures)
    for name, text in sums.items():
        value = evaluate(text, values)
        if value is None:
            continue
        values[name] = value
        broken += value < 0 or (whole and abs(value - round(value)) > 1e-6)
    return broken / max(len(sums), 1)
