"""Errors put into prose: figures, conclusions, constraints, units, sources.

Every change swaps one piece for another that is as usual in such texts, in both directions where
there are two, so that what was changed is not a sign of the change.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from typing import Final, TypeVar

from agentracer.replay.operators.base import Corruption, operator
from agentracer.replay.operators.places import Edit, corrupt_text, text_places
from agentracer.trace import Trace

__all__ = ["NUMBER", "another_figure"]

T = TypeVar("T")

_FENCE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?![\w])")
_ITEM_NUMBER: Final = re.compile(r"^[^\S\n]*\d+[.)]\s", re.MULTILINE)
_ITEM: Final = re.compile(
    r"^(?P<mark>(?:(?<!\n\n)\s{0,16}|[^\S\n]{0,16})(?:[-*•]|\d+[.)])\s++)(?P<text>.*\S.*)$",
    re.MULTILINE,
)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")

_OPPOSITES: Final = (
    ("is", "is not"), ("are", "are not"), ("can", "cannot"), ("does", "does not"),
    ("was", "was not"), ("will", "will not"), ("should", "should not"), ("must", "must not"),
    ("correct", "incorrect"), ("valid", "invalid"), ("true", "false"), ("True", "False"),
    ("yes", "no"), ("Yes", "No"), ("PASS", "FAIL"), ("passed", "failed"), ("passes", "fails"),
    ("more", "less"), ("higher", "lower"), ("greater", "smaller"), ("before", "after"),
    ("increases", "decreases"), ("always", "never"), ("all", "none"), ("with", "without"),
)  # fmt: skip

_UNITS: Final = (
    ("km", "miles"), ("kilometres", "miles"), ("kilometers", "miles"), ("m", "cm"),
    ("metres", "feet"), ("meters", "feet"), ("cm", "mm"), ("kg", "g"), ("grams", "kilograms"),
    ("pounds", "kilograms"), ("minutes", "hours"), ("seconds", "minutes"), ("hours", "days"),
    ("days", "weeks"), ("weeks", "months"), ("months", "years"), ("cents", "dollars"),
    ("MB", "GB"), ("KB", "MB"), ("ms", "s"), ("percent", "percentage points"),
    ("million", "billion"), ("litres", "gallons"), ("°C", "°F"), ("characters", "words"),
    ("rows", "columns"),
)  # fmt: skip


def _text_operator(name: str, says: str) -> Callable[[Edit], Edit]:
    def add(edit: Edit) -> Edit:
        @operator(f"text.{name}", says=says)
        def rule(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
            return corrupt_text(text_places(trace, step), edit, rng)

        return edit

    return add


@_text_operator("wrong_figure", "a figure is wrong")
def _wrong_figure(text: str, rng: random.Random) -> tuple[str, str] | None:
    numbering = [match.span() for match in _ITEM_NUMBER.finditer(text)]
    figures = [
        match
        for match in _outside_code(NUMBER, text)
        if not any(start <= match.start() < end for start, end in numbering)
    ]
    if not figures:
        return None
    figure = rng.choice(figures)
    wrong = another_figure(figure.group(), rng)
    reason = f"says {wrong} where {figure.group()} is right"
    return text[: figure.start()] + wrong + text[figure.end() :], reason


@_text_operator("negated_conclusion", "a conclusion is turned into its opposite")
def _negated_conclusion(text: str, rng: random.Random) -> tuple[str, str] | None:
    pairs = [*_OPPOSITES, *((b, a) for a, b in _OPPOSITES)]
    swap = _swap_one(text, pairs, rng, last_part=True)
    return None if swap is None else (swap[0], f"concludes {swap[2]!r} where {swap[1]!r} is right")


@_text_operator("wrong_unit", "a unit is wrong")
def _wrong_unit(text: str, rng: random.Random) -> tuple[str, str] | None:
    pairs = [*_UNITS, *((b, a) for a, b in _UNITS)]
    swap = _swap_one(text, pairs, rng, after_number=True)
    return None if swap is None else (swap[0], f"uses {swap[2]} where it has to be {swap[1]}")


@operator("text.dropped_constraint", says="a constraint of the task is dropped")
def dropped_constraint(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Leave out the point of a list, or the sentence, that says most of what the task says."""
    task = _words(trace.task)

    def edit(text: str, rng: random.Random) -> tuple[str, str] | None:
        items = list(_outside_code(_ITEM, text))
        if len(items) >= 2:
            gone = _weighted([(m, _shared(m["text"], task)) for m in items], rng)
            end = gone.end() + (text[gone.end() : gone.end() + 1] == "\n")
            left = _renumbered(text[: gone.start()] + text[end:])
            return left, f"leaves out: {_short(gone['text'])}"
        if "```" in text:
            return None
        parts = _SENTENCE.split(text.strip())
        if len(parts) < 3:
            return None
        at = _weighted([(i, _shared(part, task)) for i, part in enumerate(parts)], rng)
        return " ".join(parts[:at] + parts[at + 1 :]), f"leaves out: {_short(parts[at])}"

    return corrupt_text(text_places(trace, step), edit, rng)


@operator("text.hallucinated_citation", says="a claim is given a source that does not say it")
def hallucinated_citation(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Name another source than the one that was named, out of those that the run knows."""
    names = sorted({name for s in trace.steps for name in _sources(trace.observed.text(s))})

    def edit(text: str, rng: random.Random) -> tuple[str, str] | None:
        named = [name for name in dict.fromkeys(_sources(text)) if name in text]
        if not named:
            return None
        real = rng.choice(named)
        others = [name for name in names if name != real and _alike(name, real)]
        fake = rng.choice(others) if others else _another_source(real, rng)
        if fake is None:
            return None
        return text.replace(real, fake), f"cites {fake} where {real} is the source"

    return corrupt_text(text_places(trace, step), edit, rng)


# -- pieces


def _outside_code(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    code = [match.span() for match in _FENCE.finditer(text)]
    return [
        match
        for match in pattern.finditer(text)
        if not any(start <= match.start() < end for start, end in code)
    ]


def another_figure(figure: str, rng: random.Random) -> str:
    """A figure of the same form: one digit changed, two swapped, or one more or less."""
    digits = [i for i, c in enumerate(figure) if c.isdigit()]
    ways = []
    if figure.isdigit():
        moved = int(figure) + rng.choice((-2, -1, 1, 2))
        if moved >= 0 and len(str(moved)) >= len(figure) - 1:
            ways.append(str(moved))
    at = rng.choice(digits)
    others = "123456789" if at == digits[0] and len(digits) > 1 else "0123456789"
    digit = rng.choice([d for d in others if d != figure[at]])
    ways.append(figure[:at] + digit + figure[at + 1 :])
    for one, two in itertools.pairwise(digits):
        if figure[one] != figure[two] and figure[two] != "0":
            swapped = list(figure)
            swapped[one], swapped[two] = swapped[two], swapped[one]
            ways.append("".join(swapped))
    return rng.choice([way for way in ways if way != figure])


def _swap_one(
    text: str,
    pairs: list[tuple[str, str]],
    rng: random.Random,
    *,
    last_part: bool = False,
    after_number: bool = False,
) -> tuple[str, str, str] | None:
    """Swap one word for its counterpart; the longest reading of each place counts."""
    before = r"(?<=\d)\s?" if after_number else ""
    sites: dict[int, tuple[int, str, str]] = {}
    for old, new in pairs:
        pattern = re.compile(rf"{before}(?P<it>(?<![A-Za-z]){re.escape(old)}(?![A-Za-z]))")
        for match in _outside_code(pattern, text):
            start, end = match.span("it")
            if start not in sites or sites[start][0] < end:
                sites[start] = (end, old, new)
    if not sites:
        return None
    # A word put in says more about the change than a word swapped: only where nothing else fits.
    quiet = {start: hit for start, hit in sites.items() if not hit[2].startswith(f"{hit[1]} ")}
    sites = quiet or sites
    positions = sorted(sites)
    start = (
        positions[-1 - min(len(positions) - 1, rng.randrange(2))]
        if last_part
        else rng.choice(positions)
    )
    end, old, new = sites[start]
    return text[:start] + new + text[end:], old, new


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def _shared(text: str, words: set[str]) -> int:
    return 1 + len(_words(text) & words)


def _weighted(choices: list[tuple[T, int]], rng: random.Random) -> T:
    return rng.choices([it for it, _ in choices], [weight for _, weight in choices])[0]


def _renumbered(text: str) -> str:
    """Number the points of a list through again, where they were."""
    numbers = re.findall(r"^\s*(\d+)[.)]\s", text, re.MULTILINE)
    if not numbers:
        return text
    following = iter(range(min(int(n) for n in numbers) if numbers[0] != "2" else 1, 10_000))
    return re.sub(
        r"^(\s*)\d+([.)]\s)",
        lambda m: f"{m.group(1)}{next(following)}{m.group(2)}",
        text,
        flags=re.MULTILINE,
    )


def _sources(text: str) -> list[str]:
    """What a text names as sources: addresses, files, bracketed numbers, quoted titles, code."""
    patterns = (
        r"https?://[^\s)\]>\"']+",
        r"\b[\w-]+\.(?:md|txt|pdf|html|csv|json)\b",
        r"\[\d+\]",
        r"“[^”\n]{4,60}”",
        r"(?i:requirement|section|page|table|figure|doc|document|source) #?\d+",
        r"\b[A-Z][a-z]+(?: et al\.)?,? \(?(?:19|20)\d\d\)?",
    )
    return [m.group() for pattern in patterns for m in re.finditer(pattern, text)]


def _alike(one: str, two: str) -> bool:
    """Whether two sources are named in the same way, so that one may stand for the other."""

    def form(name: str) -> str:
        return re.sub(r"\d+", "0", name)[:4] if name[0] != "“" else "“"

    return form(one) == form(two) or one.rpartition(".")[2] == two.rpartition(".")[2] != one


def _another_source(real: str, rng: random.Random) -> str | None:
    numbers = list(re.finditer(r"\d+", real))
    if not numbers:
        return None
    number = numbers[-1]
    moved = str(max(1, int(number.group()) + rng.choice((-1, 1, 2))))
    fake = real[: number.start()] + moved + real[number.end() :]
    return fake if fake != real else None


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 100 else f"{text[:97]}..."
