"""The functions that coding problems ask for: the solution, and ways to get it wrong.

Ours come from `coding_tasks`. Those of MBPP+ are read from a file at run time (`mbpp`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentracer.lab.testbed.coding_tasks import TASKS, Case, CodingTask

__all__ = ["Function", "Tried", "functions"]


@dataclass(frozen=True)
class Tried:
    """Tests of a function, and ways to fail them.

    Attributes:
        bugs: (what is wrong, code) that the examples do not show.
        slips: code whose mistake the examples do show.
        examples: tests that the team may run.
        hidden: the further tests that decide.
    """

    bugs: tuple[tuple[str, str], ...]
    slips: tuple[str, ...]
    examples: tuple[Case, ...]
    hidden: tuple[Case, ...]


@dataclass(frozen=True)
class Function:
    """A function to write.

    Attributes:
        name: its name.
        statement: what is asked, with examples.
        spec: a good point of a plan for it.
        solution: code that is right.
        code_for: the code that follows a spec to the letter.
        wrong_specs: (kind, spec) of plans that lose or distort something.
        trial: its tests and bugs, which may have to be found out first.
        foreign: whether it is read from somebody else's data.
    """

    name: str
    statement: str
    spec: str
    solution: str
    code_for: Callable[[str], str]
    wrong_specs: tuple[tuple[str, str], ...]
    trial: Callable[[], Tried]
    foreign: bool = False

    @property
    def bugs(self) -> tuple[tuple[str, str], ...]:
        """See `Tried`."""
        return self.trial().bugs

    @property
    def slips(self) -> tuple[str, ...]:
        """See `Tried`."""
        return self.trial().slips

    @property
    def examples(self) -> tuple[Case, ...]:
        """See `Tried`."""
        return self.trial().examples

    @property
    def hidden(self) -> tuple[Case, ...]:
        """See `Tried`."""
        return self.trial().hidden


def functions(data: Path | None = None) -> list[Function]:
    """Our own functions, and those of MBPP+ if its file is in the folder."""
    found = [_own(task) for task in TASKS]
    path = data / "mbppplus" / "MbppPlus.jsonl" if data is not None else None
    if path is not None and path.is_file():
        from agentracer.lab.testbed.mbpp import mbpp_functions

        found += mbpp_functions(path, {function.name for function in found})
    return found


def _own(task: CodingTask) -> Function:
    points = [requirement.plan for requirement in task.requirements]

    def spec_of(points: list[str]) -> str:
        return _one_line(f"write `{task.signature}`. " + " ".join(points))

    def code_for(spec: str) -> str:
        flaw = next((f for f in task.flawed_plans if f.is_followed_by(spec)), None)
        return task.apply(flaw.edits if flaw is not None else ())

    wrong = []
    for flaw in task.flawed_plans:
        at = flaw.requirement
        changed = [*points[:at], *([flaw.instead] * bool(flaw.instead)), *points[at + 1 :]]
        wrong.append((flaw.mistake, spec_of(changed)))
    tried = Tried(
        bugs=tuple((bug.mistake, task.apply(bug.edits)) for bug in task.bugs),
        slips=(task.apply(task.slip.edits),),
        examples=task.examples,
        hidden=task.hidden,
    )
    return Function(
        name=task.function,
        statement=task.statement.strip(),
        spec=spec_of(points),
        solution=task.solution,
        code_for=code_for,
        wrong_specs=tuple(wrong),
        trial=lambda: tried,
    )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace(" -- ", " - ").strip()
