"""Which part of a record is kept when the rest is done live: its first k answers.

The order is that in which models answered, and for a tool that no model asked for, in which it
returned. A kept step keeps those of its tool results that returned before the cut, which is the
moment of the first answer that is not kept. What ran inside a call comes after the request for the
call and before its result. Plain code of the system (kind `node`) has no answer of its own: it runs
in every replay.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentracer.call_nesting import CallNesting
from agentracer.replay.override import never_ran
from agentracer.trace import Step, ToolCall, Trace

__all__ = ["RecordPrefix", "answer_order", "expected_steps", "record_prefix"]


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


def expected_steps(nesting: CallNesting, prefix: RecordPrefix) -> set[int]:
    """Return the kept steps that a rerun comes to.

    These are all but those that ran inside a tool call whose result is kept, for such a call does
    not run again.
    """
    return {index for index in prefix.steps if not _inside_kept_call(nesting, index, prefix)}


def _inside_kept_call(nesting: CallNesting, step: int, prefix: RecordPrefix) -> bool:
    for ref in nesting.calls_around(step):
        call = nesting.call(ref)
        if ref.step in prefix.steps and not never_ran(call) and prefix.keeps(call):
            return True
    return False


def _has_answer(step: Step) -> bool:
    return step.kind in ("llm", "tool") and (step.ended_at is not None or step.kind == "tool")


def _answered_at(step: Step) -> float:
    if step.kind == "tool":
        ends = [call.ended_at for call in step.tool_calls if call.ended_at is not None]
        if ends:
            return max(ends)
    return step.ended_at if step.ended_at is not None else float("inf")
