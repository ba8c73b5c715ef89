"""What a run has said, asked for and got back, in the order in which it could be known.

The result of a call inside which other steps ran (an agent called as a tool) comes after those
steps: before them, nobody had read it. `Known` collects what was known at one point of a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from agentracer.attribution.embedded.text.quantities import Figure, figures, is_derived, values
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.unwrap import as_text
from agentracer.trace import Step, ToolCall

__all__ = ["Known", "Mention", "RunEvent", "events", "identifiers", "line_around"]

_LONGEST = 40_000  # characters of one text that are read
_LONGEST_LINE = 160
_IDENTIFIER = re.compile(
    r"(?<![\w/.-])(?:[A-Za-z_]++\d|\d++[A-Za-z_])\w*+(?![\w/-]|\.\w)", re.ASCII
)
_IDENTIFIER_LENGTHS = range(5, 41)
_MOST_FIGURES = 2_000  # of a run that are kept with their source
_RECENT_FIGURES = 60  # of which sums and products are looked at
_MOST_DERIVATIONS = 500  # of a run: each takes up to a millisecond

Kind = Literal["said", "asked", "result"]


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that became known in a run.

    Attributes:
        kind: a step wrote its text, asked for a call, or got its result.
        step: whose it is.
        text: what became known.
        call: the tool call, unless the step wrote text.
    """

    kind: Kind
    step: Step
    text: str
    call: ToolCall | None = None


def events(signals: Signals) -> Iterator[RunEvent]:
    """What became known, in that order: results of a call after the steps that ran inside it."""
    run, nesting = signals.run, signals.nesting
    for step in run.steps:
        yield RunEvent("said", step, step.content[:_LONGEST])
        for call in step.tool_calls:
            yield RunEvent("asked", step, as_text(call.arguments)[:_LONGEST], call)
        for reference, call in nesting.results_after(step.index):
            failure = f"{call.error.type}: {call.error.message}" if call.error is not None else ""
            if failure or call.result is not None:
                caller = run.steps[reference.step]
                yield RunEvent("result", caller, failure or as_text(call.result)[:_LONGEST], call)


@dataclass(frozen=True, slots=True)
class Mention:
    """Where something was first stated: a step, or the task (`step` is None).

    Attributes:
        step: that stated it.
        is_result: whether a tool or an execution stated it.
        text: as it was written there.
        context: the text that holds it.
        start: where in it.
    """

    step: int | None
    is_result: bool
    text: str
    context: str
    start: int = 0

    @property
    def line(self) -> str:
        """The line around it, verbatim."""
        return line_around(self.context, self.start)

    @property
    def place(self) -> str:
        """`the task`, `the result at step 3` or `step 3`; without the name of an agent."""
        if self.step is None:
            return "the task"
        return f"the result at step {self.step}" if self.is_result else f"step {self.step}"


@dataclass
class Known:
    """What a run has stated so far.

    Attributes:
        signals: of the run.
        has_calls: whether the run has tool calls: without one, identifiers are not compared.
        figures: value -> where it was first stated as a figure.
        by_digits: the digits of a figure in order -> those figures.
        identifiers: identifier -> where it was first stated.
        task_figures: value -> the figure of the task.
    """

    signals: Signals
    has_calls: bool
    figures: dict[float, Mention] = field(default_factory=dict)
    by_digits: dict[str, list[Mention]] = field(default_factory=dict)
    identifiers: dict[str, Mention] = field(default_factory=dict)
    task_figures: dict[float, Figure] = field(default_factory=dict)
    _derivations: int = 0
    _values: set[float] = field(default_factory=set)
    _unread: list[str] = field(default_factory=list)
    _links: set[int] = field(default_factory=set)
    _last: tuple[str, list[Figure]] = ("", [])

    @classmethod
    def at_start(cls, signals: Signals) -> Known:
        """What is known before the first step: the task, and what the agents were told."""
        run = signals.run
        known = cls(signals, any(step.tool_calls for step in run.steps))
        task = run.task[:_LONGEST]
        known.task_figures = {figure.value: figure for figure in figures(task)}
        known._learn(task, None, is_result=False)
        known._unread += [(agent.system_prompt or "")[:_LONGEST] for agent in run.agents]
        return known

    @property
    def values(self) -> set[float]:
        """All numbers that are known, in any spelling. Texts are read for them when first asked."""
        for text in self._unread:
            self._values |= values(text)
        self._unread.clear()
        return self._values

    @property
    def recent_figures(self) -> set[float]:
        """The figures that were stated last, and those of the task."""
        return {*islice(reversed(self.figures), _RECENT_FIGURES), *self.task_figures}

    def may_give(self, value: float) -> bool:
        """Whether recent figures give a value; taken for granted after many values of a run."""
        self._derivations += 1
        return self._derivations > _MOST_DERIVATIONS or is_derived(value, self.recent_figures)

    def figures_of(self, text: str) -> list[Figure]:
        """The figures of a text; those of the last one are kept."""
        if self._last[0] is not text:
            self._last = text, list(figures(text))
        return self._last[1]

    def read(self, step: Step) -> None:
        """Take in the messages that a step read and that are no steps themselves."""
        run, position = self.signals.run, step.reads
        while position is not None and position not in self._links:
            self._links.add(position)
            link = run.contexts[position]
            self._unread.append(run.messages[link.message].content[:_LONGEST])
            position = link.parent

    def learn(self, event: RunEvent) -> None:
        """Take in an event."""
        step = event.step
        outside = event.kind == "result" or step.index in self.signals.quoting
        self._learn(event.text, step.index, is_result=outside)

    def _learn(self, text: str, step: int | None, *, is_result: bool) -> None:
        self._unread.append(text)
        if len(self.figures) < _MOST_FIGURES:
            for figure in self.figures_of(text):
                if figure.value not in self.figures:
                    mention = Mention(step, is_result, figure.text, text, figure.start)
                    self.figures[figure.value] = mention
                    self.by_digits.setdefault(figure.digits, []).append(mention)
        if self.has_calls and len(self.identifiers) < _MOST_FIGURES:
            for token, start in identifiers(text):
                if token not in self.identifiers:
                    self.identifiers[token] = Mention(step, is_result, token, text, start)


def identifiers(text: str) -> Iterator[tuple[str, int]]:
    """The words of letters and digits in a text, such as `HAT136`, and where they begin."""
    for match in _IDENTIFIER.finditer(text):
        if len(match[0]) in _IDENTIFIER_LENGTHS:
            yield match[0], match.start()


def line_around(text: str, position: int) -> str:
    """The line around a position, verbatim; cut where it is long, but around the position."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    if end - start > _LONGEST_LINE:
        start = max(start, position - _LONGEST_LINE // 2)
        end = min(end, start + _LONGEST_LINE)
    return text[start:end].strip()
