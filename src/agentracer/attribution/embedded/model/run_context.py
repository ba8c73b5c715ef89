"""What the steps of a run are to each other, before `features` turns it into numbers.

Whose turn a step is, what rests on it, who complains of it, and which is the first of its kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from agentracer.attribution.embedded.checks.claimed_actions import watch_conduct
from agentracer.attribution.embedded.checks.code_history import follow_versions
from agentracer.attribution.embedded.checks.findings import Notes
from agentracer.attribution.embedded.checks.grounding import compare_sources
from agentracer.attribution.embedded.checks.plan_consistency import keep_books
from agentracer.attribution.embedded.rule_list import Rule, ranking
from agentracer.attribution.embedded.text.assignments import plain
from agentracer.attribution.embedded.text.lexicon import CLASSES
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.step_facts import Reading, read_run
from agentracer.trace import Observed, Step

__all__ = ["CLASS_PLACES", "Course"]

CLASS_PLACES = {name: position for position, name in enumerate(CLASSES)}
"""Where the readings keep the count of each class of words."""

_REACH = 3  # steps after a step in which others may react to it
_ENOUGH_FACTS = 2  # new facts from which a step is the first to state some


class Course:
    """One run, looked at as a whole. Linear in its text.

    Attributes:
        run: the run itself.
        signals: roles and failures.
        reading: what each step says.
        kinds: what each step is: worker, instruction, deliberation, briefing, executor or user.
        managed: whether some agents hand work to others.
        rule: of the rule list that fires; None in a run without steps.
        notes: what checks of the content noted at each step.
        longest: size of the longest step.
        failed: steps at which something broke.
        lost_calls: steps with a failed call that nothing made good.
        turns: of each step, its number among the steps of its kind and among its agent's.
        work: number of steps of workers.
        agent_turns: number of steps of each agent.
        reach: how much of the end rests on each step through its facts.
        users: how many later steps use the facts of each step.
        reactions: words of failure or correction that others react with to each step.
        failures_before: failures before each step.
        firsts: what kind of thing a run has -> the first step with it.
    """

    def __init__(self, run: Observed) -> None:
        self.run, self.signals = run, Signals(run)
        self.reading: Reading = read_run(self.signals)
        self.notes = _noted(self.signals, self.reading)
        self.managed = bool(self.signals.managers)
        self.kinds = [self._kind(step) for step in run.steps]
        self.longest = max((step.size for step in self.reading.steps), default=1)
        self.failed = frozenset(self.signals.failures)
        self.lost_calls = frozenset(_lost_calls(run))
        self.turns = self._turn_numbers()
        self.work = sum(kind == "worker" for kind in self.kinds)
        self.agent_turns = Counter(step.agent for step in run.steps)
        self.reach, self.users = self._dependence()
        self.reactions = self._complaints()
        self.failures_before = self._running_failures()
        self.firsts = self._first_steps()
        self.rule: Rule | None = None
        order: list[int] = []
        if run.steps:
            self.rule, order = ranking(self.signals)
        self._places = {index: place for place, index in enumerate(order, start=1)}

    def __len__(self) -> int:
        return len(self.run.steps)

    def _kind(self, step: Step) -> str:
        if step.index == self.signals.briefing:
            return "briefing"
        if step.agent in self.signals.users:
            return "user"
        if step.agent in self.signals.executors or step.kind == "tool":
            return "executor"
        if step.agent in self.signals.managers:
            return "instruction" if step.to is not None else "deliberation"
        return "worker"

    def _turn_numbers(self) -> list[tuple[int, int]]:
        """For each step: its number among the steps of its kind, and among its agent's."""
        by_kind: dict[str, int] = {}
        by_agent: dict[str, int] = {}
        turns = []
        for step, kind in zip(self.run.steps, self.kinds, strict=True):
            by_kind[kind] = by_kind.get(kind, 0) + 1
            by_agent[step.agent] = by_agent.get(step.agent, 0) + 1
            turns.append((by_kind[kind], by_agent[step.agent]))
        return turns

    def _dependence(self) -> tuple[list[float], list[int]]:
        """How much of the end rests on each step through its facts, and how many steps use them."""
        weight, users = [0.0] * len(self), [0] * len(self)
        if len(self):
            end = self.reading.concluding
            weight[len(self) - 1 if end is None else end] = 1.0
        for index in range(len(self) - 1, -1, -1):
            uses = self.reading.steps[index].uses
            total = sum(uses.values())
            for source, number in uses.items():
                weight[source] += 0.8 * weight[index] * number / total
                users[source] += 1
        return weight, users

    def _complaints(self) -> list[int]:
        """How many words of failure or correction the next few steps of others hold at most."""
        said = [
            0
            if read.given
            else read.classes[CLASS_PLACES["corrects"]] + read.classes[CLASS_PLACES["fails"]]
            for read in self.reading.steps
        ]
        steps = self.run.steps
        return [
            max(
                (
                    said[later]
                    for later in range(step.index + 1, min(step.index + 1 + _REACH, len(self)))
                    if steps[later].agent != step.agent
                ),
                default=0,
            )
            for step in steps
        ]

    def _running_failures(self) -> list[int]:
        count, found = 0, []
        for index in range(len(self)):
            found.append(count)
            count += index in self.failed
        return found

    def _first_steps(self) -> dict[str, int]:
        """The first step of each of a few kinds: where a rule of thumb would point."""
        found: dict[str, int] = {}
        for index, notes in enumerate(self.notes):
            for name in notes:
                found.setdefault(name, index)
        for index, read in enumerate(self.reading.steps):
            if read.given or index == self.signals.briefing:
                continue
            if self.signals.code[index]:
                found.setdefault("code", index)
                if self.failure_after(index) is not None:
                    found.setdefault("failure follows", index)
            if read.new >= _ENOUGH_FACTS:
                found.setdefault("figures nobody gave", index)
            if read.classes[CLASS_PLACES["invents"]]:
                found.setdefault("invents", index)
            if read.first_holds:
                found.setdefault("answer", index)
        return found

    def place(self, index: int) -> int:
        """Where the rule list places a step, from 1."""
        return self._places[index]

    def own_turn(self, index: int) -> int:
        """Which turn of its agent a step is, from 1."""
        return self.turns[index][1]

    def failure_after(self, index: int) -> int | None:
        """The step at which what a step wrote failed, if it did."""
        after = index if index in self.failed else index + 1
        return after if after in self.failed else None


def _noted(signals: Signals, reading: Reading) -> list[Notes]:
    """What every check of the content noted, step by step."""
    run = signals.run
    texts = [plain(step.content) for step in run.steps]
    checks = (
        keep_books(run, texts),
        compare_sources(run, texts),
        follow_versions(run, texts),
        watch_conduct(signals, texts, [step.new for step in reading.steps]),
    )
    return [
        dict(chain.from_iterable(notes.items() for notes in noted))
        for noted in zip(*checks, strict=True)
    ]


def _lost_calls(run: Observed) -> Iterator[int]:
    """Steps with a failed call that no later call of the same agent and tool made good."""
    good: dict[tuple[str, str], int] = {}
    for step in run.steps:
        for call in step.tool_calls:
            if call.error is None:
                good[step.agent, call.name] = step.index
    for step in run.steps:
        for call in step.tool_calls:
            if call.error is not None and good.get((step.agent, call.name), -1) < step.index:
                yield step.index
