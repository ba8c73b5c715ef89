"""What a text assigns to names: `Step C: A * B`, `C = 42`, `the total is 42`.

Many systems agree on names for the parts of a task and pass values on under them. `assignments`
reads definitions and stated values of such names; `NamedValues` follows any phrase that is given a
number. All is linear in the text, and the number of matches is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agentracer.arithmetic import Grammar, evaluate
from agentracer.attribution.embedded.text.lexicon import VAGUE_NAMES
from agentracer.attribution.embedded.text.system_conventions import PART_WORDS, REMARK
from agentracer.attribution.embedded.text.unwrap import without_code_and_logs

__all__ = [
    "Assignment",
    "NamedValues",
    "ValueChange",
    "assignments",
    "formula_value",
    "is_formula",
    "parse_number",
    "same_value",
    "variable_names",
]

_MOST_ASSIGNMENTS = 60  # of one text
_MOST_VALUES = 200  # named values looked at in one text

_LONGEST_FORMULA = 120  # characters beside `$` and the commas of thousands

_DEFINITION = re.compile(
    rf"(?im)^(?:<\w+>)?[ \t>*#-]*(?:[a-z]+[ \t]+){{0,2}}{PART_WORDS}[ \t]+"
    r"((?-i:[A-Z])|\d{1,2})\b[^\n:=]{0,12}:[ \t]*(\S[^\n]*)"
)
_VALUE_STATED = re.compile(
    r"(?<![\w.\]'\"])([A-Z]|[A-Za-z_]\w{2,24})[ \t]*=(?!=)[ \t]*"
    r"(\S[^\n=|;]*?)?(?=[ \t]*(?:$|[|;\n]|,[ \t]*[A-Za-z_]\w*[ \t]*=))"
)
_VARIABLE = re.compile(r"\b(?:[A-Z]|[A-Za-z_]\w{2,24})\b")
_NUMBER = re.compile(r"[-+]?\$?(\d[\d,]*(?:\.\d+)?|\.\d+)[.%]?\Z")
_FORMULA = Grammar(
    operators={"×": "*", "÷": "/", "·": "*"},
    currency=True,
    percentages=True,
    thousands=re.compile(r"(?<=\d),(?=\d{3}\b)"),
    alphabet=re.compile(rf"[-+*/().\d\sA-Za-z_×÷·]{{1,{_LONGEST_FORMULA}}}"),
)
_NAMED_VALUE = re.compile(
    r"(?:[=:]|\b(?:is|was|are)\b) ?\$?(\d[\d,]*(?:\.\d+)?)(?![\w%]|[.,]\d| ?[-+*/×÷=])"
)
_PHRASE = re.compile(r"\b([A-Za-z]\w{2,24}(?: [A-Za-z]\w{0,24}){0,2}) ?\Z")
_PHRASE_REACH = 60  # characters before a value in which its name ends


@dataclass(frozen=True, slots=True)
class Assignment:
    """One thing that a text assigns to a name.

    Attributes:
        name: the name.
        text: what is assigned; empty where a block of code follows.
        defines: whether it says how the value is found (`C: A * B`) and not what it is (`C = 42`).
    """

    name: str
    text: str
    defines: bool


def assignments(text: str) -> list[Assignment]:
    """What an unwrapped text (see `unwrap_json`) assigns, in order of appearance."""
    placed: list[tuple[int, Assignment]] = []
    prose = without_code_and_logs(text)
    for match in _DEFINITION.finditer(prose):
        if not _VALUE_STATED.match(match[2]):  # `Result: A = 7` states a value
            definition = REMARK.split(match[2], maxsplit=1)[0].strip()
            placed.append((match.start(), Assignment(match[1], definition, defines=True)))
    if "=" in prose:
        for match in _VALUE_STATED.finditer(prose):
            value = (match[2] or "").strip().rstrip(".")
            placed.append((match.start(1), Assignment(match[1], value, defines=False)))
    placed.sort(key=lambda pair: pair[0])
    return [assignment for _, assignment in placed[:_MOST_ASSIGNMENTS]]


def parse_number(text: str) -> float | None:
    """The number that a text is; None if it is more than that, or something else."""
    match = _NUMBER.match(text.strip())
    if match is None:
        return None
    value = float(match[1].replace(",", ""))
    return -value if text.strip().startswith("-") else value


def variable_names(text: str) -> set[str]:
    """The names that a definition may refer to."""
    return set(_VARIABLE.findall(text))


def formula_value(text: str, variables: Mapping[str, float]) -> float | None:
    """The value of a formula over numbers and variables.

    None if the text is no formula, or names an unknown variable.
    """
    return evaluate(text, _FORMULA, variables) if _is_short(text) else None


def is_formula(text: str) -> bool:
    """Whether a text is a formula over numbers and whatever variables it names."""
    if not _is_short(text):
        return False
    return formula_value(text, dict.fromkeys(variable_names(text), 1.0)) is not None


def _is_short(text: str) -> bool:
    text = text.strip()
    return len(text) - text.count("$") - text.count(",") <= _LONGEST_FORMULA


def same_value(first: float, second: float) -> bool:
    """Whether two numbers are equal, allowing for rounding of the first to a few digits."""
    difference = abs(first - second)
    return difference <= max(0.006, 0.001 * abs(first)) if first % 1 else difference < 1e-6


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A named value that a step states, and another value that it had in an earlier step."""

    name: str
    value: str
    before: str
    step: int


@dataclass
class NamedValues:
    """The named values that a run has stated so far (`the total is 42`, `width = 7`).

    Attributes:
        latest: name -> (its value, the step that stated it last).
    """

    latest: dict[str, tuple[str, int]] = field(default_factory=dict)

    def update(self, index: int, text: str, *, from_outside: bool) -> ValueChange | None:
        """Take in the text of a step.

        Args:
            index: the step.
            text: what it wrote.
            from_outside: whether it reports from a tool, an execution or the user: then it may
                change values without being at fault.

        Returns:
            The first value that the step changes; None if there is none.
        """
        change = None
        for count, match in enumerate(_NAMED_VALUE.finditer(text)):
            if count >= _MOST_VALUES:
                break
            phrase = _PHRASE.search(text, max(match.start() - _PHRASE_REACH, 0), match.start())
            if phrase is None or phrase[1].lower().rpartition(" ")[2] in VAGUE_NAMES:
                continue
            name, value = phrase[1].lower(), match[1].replace(",", "")
            before, step = self.latest.get(name, (value, index))
            differs = float(before) != float(value)  # 1 and 1.0 are one value
            if differs and step != index and not from_outside and change is None:
                change = ValueChange(phrase[1], value, before, step)
            self.latest[name] = (value, index)
        return change
