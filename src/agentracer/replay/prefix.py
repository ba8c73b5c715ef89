"""Which part of a record is kept when the rest is done live: its first k answers.

The order is that in which models answered, and for a tool that no model asked for, in which it
returned. A kept step keeps those of its tool results that returned before the cut, which is the
moment of the first answer that is not kept. What ran inside a call comes after the request for the
call and before its result. Plain code of the system (kind `node`) has no answer of its own: it runs
in every replay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentracer.trace import Step, ToolCall, Trace

__all__ = ["RecordPrefix", "answer_order", "calls_of_agents", "record_prefix", "runs_inside"]


@dataclass(frozen=True, slots=True)
class RecordPrefix:
    """The part of a record that a replay keeps.

    Attributes:
        length: how many answers are kept.
        steps: indices of the steps that they belong to.
        until: tool results that returned later are not kept; seconds since the epoch, None for no
            limit.
    """

    length: int
    steps: frozenset[int]
    until: float | None = None

    def keeps(self, call: ToolCall) -> bool:
        """Whether the result of a call of a kept step is kept."""
        return self.until is None or call.ended_at is None or call.ended_at <= self.until


def answer_order(trace: Trace) -> tuple[int, ...]:
    """List the steps that answered, by the time of their answer.

    Returns:
        Indices of the steps of kind `llm` and `tool`. A model call that never ended is left out:
        there is no answer to keep.
    """
    answered = [(_answered_at(step), step.index) for step in trace.steps if _has_answer(step)]
    return tuple(index for _, index in sorted(answered))


def record_prefix(trace: Trace, length: int, *, tool_results: bool = True) -> RecordPrefix:
    """Cut a record after its first answers.

    Args:
        trace: the record.
        length: how many answers are kept, 0 to `len(answer_order(trace))`.
        tool_results: False to leave out the results of the tools that the last kept step asked
            for, which are then run live.

    Raises:
        ValueError: the length lies outside of the record.
    """
    order = answer_order(trace)
    if not 0 <= length <= len(order):
        raise ValueError(f"the record has {len(order)} answers: 0 to {len(order)} can be kept")
    until: float | None = None
    if not tool_results and length:
        until = _answered_at(trace.steps[order[length - 1]])
    elif length < len(order):
        until = _answered_at(trace.steps[order[length]])
    return RecordPrefix(length, frozenset(order[:length]), until)


def inside_kept_call(trace: Trace, step: Step, prefix: RecordPrefix) -> bool:
    """Whether a step ran inside a tool call whose result is kept, so that it does not run again."""
    while step.parent is not None:
        parent = trace.steps[step.parent]
        for call in parent.tool_calls:
            if parent.index in prefix.steps and runs_inside(call, step) and prefix.keeps(call):
                return True
        step = parent
    return False


def calls_of_agents(trace: Trace) -> Iterator[tuple[int, str]]:
    """Tool calls in which recorded steps ran, such as those of an agent that is used as a tool.

    They are part of how the system is wired: they run again, and what runs inside is answered, for
    the step that is overridden may lie inside.
    """
    for step in trace.steps:
        if step.parent is not None:
            for call in trace.steps[step.parent].tool_calls:
                named = step.attributes.get("inside_call")
                if call.id == named if named is not None else runs_inside(call, step):
                    yield step.parent, call.id


def _has_answer(step: Step) -> bool:
    return step.kind in ("llm", "tool") and (step.ended_at is not None or step.kind == "tool")


def _answered_at(step: Step) -> float:
    if step.kind == "tool":
        ends = [call.ended_at for call in step.tool_calls if call.ended_at is not None]
        if ends:
            return max(ends)
    return step.ended_at if step.ended_at is not None else float("inf")


def runs_inside(call: ToolCall, step: Step) -> bool:
    """Whether a step whose parent made a call ran during that call, by the times."""
    if call.started_at is None or call.ended_at is None or step.started_at is None:
        return call.ended_at is not None
    return call.started_at <= step.started_at <= call.ended_at
