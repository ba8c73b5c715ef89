"""An oracle for systems of plain functions: what another alternative would have done at a step.

For systems of plain functions (`adapters.functions`). At a step of a failed run, the alternatives
of its agent are called with what the step was given. If replaying the run with another result turns
it into a success, the step is to blame, and those alternatives that gave the result mend it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentracer.encoding import to_json
from agentracer.evolution.posterior import StepObservation
from agentracer.replay.override import Override
from agentracer.replay.system import Oracle
from agentracer.trace import Trace
from agentracer.usage import Usage

__all__ = ["Alternatives"]


class Alternatives(Oracle):
    """Proposes, for a step, the result that most of its agent's alternatives agree on.

    Args:
        options: by agent, by name, the functions that could be in its slot, as for
            `TryAlternatives`.
        rank: 0 for the result that most agree on, 1 for the next, and so on. Results that are what
            the step did anyway do not count.
        outvoted: propose only where more alternatives agree on that result than on what the step
            did: a vote among programs, which finds likely errors first and costs no run.

    Attributes:
        steps: how many calls of alternatives it took; they are part of `usage`.
    """

    def __init__(
        self,
        options: Mapping[str, Mapping[str, Callable[..., Any]]],
        *,
        rank: int = 0,
        outvoted: bool = False,
    ) -> None:
        self._options, self._rank, self._outvoted = options, rank, outvoted
        self._known: dict[tuple[str, int], dict[str, list[str]]] = {}
        self._agreeing: dict[tuple[str, int], int] = {}
        self._memo: dict[tuple[str, str, str], str | None] = {}
        self.steps = 0

    @property
    def usage(self) -> Usage:
        """See `Oracle`: each call of an alternative is a step."""
        return Usage(steps=self.steps)

    def __call__(self, trace: Trace, step: int, /) -> Override | None:
        """See `agentracer.replay.Oracle`."""
        results = self._results(trace, step)
        ranked = sorted(results, key=lambda text: -len(results[text]))  # stable: in order of offer
        if self._rank >= len(ranked):
            return None
        for_it, against = len(results[ranked[self._rank]]), 1 + self._agreeing[trace.id, step]
        if self._outvoted and for_it <= against:
            return None
        return Override(step=step, result=json.loads(ranked[self._rank]))

    def alternatives(self, trace: Trace, correction: Override) -> Sequence[str]:
        """See `Oracle`."""
        return self._results(trace, correction.step).get(_dumped(correction.result), [])

    def observation(self, trace: Trace, step: int) -> StepObservation | None:
        """A step beside what each alternative does with the same; None where there are none.

        An alternative that was given the same before is not called again.
        """
        done = trace.steps[step]
        if done.kind != "tool" or not done.tool_calls or done.agent not in self._options:
            return None
        call = done.tool_calls[0]
        arguments, result = _dumped(call.arguments), None if call.error else _dumped(call.result)
        results: dict[str, list[str]] = {result or "": []}
        for name, function in self._options[done.agent].items():
            key = done.agent, name, arguments
            if function.__name__ == call.name:
                self._memo[key] = result
            elif key not in self._memo:
                self._memo[key] = self._call(function, call.arguments)
            results.setdefault(self._memo[key] or "", []).append(name)
        by_result = {r: tuple(names) for r, names in results.items()}
        return StepObservation(done.agent, arguments, result, by_result)

    def _results(self, trace: Trace, step: int) -> dict[str, list[str]]:
        """By result, the alternatives that give it; each is called once for each step."""
        key = trace.id, step
        if key not in self._known:
            self._known[key] = self._called(trace, step)
        return self._known[key]

    def _called(self, trace: Trace, step: int) -> dict[str, list[str]]:
        taken, found = trace.steps[step], dict[str, list[str]]()
        self._agreeing[trace.id, step] = 0
        if taken.kind != "tool" or not taken.tool_calls:
            return found
        call = taken.tool_calls[0]
        arguments: Any = call.arguments
        for name, function in self._options.get(taken.agent, {}).items():
            if function.__name__ == call.name:
                continue  # what is in the slot now
            result = self._call(function, arguments)
            if result is None:
                continue  # an alternative that breaks proposes nothing
            if call.error is not None or result != _dumped(call.result):
                found.setdefault(result, []).append(name)
            else:
                self._agreeing[trace.id, step] += 1
        return found

    def _call(self, function: Callable[..., Any], given: Any) -> str | None:
        """What an alternative returns, as JSON text; None where it breaks."""
        self.steps += 1
        try:
            return _dumped(function(*copy.deepcopy(given)))
        except Exception:  # noqa: BLE001 - whatever a program of the user breaks with
            return None


def _dumped(value: Any) -> str:
    return json.dumps(to_json(value), sort_keys=True)
