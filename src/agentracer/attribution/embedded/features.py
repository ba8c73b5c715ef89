"""The numbers that the ranker sees of each step.

They come from the common schema and the text alone: never from the name of an agent, a tool or a
file, and never from labels. Every feature is one of `catalogue.CATALOGUE`, lies between 0 and
about 2, and 0 means "not so". Rows are made one at a time and not kept, so that a run of 50,000
steps fits into memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from agentracer.attribution.embedded.catalogue import MANAGED
from agentracer.attribution.embedded.ledger import keep_books
from agentracer.attribution.embedded.lexicon import CLASSES
from agentracer.attribution.embedded.notes import Notes
from agentracer.attribution.embedded.reading import Reading, read_run
from agentracer.attribution.embedded.rules import Rule, ranking
from agentracer.attribution.embedded.shapes import CONTENT
from agentracer.attribution.embedded.signals import Signals
from agentracer.attribution.embedded.sourcing import compare_sources
from agentracer.attribution.embedded.statements import plain
from agentracer.attribution.embedded.versions import follow_versions
from agentracer.trace import Observed, Step

__all__ = ["FEATURES_VERSION", "Features", "Row"]

FEATURES_VERSION = "3"
"""Changes whenever the same run may get other numbers: weights name the version they need."""

Row = dict[str, float]
"""The features of one step that are not zero, by name."""

_REACH = 3  # steps after a step in which others may react to it
_SAME = 0.8  # share of words from which two turns of one agent are the same
_FEW_TURNS = 4  # worker turns up to which a run counts as short
_ENOUGH_FACTS = 2  # new facts from which a step is the first to state some
_RARE = 2  # turns up to which an agent hardly acts
_KINDS = {  # what there is to check in a run at all, by notes that tell of it
    "sums": {"as its formula", "off its formula", "sum as planned", "sum not in the plan"},
    "claims on sources": {"claim in a result", "claim in no result", "claims without a look"},
    "functions": {"first code of it", "code never tried", "same code", "tries code"},
}
_CLASSES = {name: position for position, name in enumerate(CLASSES)}


class Features:
    """The features of the steps of one run. Linear in its text.

    Attributes:
        run: the run itself.
        signals: roles and failures.
        reading: what each step says.
        kinds: what each step is: worker, instruction, deliberation, briefing, executor or user.
        managed: whether some agents hand work to others.
        rule: of the rule list that fires; None in a run without steps.
        notes: what checks of the content noted at each step.
    """

    def __init__(self, run: Observed) -> None:
        self.run, self.signals = run, Signals(run)
        self.reading: Reading = read_run(self.signals)
        self.notes = _noted(run)
        self.managed = bool(self.signals.managers)
        self.kinds = [self._kind(step) for step in run.steps]
        self._count = len(run.steps)
        self._longest = max((step.size for step in self.reading.steps), default=1)
        self._failed = frozenset(self.signals.failures)
        self._lost_calls = frozenset(_lost_calls(run))
        self._turns = self._turn_numbers()
        self._work = sum(kind == "worker" for kind in self.kinds)
        self._agent_turns: dict[str, int] = {}
        for step in run.steps:
            self._agent_turns[step.agent] = self._agent_turns.get(step.agent, 0) + 1
        self._reach, self._users = self._dependence()
        self._reactions = self._complaints()
        self._failures_before = self._running_failures()
        self.firsts = self._first_steps()
        self.rule: Rule | None = None
        order: list[int] = []
        if run.steps:
            self.rule, order = ranking(self.signals)
        self._places = {index: place for place, index in enumerate(order, start=1)}

    def __len__(self) -> int:
        return self._count

    def row(self, index: int) -> Row:
        """The features of one step that are not zero."""
        found: Row = {}
        for part in (_role, _position, _content, _acts, _checks, _reception):
            for name, value in part(self, index):
                if value:
                    found[name] = float(value)
        for name, first in self.firsts.items():
            if first == index:
                found[f"first {name}"] = 1.0
        return found

    def full_row(self, index: int) -> Row:
        """As `row`, and with the copies that runs with managers have."""
        row = self.row(index)
        if self.managed:
            row.update({MANAGED + name: value for name, value in row.items()})
        return row

    def shape(self) -> dict[str, float]:
        """Figures of the whole run by which one can tell how like other runs it is."""
        count = max(self._count, 1)
        sizes = sorted(step.size for step in self.reading.steps)
        steps = self.run.steps
        turns = sum(a.agent != b.agent for a, b in pairwise(steps))
        found = {
            "steps": _log(self._count, 2.0),
            "agents": _log(len(self.run.agent_names), 2.0),
            "median size": _log(sizes[len(sizes) // 2] if sizes else 0, 2.0),
            "briefing": float(self.signals.briefing is not None),
            "code": sum(self.signals.code) / count,
            "failed": len(self._failed) / count,
            "messages": sum(step.kind == "message" for step in steps) / count,
            "changes of speaker": turns / count,
        }
        for kind in ("worker", "executor", "instruction", "deliberation", "user"):
            found[kind] = self.kinds.count(kind) / count
        for kind, names in _KINDS.items():
            if any(not names.isdisjoint(notes) for notes in self.notes):
                found[CONTENT + kind] = 1.0
        return found

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
        weight, users = [0.0] * self._count, [0] * self._count
        if self._count:
            end = self.reading.concluding
            weight[self._count - 1 if end is None else end] = 1.0
        for index in range(self._count - 1, -1, -1):
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
            else read.classes[_CLASSES["corrects"]] + read.classes[_CLASSES["fails"]]
            for read in self.reading.steps
        ]
        steps = self.run.steps
        return [
            max(
                (
                    said[later]
                    for later in range(step.index + 1, min(step.index + 1 + _REACH, self._count))
                    if steps[later].agent != step.agent
                ),
                default=0,
            )
            for step in steps
        ]

    def _running_failures(self) -> list[int]:
        count, found = 0, []
        for index in range(self._count):
            found.append(count)
            count += index in self._failed
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
            if read.classes[_CLASSES["invents"]]:
                found.setdefault("invents", index)
            if read.first_holds:
                found.setdefault("answer", index)
        return found

    def place(self, index: int) -> int:
        """Where the rule list places a step, from 1."""
        return self._places[index]

    def own_turn(self, index: int) -> int:
        """Which turn of its agent a step is, from 1."""
        return self._turns[index][1]

    def failure_after(self, index: int) -> int | None:
        """The step at which what a step wrote failed, if it did."""
        after = index if index in self._failed else index + 1
        return after if after in self._failed else None


def _noted(run: Observed) -> list[Notes]:
    """What every check of the content noted, step by step."""
    texts = [plain(step.content) for step in run.steps]
    checks = (keep_books(run, texts), compare_sources(run, texts), follow_versions(run, texts))
    return [
        {**books, **sources, **versions} for books, sources, versions in zip(*checks, strict=True)
    ]


def _log(value: float, scale: float) -> float:
    return math.log1p(value) / scale


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


_Named = Iterator[tuple[str, float]]


def _role(run: Features, index: int) -> _Named:
    kind, (turn, own) = run.kinds[index], run._turns[index]
    yield f"is {kind}", 1.0
    if kind == "worker":
        left = run._work - turn
        yield f"worker turn {min(turn, 4)}", 1.0
        yield "worker turn log", _log(turn, 3.0)
        yield "worker turns left", _log(left, 3.0)
        yield "last worker turn", left == 0
        yield "only few worker turns", left == 0 and run._work <= _FEW_TURNS
        rare = run._agent_turns[run.run.steps[index].agent] <= _RARE
        yield "rare worker", rare and run._count > 4 * _RARE
    elif kind in {"instruction", "deliberation"} and turn in {1, 3}:
        yield f"{kind} {turn}", 1.0
    yield "own first turn", own == 1


def _position(run: Features, index: int) -> _Named:
    yield "position", index / max(run._count - 1, 1)
    yield "step number", _log(index, 5.0)
    yield "last step", index == run._count - 1
    yield "last steps", index >= run._count - 3
    yield "rule list", 1 / run._places[index]


def _content(run: Features, index: int) -> _Named:
    read, kind = run.reading.steps[index], run.kinds[index]
    yield "length", _log(read.size, 7.0)
    yield "relative length", read.size / run._longest
    yield "new words", _log(read.fresh, 6.0)
    yield "new facts", _log(read.new, 4.0)
    yield "task words", read.task_words
    yield "task facts", read.task_facts
    yield "used later", _log(run._users[index], 3.0)
    if kind in {"briefing", "user"}:
        return
    yield "end rests on it", min(run._reach[index], 1.0)
    yield "answer", read.first_holds
    yield "holds answer", read.holds
    if not read.given:
        yield "figures nobody gave", _log(read.new, 3.0)
        for name in ("invents", "fails", "manual"):
            yield name, _log(read.classes[_CLASSES[name]], 2.0)
        if run.reading.has_task_facts and kind == "worker":
            yield "drops task facts", 1 - read.task_facts


def _acts(run: Features, index: int) -> _Named:
    code = run.reading.steps[index].code
    if run.signals.code[index]:
        after = index if index in run._failed else index + 1
        ran = after < run._count and run.kinds[after] == "executor"
        yield "code", 1.0
        yield "code lines", _log(code.lines, 5.0)
        yield "broken code", code.broken > 0
        yield "hard-coded data", _log(max(code.literals - 3, 0), 4.0)
        yield "unfilled placeholder", code.unfilled
        yield "failure follows", after in run._failed
        yield "success follows", ran and after not in run._failed
    elif run.kinds[index] == "worker":
        yield "only talks", 1.0
    yield "failed", index in run._failed
    yield "failed call", index in run._lost_calls
    yield "failures before", _log(run._failures_before[index], 3.0)
    yield "after failure", index - 1 in run._failed
    yield "raised", run.run.steps[index].error is not None


def _checks(run: Features, index: int) -> _Named:
    read = run.reading.steps[index]
    for name, note in run.notes[index].items():
        yield name, note.weight
    yield "wrong sum", len(read.sums) > 0
    yield "misreads a result", read.slip is not None
    yield "changes a value", read.change is not None
    yield "invented argument", read.invented_argument is not None
    yield "goes beyond the result", read.beyond
    yield "ignores the result", read.ignores


def _reception(run: Features, index: int) -> _Named:
    read = run.reading.steps[index]
    yield "repeats itself", read.like_before >= _SAME
    yield "like own turn before", read.like_before
    yield "others complain", _log(run._reactions[index], 2.0)
