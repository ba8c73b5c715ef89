"""Stitch a replay to its record, so that it reads like a run recorded in one go.

In a replay, steps that were answered from the record took no time, cost no tokens and are marked as
replayed; a model trained on such traces would learn these marks. So the prefix gets back the times,
tokens and attributes of the record, and the live steps follow it in time.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from agentracer.replay.override import Override
from agentracer.trace import Step, TokenUsage, ToolCall, Trace

__all__ = ["stitch"]

_OURS = ("replay",)
"""Keys of attributes and metadata that a replay adds."""


def stitch(again: Trace, record: Trace, override: Override) -> tuple[Trace, int]:
    """The replay without its marks, and where in it the overridden step is.

    Args:
        again: the replay.
        record: the run that was replayed.
        override: what was changed.

    Returns:
        The trace, with the id of the replay and no parent, and the index of the changed step.
    """
    origins = _origins(again, record, override)
    at = next((i for i, origin in origins.items() if origin == override.step), override.step)
    delay = _delay(again, record, at, override.step)
    steps = []
    for step in again.steps:
        origin = origins.get(step.index)
        if origin is None:
            steps.append(_moved(_bare(step), delay))
        else:
            steps.append(_restored(step, record.steps[origin], changed=step.index == at))
    observed = again.observed.model_copy(update={"steps": tuple(steps)})
    facts: dict[str, Any] = {
        "observed": observed,
        "parent": None,
        "ground_truth": record.ground_truth,
        "metadata": dict(record.metadata),
        "started_at": record.started_at,
        "ended_at": _plus(again.ended_at, delay),
    }
    return again.model_copy(update=facts), at


def _origins(again: Trace, record: Trace, override: Override) -> dict[int, int]:
    """For each step of the replay that was answered, the step of the record that answered it."""
    lanes: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for step in record.steps:
        if step.index <= override.step:
            lanes[_lane(step), step.content].append(step.index)
    positions: dict[int, int] = {}
    target = record.steps[override.step]
    for step in again.steps:
        mode = step.attributes.get("replay")
        if mode == "live":
            continue
        if mode == "override" and _lane(step) == _lane(target):
            positions.setdefault(step.index, override.step)
        elif waiting := lanes.get((_lane(step), step.content)):
            positions[step.index] = waiting.pop(0)
    return positions


def _lane(step: Step) -> tuple[Any, ...]:
    return step.agent, step.kind, step.attributes.get("path")


def _restored(step: Step, origin: Step, *, changed: bool) -> Step:
    """A step as it was replayed, with what the record knows of it besides."""
    facts: dict[str, Any] = {
        "attributes": dict(origin.attributes),
        "usage": _rescaled(origin, step) if changed else origin.usage,
        "model": origin.model,
        "started_at": origin.started_at,
        "ended_at": origin.ended_at,
    }
    calls = {call.id: call for call in origin.tool_calls}
    facts["tool_calls"] = tuple(_timed(call, calls.get(call.id)) for call in step.tool_calls)
    return step.model_copy(update=facts)


def _timed(call: ToolCall, origin: ToolCall | None) -> ToolCall:
    if origin is None:
        return call
    times = {"started_at": origin.started_at, "ended_at": origin.ended_at}
    return call.model_copy(update=times)


def _rescaled(origin: Step, step: Step) -> TokenUsage | None:
    """The tokens of another text: as many as its length makes likely."""
    usage = origin.usage
    if usage is None or not usage.output_tokens:
        return usage
    before, after = _length(origin), _length(step)
    tokens = max(1, round(usage.output_tokens * after / before)) if before else usage.output_tokens
    return usage.model_copy(update={"output_tokens": tokens})


def _length(step: Step) -> int:
    return len(step.content) + sum(len(str(call.arguments)) for call in step.tool_calls)


def _bare(step: Step) -> Step:
    kept = {key: value for key, value in step.attributes.items() if key not in _OURS}
    return step.model_copy(update={"attributes": kept})


def _moved(step: Step, by: float) -> Step:
    calls = tuple(
        call.model_copy(
            update={"started_at": _plus(call.started_at, by), "ended_at": _plus(call.ended_at, by)}
        )
        for call in step.tool_calls
    )
    times = {"started_at": _plus(step.started_at, by), "ended_at": _plus(step.ended_at, by)}
    return step.model_copy(update={**times, "tool_calls": calls})


def _delay(again: Trace, record: Trace, at: int, step: int) -> float:
    """How much later, in the time of the record, the live part begins."""
    if at >= len(again.steps):
        return 0.0
    now, then = again.steps[at], record.steps[step]
    ended = now.ended_at or now.started_at
    should = then.ended_at or then.started_at
    return should - ended if ended is not None and should is not None else 0.0


def _plus(time: float | None, by: float) -> float | None:
    return None if time is None else time + by
