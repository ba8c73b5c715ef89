"""The facts of each step of a run: what it says, and what of it is new or unsupported.

One pass, linear in the text, including the messages that steps read, each of which is read once.
What is kept of a step does not grow with its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agentracer.attribution.embedded.text.assignments import NamedValues, ValueChange
from agentracer.attribution.embedded.text.calculations import Calculation, wrong_calculations
from agentracer.attribution.embedded.text.code import CodeFacts, inspect_code
from agentracer.attribution.embedded.text.figures import miscopied_figure
from agentracer.attribution.embedded.text.lexicon import STOPWORDS, WORD_CLASSES
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.system_conventions import CHAT_END
from agentracer.attribution.embedded.text.tokens import Tokens, share, tokens
from agentracer.attribution.embedded.text.unwrap import without_code_and_logs
from agentracer.trace import Step, ToolCall

__all__ = ["RunFacts", "StepFacts", "read_run"]

_CONCLUSION = 600  # characters at the end of the last contribution
_SHORTEST_CONCLUSION = 20  # characters; a step with no more is passed over
_EXAMPLES = 4
_EMPTY: frozenset[str] = frozenset()


@dataclass(slots=True)  # not frozen: that would take twice as long to make
class StepFacts:
    """What one step says, in figures that do not grow with its text.

    Attributes:
        from_outside: whether it reports from outside (a tool, an execution, the user).
        size: number of words and figures.
        new_words: number of words that occur nowhere earlier.
        facts: number of facts.
        new_facts: number of facts that occur neither in the task nor earlier.
        examples: some of them.
        uses: earlier step -> number of facts of this step that first occurred there.
        word_counts: class of the lexicon -> number of different words of that class.
        like_before: share of words in common with the previous turn of its agent.
        task_words: share of the words of the task that occur in it.
        task_facts: share of the facts of the task that occur in it.
        answer_share: share of the answer that occurs in it.
        answer_beyond_task: share of what the answer has beyond the task that occurs in it.
        new_answer_share: share of that which occurs nowhere earlier; 0 in a briefing.
        source: the step of the last result from outside before it.
        miscopied: a figure that it states, and the figure of that result with the same digits.
        beyond_result: share of its facts that nothing earlier supports, right after a result.
        ignores_result: whether it repeats no fact of a result right before it.
        change: a named value that it states differently from an earlier step.
        wrong_calculations: calculations in it that are wrong.
        code: what is visible in its code.
    """

    from_outside: bool
    size: int
    new_words: int
    facts: int
    new_facts: int
    examples: tuple[str, ...]
    uses: dict[int, int]
    word_counts: dict[str, int]
    like_before: float
    task_words: float
    task_facts: float
    answer_share: float
    answer_beyond_task: float
    new_answer_share: float
    source: int | None
    miscopied: tuple[str, str] | None
    beyond_result: float
    ignores_result: bool
    change: ValueChange | None
    wrong_calculations: tuple[Calculation, ...]
    code: CodeFacts


@dataclass(frozen=True)
class RunFacts:
    """The facts of a run.

    Attributes:
        steps: those of each step, in order.
        has_answer: whether the run states an answer; else the last conclusion is taken for it.
        conclusion_step: the step that the conclusion was taken from, if it was.
        answer_beyond_task: words and figures that the answer, or the conclusion, has beyond the
            task.
        has_task_facts: whether the task has figures or names at all.
    """

    steps: list[StepFacts]
    has_answer: bool
    conclusion_step: int | None
    answer_beyond_task: frozenset[str]
    has_task_facts: bool


def read_run(signals: Signals) -> RunFacts:
    """Read a run once, from its task to its end."""
    return _Reader(signals).read()


@dataclass
class _Memory:
    """What the steps so far have said.

    Attributes:
        seen: every word and figure.
        introduced: fact -> the step in which it first occurred.
        links: prompt prefixes that were read.
        texts: texts whose words and figures are in `seen`.
        last_words: agent -> the words of its last turn.
        values: named values.
        result: the last result from outside, and its step.
        missing: what of the answer has not occurred yet.
        calculations: wrong ones that were stated.
    """

    seen: set[str]
    missing: set[str]
    calculations: set[str] = field(default_factory=set)
    introduced: dict[str, int] = field(default_factory=dict)
    links: set[int] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    last_words: dict[str, frozenset[str]] = field(default_factory=dict)
    values: NamedValues = field(default_factory=NamedValues)
    result: tuple[int, Tokens] | None = None


@dataclass(frozen=True)
class _Citation:
    """How what a step states agrees with the last result from outside; see `StepFacts`."""

    source: int | None = None
    miscopied: tuple[str, str] | None = None
    beyond: float = 0.0
    ignores: bool = False


class _Reader:
    """Reads the steps of one run in order."""

    def __init__(self, signals: Signals) -> None:
        self.signals, self.run = signals, signals.run
        self.outsiders = signals.executors | signals.users
        task = tokens(self.run.task)
        self.task_words, self.task_facts = task.words - STOPWORDS, task.facts
        # Words of the task do not count: a task may ask for a sample or an assumption.
        self.classes = {name: words - task.words for name, words in WORD_CLASSES.items()}
        self.answer, self.conclusion_step = self._answer()
        self.beyond_task = self.answer - task.facts - self.task_words
        self.beyond_task_size = max(len(self.beyond_task), 1)
        self.memory = _Memory(
            seen=set(task.all),
            missing=set(self.beyond_task),
        )

    def read(self) -> RunFacts:
        return RunFacts(
            steps=[self._step(step) for step in self.run.steps],
            has_answer=bool((self.run.outcome.answer or "").strip()),
            conclusion_step=self.conclusion_step,
            answer_beyond_task=self.beyond_task,
            has_task_facts=bool(self.task_facts),
        )

    def _answer(self) -> tuple[frozenset[str], int | None]:
        """Words and figures of the answer; without an answer, facts of the last conclusion."""
        answer = self.run.outcome.answer
        if answer and answer.strip():
            held = tokens(" : " + answer)
            # All of a short answer counts, even one digit or a name at its start.
            return held.facts | held.numbers | (held.words - STOPWORDS), None
        for step in reversed(self.run.steps):
            text = "" if step.agent in self.outsiders else CHAT_END.sub("", step.content)
            if len(text) > _SHORTEST_CONCLUSION:
                held = tokens(text[-_CONCLUSION:])
                return held.facts | held.numbers, step.index
        return _EMPTY, None

    def _step(self, step: Step) -> StepFacts:
        self._read_messages(step)
        memory = self.memory
        from_outside = step.agent in self.outsiders or step.kind == "tool"
        text = "\n".join([step.content, *_requests(step)])
        held = tokens(text)
        # An agent answers for its prose alone; of a report from outside all counts.
        prose = step.content if from_outside else without_code_and_logs(step.content)
        new = frozenset(fact for fact in held.facts if fact not in memory.seen)
        new_words = len(held.words - memory.seen)
        before = memory.last_words.get(step.agent, _EMPTY)
        citation = _Citation()
        if not from_outside and step.index != self.signals.briefing:
            claims = held if prose == text else tokens(prose)
            citation = self._citation(step.index, held, new, claims.numbers)
        facts = StepFacts(
            from_outside=from_outside,
            size=text.count(" ") + text.count("\n") + 1,
            new_words=new_words,
            facts=len(held.facts),
            new_facts=len(new),
            examples=tuple(sorted(new)[:_EXAMPLES]),
            uses=self._uses(held.facts - new),
            word_counts={name: len(held.words & words) for name, words in self.classes.items()},
            like_before=len(before & held.words) / max(len(before | held.words), 1),
            task_words=share(held.words, self.task_words),
            task_facts=share(held.facts, self.task_facts),
            answer_share=share(held.all, self.answer),
            answer_beyond_task=len(self.beyond_task & held.all) / self.beyond_task_size,
            new_answer_share=self._new_answer_share(step.index, held),
            source=citation.source,
            miscopied=citation.miscopied,
            beyond_result=citation.beyond,
            ignores_result=citation.ignores,
            change=memory.values.update(step.index, prose, from_outside=from_outside),
            # Calculations in a report from outside are those of a page or a program.
            wrong_calculations=() if from_outside else self._own_mistakes(prose),
            code=inspect_code(step.content),
        )
        self._remember(step, held, new, from_outside=from_outside)
        return facts

    def _own_mistakes(self, prose: str) -> tuple[Calculation, ...]:
        """The wrong calculations that no earlier step states: who repeats one may be quoting it."""
        wrong = [w for w in wrong_calculations(prose) if w.text not in self.memory.calculations]
        self.memory.calculations.update(calculation.text for calculation in wrong)
        return tuple(wrong)

    def _read_messages(self, step: Step) -> None:
        """Take in the messages that a step read and that are no steps themselves."""
        position = step.reads
        while position is not None and position not in self.memory.links:
            self.memory.links.add(position)
            link = self.run.contexts[position]
            text = self.run.messages[link.message].content
            if text not in self.memory.texts:
                self.memory.texts.add(text)
                self.memory.seen |= tokens(text).all
            position = link.parent

    def _uses(self, old_facts: frozenset[str]) -> dict[int, int]:
        uses: dict[int, int] = {}
        for fact in old_facts:
            source = self.memory.introduced.get(fact)
            if source is not None:
                uses[source] = uses.get(source, 0) + 1
        return uses

    def _new_answer_share(self, index: int, held: Tokens) -> float:
        if index == self.signals.briefing:
            return 0.0
        new = self.memory.missing & held.all
        self.memory.missing -= new
        return len(new) / self.beyond_task_size

    def _citation(
        self, index: int, held: Tokens, new: frozenset[str], claimed: frozenset[str]
    ) -> _Citation:
        if self.memory.result is None:
            return _Citation()
        source, result = self.memory.result
        miscopied = miscopied_figure(new & claimed, result.numbers)
        if index - source > 1 or not result.facts:
            return _Citation(source, miscopied)
        beyond = len(new) / max(len(held.facts), 1)
        return _Citation(source, miscopied, beyond, not held.facts & result.facts)

    def _remember(
        self, step: Step, held: Tokens, new: frozenset[str], *, from_outside: bool
    ) -> None:
        memory = self.memory
        memory.seen |= held.all
        memory.texts.add(step.content)
        memory.introduced.update(dict.fromkeys(new, step.index))
        memory.last_words[step.agent] = held.words
        if from_outside and step.agent not in self.signals.users:
            memory.result = step.index, held
        results: dict[int, list[str]] = {}
        for ref, call in self.signals.nesting.results_after(step.index):
            if text := _returned(call):
                results.setdefault(ref.step, []).append(text)
        for caller, texts in results.items():
            returned = tokens("\n".join(texts))
            unseen = [fact for fact in returned.facts if fact not in memory.seen]
            memory.introduced.update(dict.fromkeys(unseen, caller))
            memory.seen |= returned.all
            memory.result = caller, returned


def _requests(step: Step) -> Iterator[str]:
    for call in step.tool_calls:
        yield f"{call.name} {call.arguments}" if call.arguments is not None else call.name


def _returned(call: ToolCall) -> str:
    texts = [] if call.result is None else [str(call.result)]
    return "\n".join(texts if call.error is None else [*texts, call.error.message])
