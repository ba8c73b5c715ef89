"""OpenTelemetry spans of any emitter into traces: GenAI conventions, OpenInference and vendors'.

One trace id is one run, and so are trace ids whose spans link to each other: in systems whose
agents send messages (AutoGen without a team's root span) each turn starts a trace of its own that
links to the one before. What becomes a step, in order of start:

    llm      a model call, with the tool calls it asked for and what came of them
    tool     a tool run that no model call in the file asked for
    message  an agent that ran with no model call of its own in the file (a remote agent)
    node     a node of a graph that called no model, no tool and no other agent, and wrote something

One call may show as several spans (an instrumented client inside an instrumented agent): they are
one step, and its facts come from the innermost span that has them, as that is closest to what the
model was sent. Imported traces can be attributed and not replayed: no agent objects come with
them. `Step.attributes["otel"]` keeps the ids, for `otel_export.emit_verdict`.

It knows how spans make up a run. OTLP is read by `_otel_spans`, attributes by `_otel_attributes`,
and `_otel_calls` says which spans are one call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agentracer.errors import FormatError
from agentracer.formats import _otel_attributes as semconv
from agentracer.formats._builder import Prompts
from agentracer.formats._files import Source
from agentracer.formats._otel_calls import Draft, Waiting, answer_from_prompts, began, merged
from agentracer.formats._otel_messages import decode, messages_of, reasoning_of, text_of
from agentracer.formats._otel_spans import Span, is_otlp, parse_documents, spans_of
from agentracer.trace import (
    AgentInfo,
    Ending,
    ErrorInfo,
    Observed,
    Outcome,
    Step,
    ToolCall,
    ToolRequest,
    Trace,
    Usage,
)

__all__ = ["accepts", "is_otlp", "read", "traces_in", "traces_of"]

_T = TypeVar("_T")
_HEAD = re.compile(r'\s*\[?\s*\{\s*"resource_?(?:[sS]pans|[lL]ogs)"\s*:')
_TASK_KEYS = ("task", "question", "query", "input", "problem")
_ANSWER_KEYS = ("final_answer", "answer", "output", "result", "response")
_NOBODY = "agent"
_GENERIC_ROOTS = frozenset({"LangGraph", "RunnableSequence", ""})
_DEPTH = 1_000


def read(path: Path | str) -> list[Trace]:
    """Read a file of OTLP JSON: one document, a list of them, or one per line.

    Returns:
        One trace per run with at least one step, by start.

    Raises:
        FormatError: it cannot be read, is not OTLP, or holds no step of an agent.
    """
    return traces_in(Source(Path(path)))


def traces_in(source: Source) -> list[Trace]:
    """As `read`, of a file or of what was piped in.

    Raises:
        FormatError: as `read`.
    """
    return _traces(parse_documents(source.text, source=source.path), source.path)


def traces_of(data: Any, *, source: Path | None = None) -> list[Trace]:
    """The traces in parsed OTLP JSON.

    Raises:
        FormatError: as `read`.
    """
    return _traces([data], source)


def accepts(source: Source) -> bool:
    """Whether a file is OTLP JSON, judged without parsing it where its first bytes tell."""
    if _HEAD.match(source.text[:4_096]):
        return True
    return source.path.suffix.lower() != ".jsonl" and is_otlp(source.data)


def _traces(documents: list[Any], source: Path | None) -> list[Trace]:
    spans = spans_of(documents, source=source)
    # An agent is often made in a trace of its own, before the run.
    described = [span for span in spans if semconv.kind_of(span) == "setup"]
    traces = [_Run(group, described).trace(source) for group in _linked(spans)]
    traces = [trace for trace in traces if trace.steps]
    if not traces:
        raise FormatError(
            f"none of the {len(spans)} spans is a model call, a tool run or an agent's turn",
            source=source,
            remedy="export spans that follow the OpenTelemetry GenAI or OpenInference conventions",
        )
    return traces


def _linked(spans: list[Span]) -> list[list[Span]]:
    """The spans of each run, in order of start."""
    leader: dict[str, str] = {}

    def find(trace_id: str) -> str:
        while (above := leader.setdefault(trace_id, trace_id)) != trace_id:
            leader[trace_id] = trace_id = leader[above]
        return trace_id

    present = {span.trace_id for span in spans}
    for span in spans:
        for other in span.linked:
            # Two runs that both answer the same request elsewhere stay two.
            if other in present:
                leader[find(span.trace_id)] = find(other)
    groups: dict[str, list[Span]] = {}
    for span in spans:
        groups.setdefault(find(span.trace_id), []).append(span)
    return list(groups.values())


class _Run:
    """The spans of one trace id, being turned into one trace."""

    def __init__(self, spans: list[Span], described: list[Span]) -> None:
        self.spans, self.described = spans, described
        self.by_id = {span.span_id: span for span in spans}
        self.kinds = {span.span_id: semconv.kind_of(span) for span in spans}
        self.tops = [span for span in spans if span.parent_id not in self.by_id]
        self.agents: dict[str, str | None] = {}
        self.owner: dict[str, Draft] = {}  # by span: the step that a model or tool span is part of

    # -- the tree

    def ancestors(self, span: Span) -> Iterator[Span]:
        seen = {span.span_id}
        while (parent := self.by_id.get(span.parent_id or "")) and parent.span_id not in seen:
            if len(seen) > _DEPTH:
                return
            seen.add(parent.span_id)
            yield parent
            span = parent

    def of_kind(self, *kinds: semconv.Kind) -> list[Span]:
        return [span for span in self.spans if self.kinds[span.span_id] in kinds]

    def agent(self, span: Span) -> str:
        """The agent that a span belongs to: named by it, or by what encloses it."""
        path = []
        name: str | None = None
        for here in (span, *self.ancestors(span)):
            if here.span_id in self.agents:
                name = self.agents[here.span_id]
                break
            path.append(here)
            name = semconv.agent_name(here)
            if name:
                break
        for here in path:
            self.agents[here.span_id] = name
        return name or self.fallback(span)

    def fallback(self, span: Span) -> str:
        enclosing = [span, *self.ancestors(span)]
        agents = [s.name for s in enclosing if self.kinds[s.span_id] == "agent" and s.name]
        root = enclosing[-1]
        if agents:
            return agents[0].removeprefix("invoke_agent ").strip() or _NOBODY
        if self.kinds[root.span_id] == "other" and root.name not in _GENERIC_ROOTS:
            return root.name
        return _NOBODY

    # -- one call, one step

    def same_calls(self, kind: semconv.Kind) -> list[list[Span]]:
        """The spans of a kind, those of one call together, innermost first."""
        spans = self.of_kind(kind)
        outer = {span.span_id: self.enclosing_call(span, kind) for span in spans}
        inner: dict[str, int] = {}
        for parent in outer.values():
            if parent is not None:
                inner[parent.span_id] = inner.get(parent.span_id, 0) + 1
        groups = []
        for span in spans:
            if span.span_id in inner:
                continue
            group = [span]
            # A span around several calls (retries) says nothing about any single one of them.
            while (parent := outer[group[-1].span_id]) and inner[parent.span_id] == 1:
                group.append(parent)
            groups.append(group)
        return groups

    def enclosing_call(self, span: Span, kind: semconv.Kind) -> Span | None:
        for ancestor in self.ancestors(span):
            found = self.kinds[ancestor.span_id]
            if found == kind:
                same = kind == "llm" or _tool_name(ancestor) == _tool_name(span)
                return ancestor if same else None
            if found in ("llm", "tool", "agent"):
                return None
        return None

    def drafts(self) -> list[Draft]:
        """The steps, in order of start."""
        drafts = [self.llm(views) for views in merged(self.same_calls("llm"))]
        drafts.sort(key=lambda draft: draft.start)
        # Dispatch in order of start: the n-th run of a tool answers the n-th call of it.
        waiting = Waiting(drafts)
        for views in sorted(self.same_calls("tool"), key=began):
            orphan = self.dispatch(views, waiting)
            if orphan is not None:
                drafts.append(orphan)
        answer_from_prompts(drafts)
        drafts += [*self.turns(drafts), *self.nodes()]
        drafts.sort(key=lambda draft: draft.start)
        for index, draft in enumerate(drafts):
            draft.index = index
        return drafts

    def llm(self, views: list[Span]) -> Draft:
        prompts = (semconv.input_messages(view) for view in views)
        said = next((m for v in views if (m := semconv.output_messages(v))), [])
        calls = [call for message in said for call in message.tool_calls]
        draft = Draft(
            views=views,
            agent=self.agent(views[0]),
            kind="llm",
            prompt=next((prompt for prompt in prompts if prompt), []),
            content="\n".join(message.content for message in said if message.content),
            reasoning=reasoning_of(said),
            calls=[ToolCall(id=c.id, name=c.name, arguments=c.arguments) for c in calls],
            tools=next((tools for v in views if (tools := semconv.tools_of(v))), ()),
        )
        for view in views:
            self.owner[view.span_id] = draft
        return draft

    # -- tools

    def dispatch(self, views: list[Span], waiting: Waiting) -> Draft | None:
        """Hang a tool run on the step that asked for it, or make it a step of its own."""
        asked = _tool_request(views)
        outcomes = [semconv.tool_outcome(view, asked.id) for view in views]
        ran = ToolCall(
            id=asked.id,
            name=asked.name,
            arguments=asked.arguments,
            result=next((result for result, _ in outcomes if result is not None), None),
            error=next((error for _, error in outcomes if error is not None), None),
            started_at=began(views) or None,
            ended_at=max((view.end for view in views if view.end), default=None),
        )
        agent = self.agent(views[0])
        found = waiting.take(ran, agent)
        if found is None:
            draft = Draft(views=views, agent=agent, kind="tool", calls=[ran])
        else:
            draft, place = found
            call = draft.calls[place]
            given = call.arguments if call.arguments is not None else ran.arguments
            draft.calls[place] = ran.model_copy(
                update={"id": call.id or ran.id, "name": call.name, "arguments": given}
            )
        for view in views:
            self.owner[view.span_id] = draft
        return draft if found is None else None

    # -- agents and nodes without a model call

    def turns(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Agents that nothing below speaks for."""
        busy = {a.span_id for s in self.of_kind("llm", "agent") for a in self.ancestors(s)}
        silent = not any(draft.kind == "llm" for draft in drafts)
        found = []
        for span in self.of_kind("agent"):
            said = semconv.output_messages(span)
            if span.span_id in busy or not (said or silent):
                continue
            content = said[-1].content if said else ""
            prompt = semconv.input_messages(span)
            agent = self.agent(span)
            found.append(Draft([span], agent, "message", prompt=prompt, content=content))
        return found

    def nodes(self) -> list[Draft]:
        """Plain code of a graph, which may be what went wrong."""
        busy = {
            ancestor.span_id
            for span in self.spans
            if self.kinds[span.span_id] in ("llm", "tool", "agent") or semconv.node_name(span)
            for ancestor in self.ancestors(span)
        }
        found = []
        for span in self.of_kind("other"):
            if span.span_id in busy or semconv.node_name(span) is None:
                continue
            value = semconv.output_value(span)
            said = messages_of(value, "assistant")
            content = "\n".join(m.content for m in said if m.content) or _plain(value)
            if content or span.failed:
                found.append(Draft([span], self.agent(span), "node", content=content))
        return found

    # -- the trace

    def trace(self, source: Path | None) -> Trace:
        drafts = self.drafts()
        prompts = Prompts()
        steps = tuple(self.step(draft, prompts) for draft in drafts)
        ends = [span.end for span in self.spans if span.end]
        dropped = sum(span.dropped for span in self.spans)
        return Trace(
            id=f"otel-{self.spans[0].trace_id}",
            observed=Observed(
                task=self.task(drafts),
                agents=self.agent_infos(drafts),
                messages=prompts.messages,
                contexts=tuple(prompts.contexts),
                steps=steps,
                outcome=self.outcome(drafts),
            ),
            started_at=self.spans[0].start or None,
            ended_at=max(ends, default=None),
            dropped={"otel": dropped} if dropped else {},
            metadata=self.metadata(steps, source),
        )

    def step(self, draft: Draft, prompts: Prompts) -> Step:
        span = draft.views[0]
        otel = {
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "name": span.name,
            "scope": span.scope,
            "response_id": _pick(semconv.response_id(view) for view in draft.views),
        }
        attributes: dict[str, Any] = {"otel": {k: v for k, v in otel.items() if v}}
        if draft.reasoning:
            attributes["reasoning"] = draft.reasoning
        own = None if draft.kind == "tool" else _pick(semconv.error_of(v) for v in draft.views)
        is_llm = draft.kind == "llm"
        return Step(
            index=draft.index,
            agent=draft.agent,
            kind=draft.kind,
            content=draft.content,
            reads=prompts.add(draft.prompt),
            tool_calls=tuple(draft.calls),
            error=own,
            model=_pick(semconv.model_of(view) for view in draft.views) if is_llm else None,
            usage=self.usage(draft) if is_llm else None,
            started_at=draft.start or None,
            ended_at=max((view.end for view in draft.views if view.end), default=None),
            parent=self.parent(draft),
            attributes=attributes,
        )

    def usage(self, draft: Draft) -> Usage | None:
        return _pick(semconv.usage_of(view) for view in draft.views)

    def parent(self, draft: Draft) -> int | None:
        """The step whose tool call this one runs inside of: an agent called as a tool."""
        for ancestor in self.ancestors(draft.views[-1]):
            owner = self.owner.get(ancestor.span_id)
            if owner is not None and owner is not draft and owner.index < draft.index:
                return owner.index
        return None

    def around(self, draft: Draft, value_of: Callable[[Span], Any]) -> Any:
        """What the outermost run around a step was given or returned, if any of them says.

        Around the first step for the task and around the last one for the answer: where the root
        itself says nothing, what some node in the middle returned is no answer.
        """
        path = [*draft.views, *self.ancestors(draft.views[-1])]
        runs = [span for span in path if self.kinds[span.span_id] in ("agent", "other")]
        return _pick(value_of(span) for span in reversed(runs))

    def task(self, drafts: Sequence[Draft]) -> str:
        asked = _asked(self.around(drafts[0], semconv.input_value)) if drafts else ""
        users = (m.content for draft in drafts for m in draft.prompt if m.role == "user")
        return asked or next((text for text in users if text), "")

    def outcome(self, drafts: Sequence[Draft]) -> Outcome:
        answer = _answered(self.around(drafts[-1], semconv.output_value)) if drafts else ""
        said = (draft.content for draft in reversed(drafts) if draft.content)
        runs = [span for span in self.tops if self.kinds[span.span_id] in ("agent", "other")]
        tops = runs or (self.tops if len(self.tops) == 1 else [])
        error: ErrorInfo | None = _pick(semconv.error_of(span) for span in tops)
        ending: Ending = "raised" if error is not None else "finished"
        success = None if error is None else False
        answer = answer or next(said, "")
        return Outcome(success=success, ending=ending, answer=answer or None, error=error)

    def agent_infos(self, drafts: Sequence[Draft]) -> tuple[AgentInfo, ...]:
        infos: dict[str, dict[str, Any]] = {}
        for draft in drafts:
            info = infos.setdefault(draft.agent, {"name": draft.agent})
            system = (m.content for m in draft.prompt if m.role in ("system", "developer"))
            _fill(info, system_prompt=next(system, None), tools=draft.tools)
        for span in (*self.described, *self.of_kind("agent")):
            name = semconv.agent_name(span)
            if name in infos:
                _fill(infos[name], role=semconv.agent_role(span), tools=semconv.tools_of(span))
        return tuple(AgentInfo(**info) for info in infos.values())

    def metadata(self, steps: Sequence[Step], source: Path | None) -> dict[str, Any]:
        about = {
            "format": "otel",
            "file": source.name if source else None,
            "service": _pick(semconv.service_of(span) for span in self.spans),
            "session": _pick(semconv.session_of(span) for span in self.spans),
            "trace_ids": sorted({span.trace_id for span in self.spans}),
            "scopes": sorted({span.scope for span in self.spans if span.scope}),
            # Emitters leave content out unless told otherwise; without it there is little to judge.
            "content_captured": any(step.content or step.tool_calls for step in steps),
        }
        return {key: value for key, value in about.items() if value is not None}


# -- helpers


def _pick(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)


def _fill(info: dict[str, Any], **facts: Any) -> None:
    for key, value in facts.items():
        if value and not info.get(key):
            info[key] = value


def _tool_name(span: Span) -> str:
    return semconv.tool_call_of(span).name


def _tool_request(views: list[Span]) -> ToolRequest:
    """What the spans of one tool run say together."""
    seen = [semconv.tool_call_of(view) for view in views]
    return ToolRequest(
        id=next((call.id for call in seen if call.id), ""),
        name=seen[0].name,
        arguments=_pick(call.arguments for call in seen),
    )


def _asked(value: Any) -> str:
    """What a run was asked: its last user message, or the input that reads like a task."""
    value = decode(value)
    if isinstance(value, dict):
        if isinstance(value.get("inputs"), dict):
            return _asked(value["inputs"])
        if not value.get("messages"):
            named = next((value[key] for key in _TASK_KEYS if _is_word(value.get(key))), None)
            if named is not None:
                return str(named)
    said = [m for m in messages_of(value) if m.content]
    users = [message for message in said if message.role == "user"]
    return (users or said)[-1].content if said else _plain(value)


def _answered(value: Any) -> str:
    """What a run answered: an answer field of its output, or its last message."""
    value = decode(value)
    if isinstance(value, dict):
        if isinstance(value.get("outputs"), dict):
            return _answered(value["outputs"])
        named = next((value[key] for key in _ANSWER_KEYS if _is_word(value.get(key))), None)
        if named is not None:
            return str(named)
    said = [message.content for message in messages_of(value, "assistant") if message.content]
    return said[-1] if said else _plain(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and value != "" and not isinstance(value, bool)


def _plain(value: Any) -> str:
    return "" if value in (None, {}, []) else text_of(value)
