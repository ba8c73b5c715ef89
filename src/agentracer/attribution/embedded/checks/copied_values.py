"""Values that a step passes on differently from how it got them.

Reported are differences that stand on both sides word by word: a figure with two digits swapped, an
identifier with a character changed, a figure of the task replaced by another one, another value
than the only one that a tool returned. A value that is known in any other spelling, or follows from
known ones by one operation, is never reported. Linear in the text of the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.checks.history import (
    Known,
    Mention,
    RunEvent,
    identifiers,
    line_around,
)
from agentracer.attribution.embedded.kinds import FindingKind, FindingKinds
from agentracer.attribution.embedded.text.quantities import (
    Figure,
    figures,
    is_derived,
    rounded,
    values,
)
from agentracer.attribution.embedded.text.sentences import claims, is_claim, sentence_at
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.unwrap import without_code_and_logs

__all__ = ["KINDS", "ValuesCheck"]

KINDS = FindingKinds()
"""What this check reports."""

_SWAPPED_DIGITS = KINDS.decisive(
    "swapped_digits",
    "swaps two digits of a figure that it got",
    detail="it passes on {figure}; {place} says {original}",
)
_CHANGED_IDENTIFIER = KINDS.decisive(
    "changed_identifier",
    "changes an identifier that it got",
    detail="it passes on {figure}, which nothing before it contains; {place} says {original}",
)
_REPLACED_FIGURE = KINDS.decisive(
    "replaced_figure",
    "replaces a figure of the task",
    detail="it repeats the figures of the task, but with {figure} where the task says {original}",
)
_MISREPORTED_RESULT = KINDS.decisive(
    "misreported_result",
    "states another value than its tool returned",
    detail="it states {figure}; {place}, of {tool}, is {original}",
)

_INVENTED_ARGUMENT = KINDS.against(
    "invented_argument",
    "calls a tool with a figure that occurs nowhere before",
    prior=0.5,
    detail="{figure}",
    marks_first=False,
)

_TECHNICAL_PARAMETER = re.compile(
    r"(?:^|_)(?:timeout|limit|max|min|top|size|page|offset|retries|retry|count|num|number|k|n|seed|"
    r"temperature|tokens|width|height|dpi|port|delay|interval|depth|batch|results|lines|length|"
    r"precision|decimals|digits|index|id|ids|version|url|uri|link|path|file|filename|code|color)(?:_|$)",
    re.IGNORECASE,
)
_SHORTEST_SWAP = 3  # digits; below it, a swap is another number
_MOST_CANDIDATES = 40  # figures with the same digits that are looked at
_LONGEST_REPORT = 80  # words of a text that reports one result
_WORD = re.compile(r"[^\W\d_]{4,}")
_YEAR = re.compile(r"(?:19|20)\d\d\Z")
_SCALAR = re.compile(r"\s*[\"'$€£]?(-?\d[\d,]*(?:\.\d+)?)[\"'%]?\s*\Z")
_FEWEST_REPEATED = 2  # figures of the task that a step repeats where it replaces one


@dataclass(slots=True)
class _Scalar:
    """A result that is one number and that its agent has not reported yet."""

    value: float
    text: str
    tool: str
    source: Mention


class ValuesCheck:
    """Compares what each step passes on with what it got. Fed with the events of a run, in order.

    Args:
        signals: of the run.

    Attributes:
        findings: so far.
    """

    def __init__(self, signals: Signals) -> None:
        self.findings = FindingLog(KINDS, len(signals.run.steps))
        self._signals = signals
        self._scalars: dict[str, _Scalar] = {}

    def take(self, event: RunEvent, known: Known) -> None:
        """Look at an event.

        Args:
            event: the next one.
            known: what was known before it.
        """
        step, signals = event.step, self._signals
        if event.kind == "result":
            self._take_result(event)
        elif event.kind == "asked" or step.index not in signals.quoting:
            text = without_code_and_logs(event.text) if event.kind == "said" else event.text
            if event.kind == "said" or "\n" not in text:  # no program and no letter
                self._compare(event, known, text)

    def _take_result(self, event: RunEvent) -> None:
        scalar, agent = _SCALAR.match(event.text), event.step.agent
        self._scalars.pop(agent, None)
        if scalar is None or event.call is None or event.call.error is not None:
            return
        value = float(scalar[1].replace(",", ""))
        source = Mention(event.step.index, True, scalar[1], event.text.strip())
        self._scalars[agent] = _Scalar(value, scalar[1], event.call.name, source)

    def _compare(self, event: RunEvent, known: Known, text: str) -> None:
        index, own = event.step.index, known.figures_of(text)
        for figure in own:
            original = _swapped(figure, known, text)
            if original is not None and (
                event.kind == "asked" or _is_alike(text, figure, original)
            ):
                self._report(index, _SWAPPED_DIGITS, text, figure.start, figure.text, original)
        if index != self._signals.briefing:
            self._compare_with_task(index, known, text, own)
        if event.kind == "asked":
            invented = _invented(event, known)
            if invented is not None:
                self.findings.add(index, _INVENTED_ARGUMENT, figure=invented, quote=invented)
            for token, start in identifiers(text):
                source = _near_identifier(token, known)
                if source is not None:
                    self._report(index, _CHANGED_IDENTIFIER, text, start, token, source)
        elif text.strip():
            self._compare_with_result(event, known, text, own)

    def _report(
        self, index: int, kind: FindingKind, text: str, start: int, own: str, source: Mention
    ) -> None:
        self.findings.add(
            index,
            kind,
            quote=line_around(text, start),
            source=source,
            figure=own,
            place=source.place,
            original=source.text,
        )

    def _compare_with_task(
        self, index: int, known: Known, text: str, own: Sequence[Figure]
    ) -> None:
        """Report a text that repeats all figures of the task but one, and has another instead."""
        task = known.task_figures
        others = {figure.value: figure for figure in own if figure.value not in task}
        if len(task) <= _FEWEST_REPEATED or len(others) != 1:
            return
        (foreign,) = others.values()
        held = values(text)
        missing = [figure for value, figure in task.items() if rounded(value) not in held]
        if len(missing) != 1 or rounded(foreign.value) in known.values:
            return
        if not is_derived(foreign.value, set(task)):
            self.findings.add(
                index,
                _REPLACED_FIGURE,
                quote=line_around(text, foreign.start),
                figure=foreign.text,
                original=missing[0].text,
            )

    def _compare_with_result(
        self, event: RunEvent, known: Known, text: str, own: Sequence[Figure]
    ) -> None:
        """Report a short text with one figure that is not what its agent just got from a tool."""
        scalar = self._scalars.pop(event.step.agent, None)
        if scalar is None or text.count(" ") > _LONGEST_REPORT:
            return
        if any(_rounds(f, scalar.value) for f in own) or _holds(text, scalar):
            return
        new = {f.value: f for f in own if rounded(f.value) not in known.values}
        claimed = {f.value for sentence in claims(text) for f in figures(sentence.text)}
        if len(new) != 1 or not claimed >= set(new):
            return
        (figure,) = new.values()
        others = {*known.task_figures, *list(known.figures)[-20:], scalar.value}
        if any(_follows(figure.value, scalar.value, other) for other in others):
            return
        self.findings.add(
            event.step.index,
            _MISREPORTED_RESULT,
            quote=line_around(text, figure.start),
            source=scalar.source,
            figure=figure.text,
            place=scalar.source.place,
            tool=scalar.tool,
            original=scalar.text,
        )


def _swapped(figure: Figure, known: Known, text: str) -> Mention | None:
    """The known figure of which this one is the same with two digits swapped."""
    digits = figure.text.replace(",", "")
    if figure.value in known.figures or _YEAR.match(digits):
        return None
    alike = known.by_digits.get(figure.digits)
    if alike is None or len(digits.replace(".", "")) < _SHORTEST_SWAP:
        return None
    for source in alike[:_MOST_CANDIDATES]:
        original = source.text.replace(",", "")
        if _YEAR.match(original) or not _is_swap(digits, original):
            continue
        known_otherwise = rounded(figure.value) in known.values or float(original) in values(text)
        if known_otherwise or known.may_give(figure.value):
            return None
        return source
    return None


def _invented(event: RunEvent, known: Known) -> str | None:
    """A figure that a call asks with and that nothing known gives, in whatever spelling."""
    request = " ; ".join(_request_texts(event.call.arguments if event.call else None))
    for figure in figures(request):
        if len(figure.text.replace(".", "")) < 2 or rounded(figure.value) in known.values:
            continue
        if not known.may_give(figure.value):
            return figure.text
    return None


def _request_texts(arguments: object, depth: int = 4) -> Iterator[str]:
    """The arguments that say what is asked for.

    Programs and letters (several lines), and parameters of the request itself (a timeout, a limit)
    do not.
    """
    if isinstance(arguments, dict) and depth:
        for name, value in arguments.items():
            if not _TECHNICAL_PARAMETER.search(str(name)):
                yield from _request_texts(value, depth - 1)
    elif isinstance(arguments, list) and depth:
        for value in arguments:
            yield from _request_texts(value, depth - 1)
    elif isinstance(arguments, int | float) and not isinstance(arguments, bool):
        yield f"{arguments}"
    elif isinstance(arguments, str) and "\n" not in arguments:
        yield arguments


def _is_alike(text: str, figure: Figure, original: Mention) -> bool:
    """Whether a claim with a figure and the line with the original have a word in common."""
    sentence = sentence_at(text, figure.start).text
    if not is_claim(sentence):
        return False
    words = {word.lower() for word in _WORD.findall(sentence)}
    return not words.isdisjoint(word.lower() for word in _WORD.findall(original.line))


def _is_swap(first: str, second: str) -> bool:
    """Whether two texts differ in two neighbouring digits that changed places."""
    positions = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    if len(positions) != 2:
        return False
    i, j = positions
    near = j == i + 1 or (j == i + 2 and first[i + 1] == ".")
    return near and first[i] == second[j] and first[j] == second[i]


def _near_identifier(token: str, known: Known) -> Mention | None:
    """The only known identifier that differs from an unknown one in one or two characters."""
    if token in known.identifiers:
        return None
    folded = token.casefold()
    near = []
    for other, source in known.identifiers.items():
        if other.casefold() == folded:
            return None
        if len(other) == len(token) and _differences(folded, other.casefold()) <= 2:
            near.append(source)
    return near[0] if len(near) == 1 else None


def _differences(first: str, second: str) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))


def _holds(text: str, scalar: _Scalar) -> bool:
    held = values(text)
    return any(
        rounded(scalar.value * factor) in held
        or any(abs(h - scalar.value * factor) < 1e-6 for h in held)
        for factor in (1.0, 100.0, 0.01, 0.001, 1000.0, -1.0)
    )


def _rounds(figure: Figure, value: float) -> bool:
    """Whether a figure is a value rounded to the decimals of the figure."""
    decimals = len(figure.text.partition(".")[2])
    return abs(figure.value - value) <= 0.5 * 10.0**-decimals + 1e-9 or (
        value != 0 and abs(figure.value / value - 1) < 0.01
    )


def _follows(value: float, result: float, other: float) -> bool:
    """Whether a value is the result combined with another number."""
    return any(
        abs(value - candidate) <= max(1e-6, 0.005 * abs(candidate))
        for candidate in _uses(result, other)
    )


def _uses(result: float, other: float) -> Iterator[float]:
    yield result + other
    yield abs(result - other)
    yield result * other
    if other:
        yield result / other
    if result:
        yield other / result
