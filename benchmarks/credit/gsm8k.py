"""Worked answers of GSM8K with every result blanked out, to be worked out again.

The sentences are those of the data set (Cobbe et al. 2021, MIT), with all that people write
between numbers: units, dollars, `x` for times, percent, long dashes. A result is replaced by `?`,
and where later steps use it, by the letter of its step; annotations in the data set say what is
right.

    cleaner -> splitter -> extractor -> translator -> solver -> verifier -> chooser -> formatter
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from credit.pipeline import Family, Problem, Program

__all__ = ["family"]

_ANNOTATION = re.compile(r"<<([^<>=]+)=([^<>=]+)>>\s*\$?-?[\d,]*\.?\d*")
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w])")


def family(data: Path) -> Family:
    """The family, over the answers of the training file that can be blanked out without doubt."""
    lines = (data / "gsm8k" / "train_2000.jsonl").read_text(encoding="utf-8").splitlines()
    found = (_problem(number, json.loads(line)) for number, line in enumerate(lines))
    problems = [problem for problem in found if problem is not None]
    return Family("gsm8k", SLOTS, _wiring, _right, problems)


def _wiring(problem: Problem) -> Program:
    text = yield ("cleaner", problem.given)
    parts = yield ("splitter", text)
    raw = yield ("extractor", parts)
    expressions = yield ("translator", raw)
    values = yield ("solver", expressions)
    checked = yield ("verifier", values, expressions)
    chosen = yield ("chooser", checked, expressions)
    answer = yield ("formatter", chosen)
    return str(answer)


def _right(problem: Problem, answer: str) -> bool:
    return answer == problem.answer


def _problem(number: int, record: dict[str, str]) -> Problem | None:
    reasoning, _, answer = record["answer"].partition("#### ")
    letters: dict[str, str] = {}
    lines: list[str] = []
    for line in reasoning.strip().splitlines():
        found = list(_ANNOTATION.finditer(line))
        if len(found) != 1 or line.count("=") != 2:
            return None  # more than one equation, or none: what is meant cannot be blanked out
        value = found[0][2].strip()
        before = _NUMBER.sub(
            lambda number: letters.get(number[0].replace(",", ""), number[0]),
            line[: found[0].start()],
        )
        letter = chr(ord("A") + len(lines))
        lines.append(f"{letter}: {before}?{line[found[0].end() :]}")
        letters[value] = letter
        last = value
    answer = answer.strip().replace(",", "")
    if not 2 <= len(lines) <= 6 or last != answer or not re.fullmatch(r"\d+(\.\d+)?", answer):
        return None
    return Problem(f"gsm8k-{number}", record["question"], "\n".join(lines), answer)


# -- cleaner: text -> text


def _plain(text: str) -> str:
    for old, new in {"×": "*", "÷": "/", "−": "-", "–": "-", "—": "-", "’": "'"}.items():
        text = text.replace(old, new)
    return text.replace("$", "")


def _dollars_only(text: str) -> str:
    return text.replace("$", "")


def _ascii_only(text: str) -> str:
    return text.encode("ascii", "ignore").decode().replace("$", "")


def _small_letters(text: str) -> str:
    return _plain(text).lower()


def _short_lines(text: str) -> str:
    return "\n".join(line[:70] for line in _plain(text).splitlines())


def _no_points(text: str) -> str:
    return _plain(text).replace(".", "")


# -- splitter: text -> [[letter, sentence]]


def _by_line(text: str) -> list[list[str]]:
    return [list(part) for part in re.findall(r"^([A-Za-z]): (.*)$", text, re.MULTILINE)]


def _by_stop(text: str) -> list[list[str]]:
    parts = [part for part in re.split(r"[.\n]\s*", text) if "=" in part]
    return [[chr(65 + n), re.sub(r"^[A-Z]: ", "", part)] for n, part in enumerate(parts)]


def _by_question_mark(text: str) -> list[list[str]]:
    parts = [part for part in text.split("?") if "=" in part]
    return [[chr(65 + n), re.split(r"\b[A-Z]: ", part)[-1] + "?"] for n, part in enumerate(parts)]


def _by_comma(text: str) -> list[list[str]]:
    return [[key, next(p for p in s.split(", ") if "=" in p or p)] for key, s in _by_line(text)]


def _after_comma(text: str) -> list[list[str]]:
    return [[key, s.partition(", ")[2] or s] for key, s in _by_line(text)]


# -- extractor: sentences -> raw expressions, one for each letter


def _left(sentence: str) -> str:
    return sentence.partition("=")[0]


def _around_operators(sentence: str) -> str:
    """Everything from the first to the last number that an operator belongs to."""
    left = _left(sentence)
    term = r"(?:\(*\s*(?:\d[\d,]*\.?\d*|\.\d+|\b[A-Z]\b)\s*%?\s*\)*)"
    words = r"(?:[a-zA-Z'/][\w'.]*\s*(?:/\s*\w+)?\s*){0,6}?"
    operators = r"\s*(?:[-+*/]|\bx\b|×|÷|−|–)\s*"
    found = re.findall(rf"{term}\s*{words}(?:{operators}\$?{term}\s*{words})+", left)
    return str(found[-1]) if found else left


def _longest_run(sentence: str) -> str:
    runs = re.findall(r"[-\d\s.,+*/x×÷−–%()$A-Z]*\d[-\d\s.,+*/x×÷−–%()$A-Z]*", _left(sentence))
    return max(runs, key=len, default="")


def _last_run(sentence: str) -> str:
    runs = re.findall(r"[-\d.,+*/x×÷−–%() A-Z]+", _left(sentence))
    return next((run for run in reversed(runs) if re.search(r"\d|[A-Z]", run)), "")


def _tight_run(sentence: str) -> str:
    runs = re.findall(r"\S*[\dA-Z]\s?[-+*/]\s?\S+", _left(sentence))
    return runs[-1] if runs else ""


def _all_before(sentence: str) -> str:
    return _left(sentence)


def _each(pick: Callable[[str], str]) -> Callable[[list[list[str]]], list[list[str]]]:
    def extract(parts: list[list[str]]) -> list[list[str]]:
        return [[key, pick(sentence)] for key, sentence in parts]

    extract.__name__ = pick.__name__.strip("_")
    return extract


# -- translator: raw expressions -> arithmetic


def _full(raw: str) -> str:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", raw)
    for old, new in {"×": "*", "÷": "/", "−": "-", "–": "-"}.items():
        text = text.replace(old, new)
    text = re.sub(r"(?<=[\d)A-Z%\s])[xX](?=[\s\d($A-Z.])", "*", text)
    text = re.sub(r"([\d.]+)\s*%", r"(\1/100)", text)
    text = re.sub(r"/\s*[a-zA-Z][a-z']+", " ", text)
    text = re.sub(r"\b(?![A-Z]\b)[a-zA-Z'][\w'.]*", " ", text)
    return re.sub(r"[^-\d.+*/()A-Z]", "", text).strip(".")


def _no_percent(raw: str) -> str:
    return _full(raw.replace("%", ""))


def _no_times(raw: str) -> str:
    return re.sub(r"[^-\d.+*/()A-Z]", "", re.sub(r"(?<=\d),(?=\d{3})", "", raw.replace("x", "")))


def _whole_numbers(raw: str) -> str:
    return re.sub(r"(\d+)\.\d+", r"\1", _full(raw))


def _commas_split(raw: str) -> str:
    return _full(raw.replace(",", " , ").rpartition(",")[2])


def _signs_only(raw: str) -> str:
    return re.sub(r"[^-\d.+*/()A-Z]", "", raw.replace("x", "*").replace("×", "*"))


# -- solver: arithmetic -> values by letter


def _solved(
    parts: list[list[str]], work_out: Callable[[str], float | None]
) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for key, expression in parts:
        known = re.sub(
            r"[A-Z]",
            lambda m: str(values[m[0]]) if values.get(m[0]) is not None else "?",
            expression,
        )
        values[key] = None if "?" in known else work_out(known)
    return values


_TOKEN = re.compile(r"\d+\.?\d*(?:e-?\d+)?|\.\d+|[-+*/()]")
_SIGN: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip


def _parsed(text: str, divide: Callable[[Any, Any], Any] = operator.truediv) -> float | None:
    """Recursive descent with the usual precedence, in fractions."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text.replace(" ", "") or not tokens:
        return None
    signs = {**_SIGN, "/": divide}

    def level(names: str, below: Callable[[], Any]) -> Any:
        value = below()
        while tokens and tokens[0] in names:
            value = signs[tokens.pop(0)](value, below())
        return value

    def atom() -> Any:
        token = tokens.pop(0)
        if token == "(":
            value = level("+-", product)
            tokens.pop(0)
            return value
        if token == "-":
            return -atom()
        return Fraction(token)

    def product() -> Any:
        return level("*/", atom)

    try:
        value = level("+-", product)
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return None if tokens else float(value)


def _exact(parts: list[list[str]]) -> dict[str, float | None]:
    return _solved(parts, _parsed)


def _whole_division(parts: list[list[str]]) -> dict[str, float | None]:
    return _solved(parts, lambda text: _parsed(text, operator.floordiv))


def _left_to_right(parts: list[list[str]]) -> dict[str, float | None]:
    def work_out(text: str) -> float | None:
        tokens = [token for token in _TOKEN.findall(text) if token not in "()"]
        try:
            value = float(tokens[0])
            for sign, number in zip(tokens[1::2], tokens[2::2], strict=True):
                value = _SIGN[sign](value, float(number))
        except (IndexError, KeyError, ValueError, ZeroDivisionError):
            return None
        return value

    return _solved(parts, work_out)


def _two_operands(parts: list[list[str]]) -> dict[str, float | None]:
    def work_out(text: str) -> float | None:
        found = re.match(r"^\(?([\d.]+)\)?([-+*/])\(?([\d.]+)", text)
        try:
            return float(_SIGN[found[2]](float(found[1]), float(found[3]))) if found else None
        except (ValueError, ZeroDivisionError):
            return None

    return _solved(parts, work_out)


def _rounded_steps(parts: list[list[str]]) -> dict[str, float | None]:
    def work_out(text: str) -> float | None:
        value = _parsed(text)
        return None if value is None else float(round(value))

    return _solved(parts, work_out)


def _no_memory(parts: list[list[str]]) -> dict[str, float | None]:
    return {key: _parsed(re.sub(r"[A-Z]", "1", text)) for key, text in parts}


# -- verifier: values -> values


def _as_they_are(values: dict[str, Any], _expressions: Any) -> dict[str, Any]:
    return values


def _drop_negative(values: dict[str, Any], _expressions: Any) -> dict[str, Any]:
    return {key: None if v is not None and v < 0 else v for key, v in values.items()}


def _whole_only(values: dict[str, Any], _expressions: Any) -> dict[str, Any]:
    return {
        key: v if v is not None and float(v).is_integer() else None for key, v in values.items()
    }


def _bounded(values: dict[str, Any], expressions: list[list[str]]) -> dict[str, Any]:
    """A result cannot be a hundred times larger than every number that it was made of."""
    checked = {}
    for key, text in expressions:
        numbers = [float(n) for n in re.findall(r"\d+\.?\d*", text)]
        value = values.get(key)
        far = value is not None and numbers and abs(value) > 100 * max(numbers)
        checked[key] = None if far else value
    return checked


def _increasing(values: dict[str, Any], _expressions: Any) -> dict[str, Any]:
    """What gets smaller is taken for a slip."""
    best, kept = -math.inf, {}
    for key, value in values.items():
        kept[key] = value if value is not None and value >= best else None
        best = max(best, value if value is not None else best)
    return kept


def _plausible(values: dict[str, Any], _expressions: Any) -> dict[str, Any]:
    """Everyday quantities are below five hundred."""
    return {key: None if v is not None and v > 500 else v for key, v in values.items()}


# -- chooser: values -> one value


def _last_known(values: dict[str, Any], _expressions: Any) -> float | None:
    return next((v for v in reversed(list(values.values())) if v is not None), None)


def _last(values: dict[str, Any], _expressions: Any) -> float | None:
    return list(values.values())[-1] if values else None


def _largest(values: dict[str, Any], _expressions: Any) -> float | None:
    return max((v for v in values.values() if v is not None), default=None)


def _unused(values: dict[str, Any], expressions: list[list[str]]) -> float | None:
    """The first result that no later step uses."""
    later = "".join(text for _, text in expressions)
    free = [v for key, v in values.items() if key not in later]
    return free[0] if free else None


def _median(values: dict[str, Any], _expressions: Any) -> float | None:
    known = sorted(v for v in values.values() if v is not None)
    return known[len(known) // 2] if known else None


# -- formatter: value -> answer


def _shortest(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}".removesuffix(".00")


def _cut_off(value: float | None) -> str:
    return "unknown" if value is None else str(int(value))


def _as_python_does(value: float | None) -> str:
    return str(value)


def _with_commas(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.10g}"


def _variants(*functions: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    return {function.__name__.strip("_"): function for function in functions}


def _each_raw(translate: Callable[[str], str]) -> Callable[[list[list[str]]], list[list[str]]]:
    def translated(parts: list[list[str]]) -> list[list[str]]:
        return [[key, translate(raw)] for key, raw in parts]

    translated.__name__ = translate.__name__.strip("_")
    return translated


SLOTS: dict[str, dict[str, Callable[..., Any]]] = {
    "cleaner": _variants(
        _plain, _dollars_only, _ascii_only, _small_letters, _short_lines, _no_points
    ),
    "splitter": _variants(_by_line, _by_stop, _by_question_mark, _by_comma, _after_comma),
    "extractor": _variants(
        *map(_each, (_around_operators, _longest_run, _last_run, _tight_run, _all_before))
    ),
    "translator": _variants(
        *map(
            _each_raw,
            (_full, _no_percent, _no_times, _whole_numbers, _commas_split, _signs_only),
        )
    ),
    "solver": _variants(
        _exact, _whole_division, _left_to_right, _two_operands, _rounded_steps, _no_memory
    ),
    "verifier": _variants(
        _as_they_are, _drop_negative, _whole_only, _bounded, _increasing, _plausible
    ),
    "chooser": _variants(_last_known, _last, _largest, _unused, _median),
    "formatter": _variants(_shortest, _money, _cut_off, _as_python_does, _with_commas),
}
