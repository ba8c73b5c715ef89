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

from agentracer.attribution.embedded.model.catalogue import MANAGED
from agentracer.attribution.embedded.model.out_of_distribution import CONTENT
from agentracer.attribution.embedded.model.run_context import CLASS_PLACES, Course

__all__ = ["FEATURES_VERSION", "Features", "Row"]

FEATURES_VERSION = "6"
"""Changes whenever the same run may get other numbers: weights name the version they need."""

Row = dict[str, float]
"""The features of one step that are not zero, by name."""

_SAME = 0.8  # share of words from which two turns of one agent are the same
_FEW_TURNS = 4  # worker turns up to which a run counts as short
_RARE = 2  # turns up to which an agent hardly acts
_KINDS = {  # what there is to check in a run at all, by notes that tell of it
    "sums": {"as its formula", "off its formula", "sum as planned", "sum not in the plan"},
    "claims on sources": {"claim in a result", "claim in no result", "claims without a look"},
    "functions": {"first code of it", "code never tried", "same code", "tries code"},
}


class Features(Course):
    """The features of the steps of one run."""

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
        count = max(len(self), 1)
        sizes = sorted(step.size for step in self.reading.steps)
        steps = self.run.steps
        turns = sum(a.agent != b.agent for a, b in pairwise(steps))
        found = {
            "steps": _log(len(self), 2.0),
            "agents": _log(len(self.run.agent_names), 2.0),
            "median size": _log(sizes[len(sizes) // 2] if sizes else 0, 2.0),
            "briefing": float(self.signals.briefing is not None),
            "code": sum(self.signals.code) / count,
            "failed": len(self.failed) / count,
            "messages": sum(step.kind == "message" for step in steps) / count,
            "changes of speaker": turns / count,
        }
        for kind in ("worker", "executor", "instruction", "deliberation", "user"):
            found[kind] = self.kinds.count(kind) / count
        for kind, names in _KINDS.items():
            if any(not names.isdisjoint(notes) for notes in self.notes):
                found[CONTENT + kind] = 1.0
        return found


def _log(value: float, scale: float) -> float:
    return math.log1p(value) / scale


_Named = Iterator[tuple[str, float]]


def _role(run: Course, index: int) -> _Named:
    kind, (turn, own) = run.kinds[index], run.turns[index]
    yield f"is {kind}", 1.0
    if kind == "worker":
        left = run.work - turn
        yield f"worker turn {min(turn, 4)}", 1.0
        yield "worker turn log", _log(turn, 3.0)
        yield "worker turns left", _log(left, 3.0)
        yield "last worker turn", left == 0
        yield "only few worker turns", left == 0 and run.work <= _FEW_TURNS
        rare = run.agent_turns[run.run.steps[index].agent] <= _RARE
        yield "rare worker", rare and len(run) > 4 * _RARE
    elif kind in {"instruction", "deliberation"} and turn in {1, 3}:
        yield f"{kind} {turn}", 1.0
    yield "own first turn", own == 1


def _position(run: Course, index: int) -> _Named:
    yield "position", index / max(len(run) - 1, 1)
    yield "step number", _log(index, 5.0)
    yield "last step", index == len(run) - 1
    yield "last steps", index >= len(run) - 3
    yield "rule list", 1 / run.place(index)


def _content(run: Course, index: int) -> _Named:
    read, kind = run.reading.steps[index], run.kinds[index]
    yield "length", _log(read.size, 7.0)
    yield "relative length", read.size / run.longest
    yield "new words", _log(read.fresh, 6.0)
    yield "new facts", _log(read.new, 4.0)
    yield "task words", read.task_words
    yield "task facts", read.task_facts
    yield "used later", _log(run.users[index], 3.0)
    if kind == "briefing":
        yield "briefing holds answer", read.brings
    if kind in {"briefing", "user"}:
        return
    yield "end rests on it", min(run.reach[index], 1.0)
    yield "answer", read.first_holds
    yield "holds answer", read.holds
    if not read.given:
        yield "figures nobody gave", _log(read.new, 3.0)
        for name in ("invents", "fails", "manual"):
            yield name, _log(read.classes[CLASS_PLACES[name]], 2.0)
        if run.reading.has_task_facts and kind == "worker":
            yield "drops task facts", 1 - read.task_facts


def _acts(run: Course, index: int) -> _Named:
    code = run.reading.steps[index].code
    if run.signals.code[index]:
        after = index if index in run.failed else index + 1
        ran = after < len(run) and run.kinds[after] == "executor"
        yield "code", 1.0
        yield "code lines", _log(code.lines, 5.0)
        yield "broken code", code.broken > 0
        yield "hard-coded data", _log(max(code.literals - 3, 0), 4.0)
        yield "unfilled placeholder", code.unfilled
        yield "failure follows", after in run.failed
        yield "success follows", ran and after not in run.failed
    elif run.kinds[index] == "worker":
        yield "only talks", 1.0
    yield "failed", index in run.failed
    yield "failed call", index in run.lost_calls
    yield "failures before", _log(run.failures_before[index], 3.0)
    yield "after failure", index - 1 in run.failed
    yield "raised", run.run.steps[index].error is not None


def _checks(run: Course, index: int) -> _Named:
    read = run.reading.steps[index]
    for name, note in run.notes[index].items():
        yield name, note.weight
    yield "wrong sum", len(read.sums) > 0
    yield "misreads a result", read.slip is not None
    yield "changes a value", read.change is not None
    yield "invented argument", read.invented_argument is not None
    yield "goes beyond the result", read.beyond
    yield "ignores the result", read.ignores


def _reception(run: Course, index: int) -> _Named:
    read = run.reading.steps[index]
    yield "repeats itself", read.like_before >= _SAME
    yield "like own turn before", read.like_before
    yield "others complain", _log(run.reactions[index], 2.0)
