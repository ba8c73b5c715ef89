"""One pass over the text of a run: what each step says, and what of it is new or unsupported.

The pass is linear in the text, including the messages that steps read, each of which is looked at
once; what it keeps of a step does not grow with the step's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from agentracer.attribution.embedded.text.assignments import prose
from agentracer.attribution.embedded.text.code import CodeFacts, inspect_code
from agentracer.attribution.embedded.text.figures import Sum, misread, wrong_sums
from agentracer.attribution.embedded.text.lexicon import CLASSES, STOPWORDS
from agentracer.attribution.embedded.text.named_values import Change, Values
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.tokens import Tokens, share, tokens
from agentracer.trace import Step

__all__ = ["Reading", "StepReading", "read_run"]

_CLOSING = re.compile(r"\W*\b(?:TERMINATE|DONE|STOP|END)\W*\Z")
_CONCLUSION = 600  # characters at the end of the last contribution
_EXAMPLES = 4
_NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)  # not frozen: that would take twice as long to make
class StepReading:
    """What one step says, in figures that do not grow with its text.

    Attributes:
        given: whether it reports from outside (a tool, an execution, the user).
        size: number of words and figures.
        fresh: words that nothing earlier held.
        facts: number of facts.
        new: facts that neither the task nor anything earlier held.
        examples: some of `new`.
        uses: earlier step -> number of facts of this step that first came up there.
        classes: different words of each class of the lexicon, in its order.
        like_before: share of words in common with its agent's turn before.
        task_words: share of the words of the task that it holds; likewise `task_facts`.
        holds: share of the answer that it holds.
        brings: share of what the answer has beyond the task that it holds.
        first_holds: share of that which nothing before it held; a briefing does not count.
        source: the step of the last result from outside before it.
        slip: a figure that it states, and the figure of that result it was miscopied from.
        beyond: share of its facts that nothing earlier supports, right after a result.
        ignores: whether it takes up nothing of a result right before it.
        invented_argument: a figure in a tool call's arguments that nothing earlier held.
        change: a named value that it states differently from before.
        sums: sums in it that are not so.
        code: what is visible in its code.
    """

    given: bool
    size: int
    fresh: int
    facts: int
    new: int
    examples: tuple[str, ...]
    uses: dict[int, int]
    classes: tuple[int, ...]
    like_before: float
    task_words: float
    task_facts: float
    holds: float
    brings: float
    first_holds: float
    source: int | None
    slip: tuple[str, str] | None
    beyond: float
    ignores: bool
    invented_argument: str | None
    change: Change | None
    sums: tuple[Sum, ...]
    code: CodeFacts


@dataclass(frozen=True)
class Reading:
    """A run, read.

    Attributes:
        steps: in order.
        stated: whether the run has an answer of its own; else the last conclusion stands for it.
        concluding: the step that the conclusion was taken from, if there is one.
        sought: words and figures that the answer, or the conclusion, has beyond the task.
        has_task_facts: whether the task holds figures or names at all.
    """

    steps: list[StepReading]
    stated: bool
    concluding: int | None
    sought: frozenset[str]
    has_task_facts: bool


def read_run(signals: Signals) -> Reading:
    """Read a run once, from its task to its end."""
    return _Reader(signals).read()


@dataclass
class _Memory:
    """What has been said so far.

    Attributes:
        seen: every word and figure.
        introduced: fact -> the step that brought it up.
        links: prompt prefixes that were taken in.
        last_words: agent -> the words of its last turn.
        values: named values.
        result: the last result from outside, and the step of it.
        missing: what of the answer has not come up yet.
    """

    seen: set[str]
    missing: set[str]
    introduced: dict[str, int] = field(default_factory=dict)
    links: set[int] = field(default_factory=set)
    last_words: dict[str, frozenset[str]] = field(default_factory=dict)
    values: Values = field(default_factory=Values)
    result: tuple[int, Tokens] | None = None


class _Reader:
    """Reads the steps of one run in order."""

    def __init__(self, signals: Signals) -> None:
        self.signals, self.run = signals, signals.run
        self.outside = signals.executors | signals.users
        task = tokens(self.run.task)
        self.task_words, self.task_facts = task.words - STOPWORDS, task.facts
        # Words of the task give no step away: a task may ask for a sample or an assumption.
        self.classes = [members - task.words for members in CLASSES.values()]
        self.answer, self.concluding = self._answer()
        self.sought = self.answer - task.facts - self.task_words
        self.whole = max(len(self.sought), 1)
        self.memory = _Memory(seen=set(task.all), missing=set(self.sought))

    def read(self) -> Reading:
        steps = [self._step(step) for step in self.run.steps]
        stated = bool((self.run.outcome.answer or "").strip())
        return Reading(steps, stated, self.concluding, self.sought, bool(self.task_facts))

    def _answer(self) -> tuple[frozenset[str], int | None]:
        """The facts of the answer; without facts in it, its words."""
        stated = self.run.outcome.answer
        if stated and stated.strip():
            found = tokens(" : " + (stated))
            # All of a short answer counts, even one digit or a name at its start.
            return found.facts | found.numbers | (found.words - STOPWORDS), None
        for step in reversed(self.run.steps):
            text = "" if step.agent in self.outside else _CLOSING.sub("", step.content)
            if len(text) > 20:
                found = tokens(text[-_CONCLUSION:])
                return found.facts | found.numbers, step.index
        return _NOTHING, None

    def _step(self, step: Step) -> StepReading:
        self._recall(step)
        memory = self.memory
        given = step.agent in self.outside or step.kind == "tool"
        said = "\n".join([step.content, *_asked(step)])
        found = tokens(said)
        # What an agent vouches for; from outside, all that is reported counts.
        claimed = step.content if given else prose(step.content)
        new = frozenset(fact for fact in found.facts if fact not in memory.seen)
        fresh = len(found.words - memory.seen)
        before = memory.last_words.get(step.agent, _NOTHING)
        argument = self._invented_argument(step)
        source, slip, beyond, ignores = (None, None, 0.0, False)
        if not given and step.index != self.signals.briefing:
            stated = found if claimed == said else tokens(claimed)
            source, slip, beyond, ignores = self._citation(step.index, found, new, stated.numbers)
        reading = StepReading(
            given=given,
            size=said.count(" ") + said.count("\n") + 1,
            fresh=fresh,
            facts=len(found.facts),
            new=len(new),
            examples=tuple(sorted(new)[:_EXAMPLES]),
            uses=self._uses(found.facts - new),
            classes=tuple(len(found.words & members) for members in self.classes),
            like_before=len(before & found.words) / max(len(before | found.words), 1),
            task_words=share(found.words, self.task_words),
            task_facts=share(found.facts, self.task_facts),
            holds=share(found.all, self.answer),
            brings=len(self.sought & found.all) / self.whole,
            first_holds=self._first_holds(step.index, found),
            source=source,
            slip=slip,
            beyond=beyond,
            ignores=ignores,
            invented_argument=argument,
            change=self.memory.values.read(step.index, claimed, given=given),
            # Sums in a report from outside are those of a page or a program, not of an agent.
            sums=() if given else tuple(wrong_sums(claimed)),
            code=inspect_code(step.content),
        )
        self._remember(step, found, new, given=given)
        return reading

    def _recall(self, step: Step) -> None:
        """Take in the messages that a step read and that are no step themselves."""
        position = step.reads
        while position is not None and position not in self.memory.links:
            self.memory.links.add(position)
            link = self.run.contexts[position]
            text = self.run.messages[link.message].content
            self.memory.seen |= tokens(text).all
            position = link.parent

    def _uses(self, known: frozenset[str]) -> dict[int, int]:
        uses: dict[int, int] = {}
        for fact in known:
            source = self.memory.introduced.get(fact)
            if source is not None:
                uses[source] = uses.get(source, 0) + 1
        return uses

    def _first_holds(self, index: int, found: Tokens) -> float:
        if index == self.signals.briefing:
            return 0.0
        here = self.memory.missing & found.all
        self.memory.missing -= here
        return len(here) / self.whole

    def _citation(
        self, index: int, found: Tokens, new: frozenset[str], stated: frozenset[str]
    ) -> tuple[int | None, tuple[str, str] | None, float, bool]:
        """How what a step states agrees with the last result from outside."""
        if self.memory.result is None:
            return None, None, 0.0, False
        source, result = self.memory.result
        slip = misread(new & stated, result.numbers)
        if index - source > 1 or not result.facts:
            return source, slip, 0.0, False
        beyond = len(new) / max(len(found.facts), 1)
        return source, slip, beyond, not found.facts & result.facts

    def _invented_argument(self, step: Step) -> str | None:
        for call in step.tool_calls:
            asked = tokens(f" {_short(call.arguments)} ")
            unknown = sorted(n for n in asked.numbers - self.memory.seen if len(n) > 1)
            if unknown:
                return unknown[0]
        return None

    def _remember(self, step: Step, found: Tokens, new: frozenset[str], *, given: bool) -> None:
        memory = self.memory
        memory.seen |= found.all
        memory.introduced.update(dict.fromkeys(new, step.index))
        memory.last_words[step.agent] = found.words
        if given and step.agent not in self.signals.users:
            memory.result = step.index, found
        results = "\n".join(_results(step))
        if results:
            got = tokens(results)
            fresh = (fact for fact in got.facts if fact not in memory.seen)
            memory.introduced.update(dict.fromkeys(list(fresh), step.index))
            memory.seen |= got.all
            memory.result = step.index, got


def _asked(step: Step) -> Iterator[str]:
    for call in step.tool_calls:
        yield f"{call.name} {call.arguments}" if call.arguments is not None else call.name


def _short(arguments: object) -> object:
    """Arguments without those of several lines: these are programs and letters, no requests."""
    if isinstance(arguments, dict):
        return {k: v for k, v in arguments.items() if not (isinstance(v, str) and "\n" in v)}
    several = arguments is None or (isinstance(arguments, str) and "\n" in arguments)
    return "" if several else arguments


def _results(step: Step) -> Iterator[str]:
    for call in step.tool_calls:
        if call.result is not None:
            yield str(call.result)
        if call.error is not None:
            yield call.error.message
