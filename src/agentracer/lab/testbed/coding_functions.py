"""List the functions that coding problems ask for.

Those of the package come from `coding_tasks`; those of MBPP+ are read from its file (`mbpp`).
"""

from __future__ import annotations

import re
from pathlib import Path

from agentracer.lab.testbed.coding_tasks import TASKS, CodingTask
from agentracer.lab.testbed.functions import Function, FunctionTests
from agentracer.lab.testbed.mbpp import mbpp_functions

__all__ = ["functions"]


def functions(data: Path | None = None) -> list[Function]:
    """Our own functions, and those of MBPP+ if its file is in the folder."""
    result = [_own(task) for task in TASKS]
    path = data / "mbppplus" / "MbppPlus.jsonl" if data is not None else None
    if path is not None and path.is_file():
        result += mbpp_functions(path, {function.name for function in result})
    return result


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
    tests = FunctionTests(
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
        load_tests=lambda: tests,
    )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace(" -- ", " - ").strip()
