"""The user's own code as an oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentracer.replay.override import Override, from_facts
from agentracer.replay.system import Oracle
from agentracer.trace import Step, Trace

__all__ = ["FunctionOracle"]


class FunctionOracle(Oracle):
    """Asks a function what a step should have done, in the shortest form that says it.

    Args:
        correct: given the trace and the step, returns the text that the step should have written
            (a run of a tool: the result that it should have returned), or a mapping with fields of
            `Override`, or an `Override`, or None where there is nothing to correct.
    """

    def __init__(self, correct: Callable[[Trace, Step], Any]) -> None:
        self._correct = correct

    def __call__(self, trace: Trace, step: int, /) -> Override | None:
        """See `Oracle`."""
        answer = self._correct(trace, trace.steps[step])
        if answer is None or isinstance(answer, Override):
            return answer
        if isinstance(answer, Mapping):
            return from_facts({**answer, "step": step})
        if trace.steps[step].kind == "tool":
            return Override(step=step, result=answer)
        if isinstance(answer, str):
            return Override(step=step, content=answer)
        raise TypeError(
            f"the function returned {type(answer).__name__}: a correction is a text, a mapping "
            "with fields of Override, an Override, or None"
        )
