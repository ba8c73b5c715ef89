"""ATIF trajectories of any 1.x version into traces."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentracer.errors import FormatError
from agentracer.formats.atif.schema import (
    EXTRA_KEY,
    AtifStep,
    AtifToolCall,
    ObservationResult,
    Trajectory,
)
from agentracer.formats.source import Source, format_error
from agentracer.trace import (
    AgentInfo,
    ErrorInfo,
    ModelCall,
    Observed,
    Outcome,
    Step,
    TokenUsage,
    ToolCall,
    ToolInfo,
    Trace,
)

__all__ = ["is_atif", "read", "trace_of"]

_REMEDY = "compare the field with Harbor's RFC 0001 (Agent Trajectory Interchange Format)"
_MAX_DEPTH = 20


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
        document = Trajectory.model_validate(data)
    except ValidationError as error:
        raise format_error(error, source=source, remedy=_REMEDY) from error
    if not document.schema_version.startswith("ATIF-v1."):
        raise FormatError(
            f"version {document.schema_version} cannot be read, only ATIF-v1.x",
            source=source,
            place="schema_version",
            remedy="write it as ATIF-v1.7, or upgrade agentracer",
        )
    return _TraceBuilder(document, source).trace()


class _TraceBuilder:
    """One document, being turned into a trace."""

    def __init__(self, document: Trajectory, source: Path | None) -> None:
        self.document, self.source = document, source
        self.own_extra = _dict(document.extra.get(EXTRA_KEY))
        self.steps: list[Step] = []
        self.prompts: dict[str, str] = {}
        self.documents: dict[str, Trajectory] = {}

    def trace(self) -> Trace:
        document = self.document
        task = self.run(document, parent=None, depth=0)
        name = document.session_id or document.trajectory_id or document.agent.name
        agents, outcome = self.agents(), self.outcome()
        try:
            observed = Observed(
                task=task,
                framework=_text(self.own_extra.get("framework")),
                agents=agents,
                steps=tuple(self.steps),
                outcome=outcome,
            )
        except ValidationError as error:  # such as a parent that is no step
            raise format_error(error, source=self.source, remedy=_REMEDY) from error
        return Trace(
            id=str(self.own_extra.get("id") or f"atif-{name}"),
            observed=observed,
            started_at=next((s.started_at for s in self.steps if s.started_at is not None), None),
            metadata={
                "format": "atif",
                "version": document.schema_version,
                "file": self.source.name if self.source else None,
                "system": document.agent.name,
                "extra": {k: v for k, v in document.extra.items() if k != EXTRA_KEY},
            },
        )

    def run(self, document: Trajectory, *, parent: int | None, depth: int) -> str:
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
            if entry.source == "system" and not begun and not self.own_extra:
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
        prompt = self.prompts.get(agent)
        self.prompts[agent] = f"{prompt}\n\n{text}" if prompt else text

    def append(self, entry: AtifStep, document: Trajectory, parent: int | None, place: str) -> None:
        ours = _dict(entry.extra.get(EXTRA_KEY))
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
            wrong = format_error(error, source=self.source, remedy=_REMEDY)
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
        if self.own_extra:  # the root agent of a document of ours is the system, which does not act
            acted |= dict.fromkeys(info.name for info in self.listed())
        return tuple(infos.get(name) or AgentInfo(name=name) for name in acted)

    def listed(self) -> list[AgentInfo]:
        listed = self.own_extra.get("agents")
        try:
            return [
                AgentInfo.model_validate(i) for i in (listed if isinstance(listed, list) else [])
            ]
        except ValidationError as error:
            raise format_error(error, source=self.source, remedy=_REMEDY) from error

    def outcome(self) -> Outcome:
        try:
            if "outcome" in self.own_extra:
                return Outcome.model_validate(self.own_extra["outcome"])
        except ValidationError as error:
            raise format_error(error, source=self.source, remedy=_REMEDY) from error
        spoken = (step.content for step in reversed(self.steps) if step.content)
        return Outcome(answer=next(spoken, None))


def _walk(document: Trajectory) -> Iterator[Trajectory]:
    yield document
    for sub in document.subagent_trajectories:
        yield from _walk(sub)


def _references(entry: AtifStep) -> list[str]:
    results = entry.observation.results if entry.observation else []
    refs = [ref for result in results for ref in result.subagent_trajectory_ref]
    return [ref.trajectory_id for ref in refs if ref.trajectory_id is not None]


def _called_model(entry: AtifStep) -> bool:
    return entry.source == "agent" and entry.llm_call_count != 0


def _calls(entry: AtifStep) -> list[ToolCall]:
    results = entry.observation.results if entry.observation else []
    by_call: dict[str, list[ObservationResult]] = {}
    for result in results:
        if result.source_call_id is not None:
            by_call.setdefault(result.source_call_id, []).append(result)
    return [_call(call, by_call.get(call.tool_call_id, [])) for call in entry.tool_calls]


def _call(call: AtifToolCall, results: list[ObservationResult]) -> ToolCall:
    ours = _dict(call.extra.get(EXTRA_KEY))
    arguments = call.arguments
    if ours.get("wrapped") and isinstance(arguments, dict):
        arguments = arguments.get("value")
    own_extras = [_dict(result.extra.get(EXTRA_KEY)) for result in results]
    error = next((extra["error"] for extra in own_extras if "error" in extra), None)
    return ToolCall(
        id=str(ours.get("id", call.tool_call_id)),
        name=call.function_name,
        arguments=arguments,
        result=None if error else _result(results),
        error=ErrorInfo.model_validate(error) if error else None,
        started_at=ours.get("started_at"),
        ended_at=ours.get("ended_at"),
    )


def _result(results: list[ObservationResult]) -> Any:
    if len(results) == 1 and _dict(results[0].extra.get(EXTRA_KEY)).get("json"):
        try:
            return json.loads(_plain(results[0].content))
        except ValueError:
            pass
    texts = [_plain(result.content) for result in results if result.content is not None]
    return "\n".join(texts) if texts else None


def _attributes(entry: AtifStep) -> dict[str, Any]:
    results = entry.observation.results if entry.observation else []
    loose = [_plain(r.content) for r in results if r.source_call_id is None and r.content]
    elsewhere = [
        ref.trajectory_path
        for result in results
        for ref in result.subagent_trajectory_ref
        if ref.trajectory_id is None and ref.trajectory_path
    ]
    fields = {
        "reasoning": entry.reasoning_content,
        "observations": loose,
        "subagent_files": elsewhere,
        "source": entry.source if entry.source != "agent" else None,
        "extra": {k: v for k, v in entry.extra.items() if k not in (EXTRA_KEY, "agent_name")},
    }
    return {key: value for key, value in fields.items() if value}


def _model(entry: AtifStep, document: Trajectory) -> ModelCall | None:
    if not _called_model(entry):
        return None
    name = entry.model_name or document.agent.model_name
    return ModelCall(name=name) if name else None


def _usage(entry: AtifStep) -> TokenUsage | None:
    metrics = entry.metrics
    if metrics is None or (metrics.prompt_tokens is None and metrics.completion_tokens is None):
        return None
    return TokenUsage(input_tokens=metrics.prompt_tokens, output_tokens=metrics.completion_tokens)


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
