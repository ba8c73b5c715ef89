"""Traces out as ATIF 1.7 trajectories."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from typing import Any

from agentracer.formats.atif.schema import EXTRA_KEY, VERSION
from agentracer.trace import Step, ToolCall, Trace
from agentracer.verdict import Verdict

__all__ = ["to_atif"]


def to_atif(trace: Trace, verdict: Verdict | None = None) -> dict[str, Any]:
    """The trace as a trajectory, valid for Harbor's own models.

    Every agent's steps stand in one list in the order in which they happened, each with
    `extra.agent_name`. Step n of the trace is `step_id` n + 2: the task is step 1.

    Args:
        trace: any trace; ground truth and labels are left out.
        verdict: goes into `extra.agentracer`, with `blamed_step_id` in the document's numbering.
    """
    first = {"step_id": 1, "source": "user", "message": trace.task}
    ours: dict[str, Any] = {
        "id": trace.id,
        "framework": trace.observed.framework,
        "agents": [agent.model_dump(mode="json", exclude_defaults=True) for agent in trace.agents],
        "outcome": trace.outcome.model_dump(mode="json"),
    }
    if verdict is not None:
        ours["verdict"] = verdict.model_dump(mode="json")
        ours["blamed_step_id"] = None if verdict.step is None else verdict.step + 2
    return {
        "schema_version": VERSION,
        "session_id": trace.id,
        "trajectory_id": trace.id,
        "agent": {"name": trace.observed.framework or EXTRA_KEY, "version": "unknown"},
        "steps": [first, *(_entry(step) for step in trace.steps)],
        "final_metrics": _totals(trace),
        "extra": {EXTRA_KEY: {key: value for key, value in ours.items() if value is not None}},
    }


def _totals(trace: Trace) -> dict[str, Any]:
    usages = [step.usage for step in trace.steps if step.usage is not None]
    totals: dict[str, Any] = {"total_steps": len(trace.steps) + 1}
    if usages:
        totals["total_prompt_tokens"] = sum(usage.input_tokens or 0 for usage in usages)
        totals["total_completion_tokens"] = sum(usage.output_tokens or 0 for usage in usages)
    return totals


def _entry(step: Step) -> dict[str, Any]:
    ids = _call_ids(step)
    reasoning = step.attributes.get("reasoning")
    # The format forbids both where it is said that no model was called.
    may_cost = step.kind in ("llm", "message")
    entry: dict[str, Any] = {
        "step_id": step.index + 2,
        "timestamp": _timestamp(step.started_at),
        "source": _source(step),
        "message": step.content,
        "model_name": step.model.name if step.model is not None else None,
        "reasoning_content": reasoning if may_cost and isinstance(reasoning, str) else None,
        "tool_calls": [_written(c, i) for c, i in zip(step.tool_calls, ids, strict=True)] or None,
        "observation": _observation(step, ids),
        "metrics": _metrics(step) if may_cost else None,
        "llm_call_count": {"llm": 1, "message": None}.get(step.kind, 0),
        "extra": {"agent_name": step.agent, EXTRA_KEY: _unmodelled(step)},
    }
    return {key: value for key, value in entry.items() if value is not None}


def _source(step: Step) -> str:
    """`user` and `system` only for what was imported as such, and has nothing of an agent's."""
    source = step.attributes.get("source")
    plain = not (step.tool_calls or step.model or step.usage or step.attributes.get("reasoning"))
    return str(source) if source in ("user", "system") and plain else "agent"


def _call_ids(step: Step) -> list[str]:
    """Ids that are unique within the step, as results refer to them."""
    id_counts = Counter(call.id for call in step.tool_calls)
    taken = set(id_counts)
    ids = []
    for position, call in enumerate(step.tool_calls):
        name = call.id
        if not name or id_counts[name] > 1:
            name = f"call_{step.index + 2}_{position}"
            while name in taken:
                name += "_"
        taken.add(name)
        ids.append(name)
    return ids


def _written(call: ToolCall, identity: str) -> dict[str, Any]:
    ours: dict[str, Any] = {"started_at": call.started_at, "ended_at": call.ended_at}
    if identity != call.id:
        ours["id"] = call.id
    arguments: Any = call.arguments
    if not isinstance(arguments, dict):  # the format takes objects only
        arguments, ours["wrapped"] = {"value": arguments}, True
    kept = {key: value for key, value in ours.items() if value is not None}
    extra = {"extra": {EXTRA_KEY: kept}} if kept else {}
    return {
        "tool_call_id": identity,
        "function_name": call.name,
        "arguments": arguments,
        **extra,
    }


def _observation(step: Step, ids: list[str]) -> dict[str, Any] | None:
    results: list[dict[str, Any]] = []
    for call, identity in zip(step.tool_calls, ids, strict=True):
        result: dict[str, Any] = {"source_call_id": identity}
        if call.error is not None:
            result["content"] = f"{call.error.type}: {call.error.message}"
            error = call.error.model_dump(mode="json", exclude_none=True)
            result["extra"] = {EXTRA_KEY: {"error": error}}
        elif isinstance(call.result, str):
            result["content"] = call.result
        elif call.result is not None:
            result["content"] = json.dumps(call.result, ensure_ascii=False)
            result["extra"] = {EXTRA_KEY: {"json": True}}
        if "content" in result:
            results.append(result)
    return {"results": results} if results else None


def _metrics(step: Step) -> dict[str, Any] | None:
    if step.usage is None:
        return None
    read, written = step.usage.input_tokens, step.usage.output_tokens
    counts = {"prompt_tokens": read, "completion_tokens": written}
    return {key: value for key, value in counts.items() if value is not None}


def _unmodelled(step: Step) -> dict[str, Any]:
    kept = {
        "kind": step.kind,
        "to": step.to,
        "parent": step.parent,
        "ended_at": step.ended_at,
        "error": step.error.model_dump(mode="json") if step.error is not None else None,
        "attributes": step.model_dump(mode="json", include={"attributes"})["attributes"] or None,
    }
    return {key: value for key, value in kept.items() if value is not None}


def _timestamp(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # a time that no calendar has
        return None
