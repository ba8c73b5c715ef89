"""Find calculations that a text states and that are wrong: `12 * 12 = 142`.

A calculation is judged only where it was understood in full: what stands before its left side must
end there (the start of a line, a word, a bracket), and its right side must be a whole number or
decimal. `2**3 + 1 = 9`, `√16 + 2 = 6`, `the square of 3 + 1 = 10` and `1 000 + 500 = 1 500` are
left alone. So are calculations that another reading makes right: decimal commas, binary digits,
ranges, units. Linear in the text; the number of calculations that are looked at is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agentracer.arithmetic import Grammar, evaluate
from agentracer.attribution.embedded.text.sentences import is_claim, sentence_at

__all__ = ["Calculation", "wrong_calculations"]

_LEFT = frozenset("0123456789.,+-*/×÷·() \t$x")
_RIGHT = re.compile(
    r"[ \t]*+([-−–]?)[ \t]?[$€£]?[ \t]?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
)
_NOT_AFTER = re.compile(
    r"[\w^/%°!'\"²³⁴π√]|[.,:]\d|\*\*\d|[ \t]*+[-+*/×÷·^(=<>≠≈][ \t]*+[\d(]|[ \t]++\d"
    r"|[ \t]*+(?:%|percent\b|mod\b|\(mod\b|\\|remainder\b|r\d|thousand\b|million\b|billion\b|"
    r"trillion\b|hundred\b|dozen\b|k\b|m\b|bn\b|x\b|times\b|pi\b|squared\b|cubed\b|factorial\b|"
    r"or\b|to\b|and a (?:half|quarter|third)\b)",
    re.IGNORECASE,
)
_UNIT = re.compile(r"[ \t]*[A-Za-z°µ]")
_WORD_BEFORE = re.compile(r"(?:^|[^\w'-])([A-Za-z][A-Za-z']*)[ \t,:]*\Z")
_FREE_BEFORE = re.compile(
    r"(?:\A|[\n\r=;:(\[{>|\"“'‘`~]|[.!?,][ \t]|(?<![\d\w)])[*_]{1,3})[ \t]*\Z"
)
_OPERAND_WORDS = """
of times plus minus by over root sqrt log ln sin cos tan exp mod modulo half third quarter twice
double triple per from power squared cubed percent than to x between less sum difference product
quotient average mean square cube factorial add subtract multiply divide multiplied divided with
into divmod
"""
_TAKES_OPERAND = frozenset(_OPERAND_WORDS.split())
_LIST_MARKER = re.compile(r"(?:\d{1,3}[.)]|[-+*•])[ \t]+(?=[-$(\d])")
_TIMES = re.compile(r"(?<=[\d) ])x(?=[ \t]*[$(\d])")
_OPERATOR = re.compile(r"[-+*/×÷·]|x")
_TIGHT = re.compile(r"\(?\d+(?:[-/]\d+)+\)?")  # a range, a date, a score
_BINARY = re.compile(r"[01]+(?![\d.,])")
_AMBIGUOUS = re.compile(r"(?<![\d.])\d{1,3}\.\d{3}(?![\d.])")  # 1.500 may be 1500
_LIST = re.compile(r"\d,\d(?!\d\d(?!\d))")  # a list of digits, or a decimal comma
_GRAMMAR = Grammar(
    operators={"×": "*", "·": "*", "÷": "/"},
    currency=True,
    thousands=re.compile(r"(?<=\d),(?=\d{3})"),
)
_LATEX = ((r"\times", "×"), (r"\cdot", "·"), (r"\div", "÷"))
_SKIPPED_AFTER = re.compile(
    r"[ \t]*(?:\?|which is wrong|is (?:wrong|incorrect|not))", re.IGNORECASE
)
_EQUALS_SIGNS = 200  # looked at in one text
_LONGEST_LEFT = 2_000  # characters
_RELATIVE_TOLERANCE = 0.005
_UNIT_FACTORS = (12.0, 7.0, 24.0, 60.0, 3600.0, 1440.0, 365.0, 1024.0, 0.5, 2.0)


@dataclass(frozen=True)
class Calculation:
    """A calculation as a text states it, and the value of its left side."""

    text: str
    value: float


def wrong_calculations(text: str) -> list[Calculation]:
    """Every `a op b = c` that a text claims and whose sides differ by more than rounding."""
    wrong: dict[str, Calculation] = {}
    for stated, value, position in _calculations(text):
        if stated not in wrong and is_claim(sentence_at(text, position).text):
            wrong[stated] = Calculation(stated, value)
    return [found for found in wrong.values() if not _is_corrected(text, found)]


def _calculations(text: str) -> Iterator[tuple[str, float, int]]:
    """The calculations that are wrong, each with the value of its left side and its position."""
    for latex, sign in _LATEX:
        text = text.replace(latex, sign.ljust(len(latex)))  # positions stay
    at = -1
    for _ in range(_EQUALS_SIGNS):
        at = text.find("=", at + 1)
        if at < 0:
            return
        if text[at + 1 : at + 2] in {"=", ">"} or text[max(at - 1, 0) : at] in set("=<>!:+-*/~"):
            continue
        right = _RIGHT.match(text, at + 1)
        if right is None or _NOT_AFTER.match(text, right.end()):
            continue
        start = _start_of_left(text, at)
        if start is None:
            continue
        left, stated = text[start:at].strip(), ("-" if right[1] else "") + right[2]
        has_unit = _UNIT.match(text, right.end()) is not None
        values = list(_readings(left)) if not _SKIPPED_AFTER.match(text, right.end()) else []
        if values and not any(_agrees(v, stated, has_unit=has_unit) for v in values):
            yield text[start : right.end()].strip(), values[0], at


def _start_of_left(text: str, at: int) -> int | None:
    """Where the left side of an equals sign begins; None where it is not understood in full."""
    start, lowest = at, max(at - _LONGEST_LEFT, 0)
    while start > lowest and text[start - 1] in _LEFT:
        start -= 1
    if start == lowest and lowest > 0:
        return None
    before = text[max(start - 40, 0) : start]
    while start < at and text[start] in " \t":
        start += 1
        before += " "
    if text.startswith(("**", "__"), start) and not before.strip(" \t"):
        start += 2  # bold
    if text.startswith("* ", start) or _LIST_MARKER.match(text, start):
        if before.strip(" \t") and not before.rstrip(" \t").endswith("\n"):
            return None
        marker = _LIST_MARKER.match(text, start)
        start = marker.end() if marker else start
    open_brackets = text.count("(", start, at) - text.count(")", start, at)
    while open_brackets > 0 and text[start] == "(":
        start, open_brackets = start + 1, open_brackets - 1  # `(3 + 4 = 7)`
    if (
        start > 0
        and text[start - 1] == "*"
        and not _FREE_BEFORE.search(text[max(start - 4, 0) : start])
    ):
        return None
    if not (start < at and (text[start].isdigit() or text[start] in "($-.")):
        return None
    return start if _may_begin(before) else None


def _may_begin(before: str) -> bool:
    if _FREE_BEFORE.search(before):
        return True
    word = _WORD_BEFORE.search(before)
    if word is None or before[-1:] not in {" ", "\t"}:
        return False
    if word[1].lower() == "and":
        return re.search(r"\d[\w%.]{0,20}[ \t]{1,9}and[ \t]{0,9}\Z", before) is None
    return len(word[1]) > 1 and word[1].lower() not in _TAKES_OPERAND


def _readings(left: str) -> Iterator[float]:
    """The values that a left side may have; none where its meaning is unclear."""
    expression = _TIMES.sub("*", left)
    operators = _OPERATOR.findall(left.lstrip("-"))
    unclear = (
        not operators
        or "x" in expression
        or _LIST.search(left)
        or _TIGHT.fullmatch(left)
        or _AMBIGUOUS.search(left)
        or all(_BINARY.fullmatch(n) and len(n) > 1 for n in re.findall(r"[\d.,]+", left))
    )
    value = None if unclear else evaluate(expression, _GRAMMAR)
    if value is None:
        return
    yield value
    if left.startswith("-"):  # a bullet, or a minus sign
        positive = evaluate(expression[1:], _GRAMMAR)
        if positive is not None:
            yield positive


def _agrees(value: float, stated: str, *, has_unit: bool) -> bool:
    if _AMBIGUOUS.fullmatch(stated.lstrip("-")) and abs(value - float(stated) * 1000) < 1:
        return True
    digits = stated.replace(",", "")
    number, decimals = float(digits), len(digits.partition(".")[2])
    rounded = decimals or value % 1
    tolerance = max(10.0**-decimals, _RELATIVE_TOLERANCE * abs(value)) if rounded else 1e-9
    if abs(value - number) <= tolerance:
        return True
    return has_unit and number != 0 and _is_unit_factor(abs(value / number))


def _is_unit_factor(ratio: float) -> bool:
    """Whether two numbers may be one quantity in two units, such as hours and minutes."""
    factors = [*_UNIT_FACTORS, *(1 / factor for factor in _UNIT_FACTORS)]
    powers = [10.0**power for power in (-9, -6, -4, -3, -2, 2, 3, 4, 6, 9)]
    return any(abs(ratio / factor - 1) < 0.01 for factor in (*factors, *powers))


def _is_corrected(text: str, found: Calculation) -> bool:
    """Whether the text states the right value of the same left side as well."""
    left = found.text.rpartition("=")[0]
    right = re.compile(rf"=[ \t]*\$?{re.escape(f'{found.value:g}')}(?!\.?\d)")
    return any(right.match(text, place + len(left)) for place in _places(text, left))


def _places(text: str, part: str) -> Iterator[int]:
    place = text.find(part)
    while place >= 0:
        yield place
        place = text.find(part, place + len(part))
