"""A successful run of the same task as an oracle: what was done at the matching turn there."""

from __future__ import annotations

from collections import defaultdict
from difflib import SequenceMatcher

from agentracer.call_nesting import CallNesting
from agentracer.replay.override import Override
from agentracer.replay.system import Oracle
from agentracer.trace import Step, ToolRequest, Trace

__all__ = ["ReferenceOracle"]

_LONGEST = 4_000


class ReferenceOracle(Oracle):
    """Proposes what the same agent did at the same turn of a run that succeeded.

    Turns match by agent, place and their number. Where both runs have a turn that read the same
    prompt, that turn counts, whatever its number. The result of a call in which recorded steps ran
    is no action of the caller: the steps inside are corrected instead, the innermost difference.

    Args:
        reference: the successful run. It need not have been recorded here.
        similar: texts that agree to this degree (0 to 1) count as the same, so that another
            wording of the same thing is not replayed. 1.0: only equal texts.
        results_of_agents: also correct the results of calls in which recorded steps ran.

    Raises:
        ValueError: the reference did not succeed.
    """

    def __init__(
        self, reference: Trace, *, similar: float = 1.0, results_of_agents: bool = False
    ) -> None:
        if reference.outcome.success is not True:
            raise ValueError(f"trace {reference.id} did not succeed, so it is no reference")
        self._reference, self._similar = reference, similar
        self.results_of_agents = results_of_agents
        self._nesting: CallNesting | None = None
        self._lanes: dict[tuple[str, str, str], list[Step]] = defaultdict(list)
        for step in reference.steps:
            self._lanes[_lane(step)].append(step)

    def __call__(self, trace: Trace, step: int, /) -> Override | None:
        """See `Oracle`."""
        taken = trace.steps[step]
        model = self._match(trace, taken)
        if model is None or taken.kind not in ("llm", "tool"):
            return None
        if taken.kind == "tool":
            return None if self._is_made_inside(trace, taken, 0) else _tool(taken, model)
        requests = [(call.name, call.arguments) for call in taken.tool_calls]
        expected = [(call.name, call.arguments) for call in model.tool_calls]
        if requests == expected and self._same(taken.content, model.content):
            return self._result(trace, taken, model)
        calls = tuple(
            ToolRequest(id=call.id, name=call.name, arguments=call.arguments)
            for call in model.tool_calls
        )
        return Override(step=step, content=model.content, tool_calls=calls or None)

    def _is_made_inside(self, trace: Trace, step: Step, position: int) -> bool:
        """Whether recorded steps made the result of a call, so that these are to be corrected."""
        if self._nesting is None or self._nesting.run is not trace.observed:
            self._nesting = CallNesting(trace.observed)
        made_inside = self._nesting.has_inner_steps(step.index, position)
        return made_inside and not self.results_of_agents

    def _result(self, trace: Trace, taken: Step, model: Step) -> Override | None:
        """The same was asked of the tools, and one of them answered otherwise."""
        pairs = zip(taken.tool_calls, model.tool_calls, strict=True)
        for position, (ours, theirs) in enumerate(pairs):
            if self._is_made_inside(trace, taken, position):
                continue
            differs = ours.error is not None or ours.result != theirs.result
            if differs and theirs.error is None and theirs.result is not None:
                return Override(step=taken.index, call=position, result=theirs.result)
        return None

    def _match(self, trace: Trace, taken: Step) -> Step | None:
        lane = self._lanes.get(_lane(taken), [])
        read = trace.observed.reads(taken) if taken.reads is not None else None
        for step in lane if read else ():
            if step.reads is not None and self._reference.observed.reads(step) == read:
                return step
        turn = sum(_lane(s) == _lane(taken) for s in trace.steps[: taken.index])
        return lane[turn] if turn < len(lane) else None

    def _same(self, one: str, two: str) -> bool:
        if one == two or self._similar >= 1.0:
            return one == two
        ratio = SequenceMatcher(None, one[:_LONGEST], two[:_LONGEST], autojunk=False).ratio()
        return ratio >= self._similar


def _lane(step: Step) -> tuple[str, str, str]:
    return step.agent, step.kind, str(step.attributes.get("path", ""))


def _tool(taken: Step, model: Step) -> Override | None:
    """A run of a tool by itself: the result that the reference got from the same tool."""
    if not taken.tool_calls or not model.tool_calls:
        return None
    ours, theirs = taken.tool_calls[0], model.tool_calls[0]
    if ours.name != theirs.name or theirs.error is not None or ours.result == theirs.result:
        return None
    return Override(step=taken.index, result=theirs.result)
