r"""Decide whether the text that a team ends with is right.

All functions are pure: a result text and what is expected in, True or False out. They are tolerant
of form (units, thousands separators, words around the answer, small spelling errors) and strict in
substance: only the *final answer* of a text counts. That is what follows its last "answer" marker
("The answer is ...", "Answer: ...", `\boxed{...}`, `#### ...`), or else its last line.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Sequence

from agentracer.lab.testbed.code_tests import run_cases
from agentracer.lab.testbed.coding_tasks import ExpectedCall

__all__ = [
    "MAX_QUOTED_WORDS",
    "code_passes",
    "final_answer",
    "find_program",
    "number_is",
    "text_is",
    "time_is",
]

_MARKER = re.compile(
    r"\banswer(?:\s+(?:to|for|of)\b[^.\n:]{0,80}?)?(?:\s+is\b\s*:?|\s*[:=]|[ \t]*$)|\\boxed\b|####",
    re.IGNORECASE | re.MULTILINE,
)
_NUMBER = re.compile(r"(?<![\w.,])[-+]?(?:\d{1,3}(?:[,\u202f\u00a0]\d{3})+|\d+)(?:\.\d+)?(?!\w)")
_GLUED_UNIT = re.compile(
    r"(?<=\d)\s*(?:kwh|km/h|km|kg|cm|mm|min|hours?|days?|h|m|g|l|usd|eur|euros?|dollars?|cents?)\b",
    re.IGNORECASE,
)
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)
_WORDS = {word: value for value, word in enumerate(_NUMBER_WORDS.split())}
_TIME = re.compile(
    r"(?<![\d:.])(\d{1,2})(?:[:.](\d{2}))?\s*([ap]\.?m\.?)?(?![\w:]|\.\d)", re.IGNORECASE
)
_CODE_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
MAX_QUOTED_WORDS = 30
"""A final answer to a question on a document may not be longer."""


def final_answer(text: str) -> str:
    """Return the part of a text that gives its answer: after the last marker, or the last line."""
    plain = re.sub(r"[*_`$]", "", text).strip()
    for marker in reversed(list(_MARKER.finditer(plain))):
        rest = plain[marker.end() :].strip(" :{}\n")
        if re.search(r"\w", rest):
            paragraph = re.split(r"\n\s*\n", rest, maxsplit=1)[0]
            return paragraph.strip(" :{}")
    lines = [line.strip() for line in plain.splitlines() if re.search(r"\w", line)]
    return lines[-1] if lines else ""


def number_is(
    text: str, expected: float, *, tolerance: float = 0.006, max_words: int | None = None
) -> bool:
    """Compare the number in the final answer of a text with the expected one.

    The final answer is `final_answer(text)`. Where it begins with a number after a marker, that
    number counts ("Answer: 12 of the 30 rolls"); else its last one ("4 * 3 = 12").

    Args:
        text: what the team ended with.
        expected: the right number.
        tolerance: absolute difference that is accepted, for amounts that were rounded.
        max_words: a longer final answer is wrong: it quotes a document instead of answering.
    """
    answer = final_answer(text)
    values = _numbers(answer)
    if not values or (max_words is not None and len(answer.split()) > max_words):
        return False
    marked = _MARKER.search(re.sub(r"[*_`$]", "", text)) is not None
    first = marked and re.match(r"[^\w+-]*[-+]?\d", answer) is not None and "=" not in answer
    return math.isclose(values[0] if first else values[-1], expected, rel_tol=0, abs_tol=tolerance)


def time_is(text: str, expected: str) -> bool:
    """Compare the time of day in the final answer (`14:30`, `2.30 pm`, `9 am`) with `HH:MM`.

    More than one different time in the final answer is wrong, as it is not known which is meant.
    """
    times = {t for t in (_minutes(m) for m in _TIME.finditer(final_answer(text))) if t is not None}
    hours, minutes = expected.split(":")
    return times == {int(hours) * 60 + int(minutes)}


def text_is(text: str, answers: Sequence[str]) -> bool:
    """Say whether the final answer of a text contains one of the accepted words or phrases.

    Case, accents, punctuation and one wrong letter in a word of six or more letters do not matter.
    A final answer of more than 30 words is wrong: it quotes the document instead of answering.
    For `yes` and `no`, the final answer must have that word, and not the other one.
    """
    words = _fold(final_answer(text)).split()
    if not words or len(words) > MAX_QUOTED_WORDS:
        return False
    for answer in answers:
        expected = _fold(answer).split()
        if expected in (["yes"], ["no"]):
            if {"yes", "no"} & set(words) == set(expected):
                return True
            continue
        for start in range(len(words) - len(expected) + 1):
            window = words[start : start + len(expected)]
            if all(_similar(w, e) for w, e in zip(window, expected, strict=True)):
                return True
    return False


def code_passes(text: str, function: str, tests: Sequence[Sequence[str]]) -> bool:
    """Run hidden tests on the program in a text, in the sandbox.

    Args:
        text: what the team ended with; see `find_program`.
        function: the function that the program has to define.
        tests: pairs of a call and its value as Python expressions; a value that begins with `!` is
            the exception that the call must raise.
    """
    program = find_program(text, function)
    if program is None:
        return False
    cases = [
        ExpectedCall(call, error=value[1:]) if value.startswith("!") else ExpectedCall(call, value)
        for call, value in tests
    ]
    return run_cases(program, cases).passed


def find_program(text: str, function: str) -> str | None:
    """Return the last code block that defines a function, or the text if it is such a program."""
    for source in [*reversed(_CODE_BLOCK.findall(text)), text]:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if any(isinstance(n, ast.FunctionDef) and n.name == function for n in tree.body):
            return str(source)
    return None


def _numbers(text: str) -> list[float]:
    plain = re.sub(r"[$€£]\s*(?=[\d.])|(?<=\d)\s*[%€$£]", "", text)
    plain = re.sub(r"(?<=\d)[.,;:!?](?=\s|$)", " ", _GLUED_UNIT.sub(" ", plain))
    numbers = [float(re.sub("[,\u202f\u00a0]", "", m[0])) for m in _NUMBER.finditer(plain)]
    if numbers:
        return numbers
    return [float(_WORDS[w]) for w in re.findall(r"[a-z]+", text.lower()) if w in _WORDS]


def _minutes(match: re.Match[str]) -> int | None:
    hour, minute, half = int(match[1]), match[2], (match[3] or "").lower()
    if minute is None and not half:
        return None  # a bare number is no time
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    return hour * 60 + int(minute or 0) if hour < 24 and int(minute or 0) < 60 else None


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return re.sub(r"[^\w]+", " ", re.sub(r"['\u2019]", "", plain)).strip()


def _similar(word: str, expected: str) -> bool:
    if word == expected:
        return True
    if len(expected) < 6 or abs(len(word) - len(expected)) > 1:
        return False
    start = 0
    while start < min(len(word), len(expected)) and word[start] == expected[start]:
        start += 1
    rest, wanted = word[start:], expected[start:]
    return rest[1:] == wanted[1:] or rest == wanted[1:] or rest[1:] == wanted
