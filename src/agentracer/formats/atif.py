"""ATIF, the Agent Trajectory Interchange Format, in (any 1.x) and out (1.7).

Harbor's RFC 0001, as its pydantic models state it (PyPI `harbor` 0.24,
`harbor/models/trajectories/`). How the two models meet:

    ATIF                                 Trace
    first user step                      task
    leading system steps                 the system prompt of the root agent
    other steps, `step_id` from 1        steps, `index` from 0; `source` decides the agent
    extra.agent_name of a step           the agent, where a document holds several
    subagent_trajectories                steps of that agent, after the step that refers to it
    observation.results                  results of tool calls; others become the step's attributes
    extra.agentracer                     what ATIF has no field for, in documents that we wrote

ATIF does not say what an agent read, so `Step.reads` of an imported trace is None. Ground truth
and labels are not written: whoever judges the file must not see them. References to trajectories
in other files are kept in `Step.attributes` and not followed.
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agentracer.errors import FormatError
from agentracer.formats._files import Source, translate
from agentracer.trace import (
    AgentInfo,
    ErrorInfo,
    ModelCall,
    Observed,
    Outcome,
    Step,
    ToolCall,
    ToolInfo,
    Trace,
    Usage,
)
from agentracer.verdict import Verdict

__all__ = ["VERSION", "is_atif", "read", "to_atif", "trace_of"]

VERSION = "ATIF-v1.7"
_REMEDY = "compare the field with Harbor's RFC 0001 (Agent Trajectory Interchange Format)"
_OURS = "agentracer"
_MAX_DEPTH = 20
_MAX_STEPS = 1_000_000


# -- the format, as lax as a reader should be


def _object(value: Any) -> Any:
    return {} if value is None else value


def _list(value: Any) -> Any:
    return [] if value is None else value


_Extra = Annotated[dict[str, Any], BeforeValidator(_object)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Reference(_Part):
    trajectory_id: str | None = None
    trajectory_path: str | None = None


class _Result(_Part):
    source_call_id: str | None = None
    content: str | list[dict[str, Any]] | None = None
    subagent_trajectory_ref: Annotated[list[_Reference], BeforeValidator(_list)] = []
    extra: _Extra = {}


class _Observation(_Part):
    results: list[_Result] = []


class _Call(_Part):
    tool_call_id: str
    function_name: str
    arguments: Any = None
    extra: _Extra = {}


class _Metrics(_Part):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Step(_Part):
    step_id: int
    timestamp: str | None = None
    source: Literal["system", "user", "agent"]
    model_name: str | None = None
    message: str | list[dict[str, Any]] = ""
    reasoning_content: str | None = None
    tool_calls: Annotated[list[_Call], BeforeValidator(_list)] = []
    observation: _Observation | None = None
    metrics: _Metrics | None = None
    llm_call_count: int | None = None
    extra: _Extra = {}


class _Agent(_Part):
    name: str = Field(min_length=1)
    version: str | None = None
    model_name: str | None = None
    tool_definitions: Annotated[list[dict[str, Any]], BeforeValidator(_list)] = []
    extra: _Extra = {}


class _Document(_Part):
    schema_version: str
    session_id: str | None = None
    trajectory_id: str | None = None
    agent: _Agent
    steps: list[_Step] = Field(max_length=_MAX_STEPS)
    extra: _Extra = {}
    subagent_trajectories: Annotated[list[_Document], BeforeValidator(_list)] = []


# -- in


def read(path: Path | str) -> list[Trace]:
    """Read one trajectory.

    Raises:
        FormatError: it cannot be read, is of another major version, or a field does not fit.
    """
    path = Path(path)
    return [trace_of(Source(path).data, source=path)]


def is_atif(data: Any) -> bool:
    """Whether parsed JSON claims to be a trajectory in this format."""
    version = data.get("schema_version") if isinstance(data, dict) else None
    return isinstance(version, str) and version.startswith("ATIF-v")


def trace_of(data: Any, *, source: Path | None = None) -> Trace:
    """Turn parsed JSON into a trace.

    Raises:
        FormatError: as `read`.
    """
    try:
        document = _Document.model_validate(data)
    except ValidationError as error:
        raise translate(error, source=source, remedy=_REMEDY) from error
    if not document.schema_version.startswith("ATIF-v1."):
        raise FormatError(
            f"version {document.schema_version} cannot be read, only ATIF-v1.x",
            source=source,
            place="schema_version",
            remedy="write it as ATIF-v1.7, or upgrade agentracer",
        )
    return _Import(document, source).trace()


class _Import:
    """One document, being turned into a trace."""

    def __init__(self, document: _Document, source: Path | None) -> None:
        self.document, self.source = document, source
        self.ours = _dict(document.extra.get(_OURS))
        self.steps: list[Step] = []
        self.prompts: dict[str, str] = {}
        self.documents: dict[str, _Document] = {}

    def trace(self) -> Trace:
        document = self.document
        task = self.run(document, parent=None, depth=0)
        name = document.session_id or document.trajectory_id or document.agent.name
        agents, outcome = self.agents(), self.outcome()
        try:
            observed = Observed(
                task=task,
                framework=_text(self.ours.get("framework")),
                agents=agents,
                steps=tuple(self.steps),
                outcome=outcome,
            )
        except ValidationError as error:  # such as a parent that is no step
            raise translate(error, source=self.source, remedy=_REMEDY) from error
        return Trace(
            id=str(self.ours.get("id") or f"atif-{name}"),
            observed=observed,
            started_at=next((s.started_at for s in self.steps if s.started_at is not None), None),
            metadata={
                "format": "atif",
                "version": document.schema_version,
                "file": self.source.name if self.source else None,
                "system": document.agent.name,
                "extra": {k: v for k, v in document.extra.items() if k != _OURS},
            },
        )

    def run(self, document: _Document, *, parent: int | None, depth: int) -> str:
        """Append the steps of a document and of those inside it; returns its task."""
        if depth > _MAX_DEPTH:
            problem = f"subagents nested deeper than {_MAX_DEPTH} levels"
            raise FormatError(problem, source=self.source, remedy=_REMEDY)
        inner = {sub.trajectory_id: sub for sub in document.subagent_trajectories}
        task: str | None = None
        begun = False
        for number, entry in enumerate(document.steps):
            text = _plain(entry.message)
            begun = begun or entry.source == "agent"
            if entry.source == "system" and not begun and not self.ours:
                self.add_prompt(document.agent.name, text)
            elif entry.source == "user" and task is None and not begun:
                task = text
            else:
                self.append(entry, document, parent, f"steps[{number}]")
                for sub in [inner.pop(name, None) for name in _references(entry)]:
                    if sub is not None:
                        self.run(sub, parent=len(self.steps) - 1, depth=depth + 1)
        for sub in inner.values():  # embedded, but no step says where it was called
            self.run(sub, parent=parent, depth=depth + 1)
        return task or ""

    def add_prompt(self, agent: str, text: str) -> None:
        known = self.prompts.get(agent)
        self.prompts[agent] = f"{known}\n\n{text}" if known else text

    def append(self, entry: _Step, document: _Document, parent: int | None, place: str) -> None:
        ours = _dict(entry.extra.get(_OURS))
        named = entry.extra.get("agent_name")
        speaker = document.agent.name if entry.source == "agent" else entry.source
        fields: dict[str, Any] = {
            "index": len(self.steps),
            "agent": named if isinstance(named, str) and named else speaker,
            "kind": ours.get("kind") or ("llm" if _called_model(entry) else "message"),
            "content": _plain(entry.message),
            "to": ours.get("to"),
            "error": ours.get("error"),
            "model": _model(entry, document),
            "usage": _usage(entry),
            "started_at": _seconds(entry.timestamp),
            "ended_at": ours.get("ended_at"),
            "parent": ours.get("parent", parent),
            "attributes": _attributes(entry) | _dict(ours.get("attributes")),
        }
        try:
            self.steps.append(Step.model_validate(fields | {"tool_calls": _calls(entry)}))
        except ValidationError as error:
            wrong = translate(error, source=self.source, remedy=_REMEDY)
            raise FormatError(
                wrong.problem, source=self.source, place=f"{place}.{wrong.place}", remedy=_REMEDY
            ) from error

    def agents(self) -> tuple[AgentInfo, ...]:
        infos = {info.name: info for info in self.listed()}
        for document in _walk(self.document):
            name = document.agent.name
            if name not in infos:
                infos[name] = AgentInfo(
                    name=name,
                    system_prompt=self.prompts.get(name),
                    tools=tuple(_tools(document.agent.tool_definitions)),
                )
        acted = dict.fromkeys(step.agent for step in self.steps)
        if self.ours:  # the root agent of a document of ours is the system, which does not act
            acted |= dict.fromkeys(info.name for info in self.listed())
        return tuple(infos.get(name) or AgentInfo(name=name) for name in acted)

    def listed(self) -> list[AgentInfo]:
        listed = self.ours.get("agents")
        try:
            return [
                AgentInfo.model_validate(i) for i in (listed if isinstance(listed, list) else [])
            ]
        except ValidationError as error:
            raise translate(error, source=self.source, remedy=_REMEDY) from error

    def outcome(self) -> Outcome:
        try:
            if "outcome" in self.ours:
                return Outcome.model_validate(self.ours["outcome"])
        except ValidationError as error:
            raise translate(error, source=self.source, remedy=_REMEDY) from error
        spoken = (step.content for step in reversed(self.steps) if step.content)
        return Outcome(answer=next(spoken, None))


def _walk(document: _Document) -> Iterator[_Document]:
    yield document
    for sub in document.subagent_trajectories:
        yield from _walk(sub)


def _references(entry: _Step) -> list[str]:
    results = entry.observation.results if entry.observation else []
    refs = [ref for result in results for ref in result.subagent_trajectory_ref]
    return [ref.trajectory_id for ref in refs if ref.trajectory_id is not None]


def _called_model(entry: _Step) -> bool:
    return entry.source == "agent" and entry.llm_call_count != 0


def _calls(entry: _Step) -> list[ToolCall]:
    results = entry.observation.results if entry.observation else []
    by_call: dict[str, list[_Result]] = {}
    for result in results:
        if result.source_call_id is not None:
            by_call.setdefault(result.source_call_id, []).append(result)
    return [_call(call, by_call.get(call.tool_call_id, [])) for call in entry.tool_calls]


def _call(call: _Call, results: list[_Result]) -> ToolCall:
    ours = _dict(call.extra.get(_OURS))
    arguments = call.arguments
    if ours.get("wrapped") and isinstance(arguments, dict):
        arguments = arguments.get("value")
    error = next((r.extra[_OURS] for r in results if "error" in _dict(r.extra.get(_OURS))), None)
    return ToolCall(
        id=str(ours.get("id", call.tool_call_id)),
        name=call.function_name,
        arguments=arguments,
        result=None if error else _result(results),
        error=ErrorInfo.model_validate(error["error"]) if error else None,
        started_at=ours.get("started_at"),
        ended_at=ours.get("ended_at"),
    )


def _result(results: list[_Result]) -> Any:
    if len(results) == 1 and _dict(results[0].extra.get(_OURS)).get("json"):
        try:
            return json.loads(_plain(results[0].content))
        except ValueError:
            pass
    texts = [_plain(result.content) for result in results if result.content is not None]
    return "\n".join(texts) if texts else None


def _attributes(entry: _Step) -> dict[str, Any]:
    results = entry.observation.results if entry.observation else []
    loose = [_plain(r.content) for r in results if r.source_call_id is None and r.content]
    elsewhere = [
        ref.trajectory_path
        for result in results
        for ref in result.subagent_trajectory_ref
        if ref.trajectory_id is None and ref.trajectory_path
    ]
    found = {
        "reasoning": entry.reasoning_content,
        "observations": loose,
        "subagent_files": elsewhere,
        "source": entry.source if entry.source != "agent" else None,
        "extra": {k: v for k, v in entry.extra.items() if k not in (_OURS, "agent_name")},
    }
    return {key: value for key, value in found.items() if value}


def _model(entry: _Step, document: _Document) -> ModelCall | None:
    if not _called_model(entry):
        return None
    name = entry.model_name or document.agent.model_name
    return ModelCall(name=name) if name else None


def _usage(entry: _Step) -> Usage | None:
    metrics = entry.metrics
    if metrics is None or (metrics.prompt_tokens is None and metrics.completion_tokens is None):
        return None
    return Usage(input_tokens=metrics.prompt_tokens, output_tokens=metrics.completion_tokens)


def _tools(definitions: list[dict[str, Any]]) -> Iterator[ToolInfo]:
    for item in definitions:
        spec = item.get("function", item)
        if isinstance(spec, dict) and isinstance(spec.get("name"), str):
            described = _text(spec.get("description"))
            parameters = spec.get("parameters")
            yield ToolInfo(name=spec["name"], description=described, parameters=parameters)


def _plain(content: str | list[dict[str, Any]] | None) -> str:
    """Text, with a mark in the place of each image or sound."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = [
        part["text"] if isinstance(part.get("text"), str) else f"[{part.get('type', 'part')}]"
        for part in content
    ]
    return "\n".join(texts)


def _seconds(timestamp: str | None) -> float | None:
    if timestamp is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    # The format asks for ISO 8601 and not for a zone; what has none is taken as UTC.
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# -- out


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
        "agent": {"name": trace.observed.framework or _OURS, "version": "unknown"},
        "steps": [first, *(_entry(step) for step in trace.steps)],
        "final_metrics": _totals(trace),
        "extra": {_OURS: {key: value for key, value in ours.items() if value is not None}},
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
        "extra": {"agent_name": step.agent, _OURS: _unmodelled(step)},
    }
    return {key: value for key, value in entry.items() if value is not None}


def _source(step: Step) -> str:
    """`user` and `system` only for what was imported as such, and has nothing of an agent's."""
    source = step.attributes.get("source")
    plain = not (step.tool_calls or step.model or step.usage or step.attributes.get("reasoning"))
    return str(source) if source in ("user", "system") and plain else "agent"


def _call_ids(step: Step) -> list[str]:
    """Ids that are unique within the step, as results refer to them."""
    given = Counter(call.id for call in step.tool_calls)
    taken = set(given)
    ids = []
    for position, call in enumerate(step.tool_calls):
        name = call.id
        if not name or given[name] > 1:
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
    extra = {"extra": {_OURS: kept}} if kept else {}
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
            result["extra"] = {_OURS: {"error": error}}
        elif isinstance(call.result, str):
            result["content"] = call.result
        elif call.result is not None:
            result["content"] = json.dumps(call.result, ensure_ascii=False)
            result["extra"] = {_OURS: {"json": True}}
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
