"""One run's spans into one trace: steps, task, outcome, agents and metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentracer.formats.otel import attributes
from agentracer.formats.otel.calls import StepDraft
from agentracer.formats.otel.otlp import OtlpSpan
from agentracer.formats.otel.span_tree import SpanTree
from agentracer.formats.otel.steps import StepBuilder
from agentracer.formats.otel.values import answer_text, first_value, task_text
from agentracer.formats.prompt_tree import PromptTree
from agentracer.trace import (
    AgentInfo,
    Ending,
    ErrorInfo,
    Observed,
    Outcome,
    Step,
    TokenUsage,
    Trace,
)

__all__ = ["TraceBuilder"]


class TraceBuilder:
    """Turns the spans of one run into a trace.

    Args:
        spans: of the run, in order of start.
        described: spans of the file that describe an agent without running it.
    """

    def __init__(self, spans: list[OtlpSpan], described: list[OtlpSpan]) -> None:
        self.tree = SpanTree(spans)
        self.described = described
        self.steps = StepBuilder(self.tree)

    def trace(self, source: Path | None) -> Trace:
        """The run as a trace; without steps where no span is a call, a tool run or an agent."""
        drafts = self.steps.drafts()
        prompts = PromptTree()
        steps = tuple(self._step(draft, prompts) for draft in drafts)
        ends = [span.end for span in self.tree.spans if span.end]
        dropped = sum(span.dropped for span in self.tree.spans)
        return Trace(
            id=f"otel-{self.tree.spans[0].trace_id}",
            observed=Observed(
                task=self._task(drafts),
                agents=self._agent_infos(drafts),
                messages=prompts.messages,
                contexts=tuple(prompts.contexts),
                steps=steps,
                outcome=self._outcome(drafts),
            ),
            started_at=self.tree.spans[0].start or None,
            ended_at=max(ends, default=None),
            dropped={"otel": dropped} if dropped else {},
            metadata=self._metadata(steps, source),
        )

    def _step(self, draft: StepDraft, prompts: PromptTree) -> Step:
        span = draft.views[0]
        otel = {
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "name": span.name,
            "scope": span.scope,
            "response_id": first_value(attributes.response_id(view) for view in draft.views),
        }
        details: dict[str, Any] = {"otel": {k: v for k, v in otel.items() if v}}
        if draft.reasoning:
            details["reasoning"] = draft.reasoning
        errors = (attributes.error_of(view) for view in draft.views)
        is_llm = draft.kind == "llm"
        models = (attributes.model_of(view) for view in draft.views)
        return Step(
            index=draft.index,
            agent=draft.agent,
            kind=draft.kind,
            content=draft.content,
            reads=prompts.add(draft.prompt),
            tool_calls=tuple(draft.calls),
            error=None if draft.kind == "tool" else first_value(errors),
            model=first_value(models) if is_llm else None,
            usage=self._usage(draft) if is_llm else None,
            started_at=draft.start or None,
            ended_at=max((view.end for view in draft.views if view.end), default=None),
            parent=self._parent(draft),
            attributes=details,
        )

    def _usage(self, draft: StepDraft) -> TokenUsage | None:
        return first_value(attributes.usage_of(view) for view in draft.views)

    def _parent(self, draft: StepDraft) -> int | None:
        """The step whose tool call this one runs inside of: an agent called as a tool."""
        for ancestor in self.tree.ancestors(draft.views[-1]):
            owner = self.steps.owner.get(ancestor.span_id)
            if owner is not None and owner is not draft and owner.index < draft.index:
                return owner.index
        return None

    def _around(self, draft: StepDraft, value_of: Callable[[OtlpSpan], Any]) -> Any:
        """What the outermost run around a step was given or returned, if any of them says.

        Around the first step for the task and around the last one for the answer: where the root
        itself says nothing, what some node in the middle returned is no answer.
        """
        path = [*draft.views, *self.tree.ancestors(draft.views[-1])]
        runs = [span for span in path if self.tree.kinds[span.span_id] in ("agent", "other")]
        return first_value(value_of(span) for span in reversed(runs))

    def _task(self, drafts: Sequence[StepDraft]) -> str:
        task = task_text(self._around(drafts[0], attributes.input_value)) if drafts else ""
        users = (m.content for draft in drafts for m in draft.prompt if m.role == "user")
        return task or next((text for text in users if text), "")

    def _outcome(self, drafts: Sequence[StepDraft]) -> Outcome:
        answer = answer_text(self._around(drafts[-1], attributes.output_value)) if drafts else ""
        contents = (draft.content for draft in reversed(drafts) if draft.content)
        runs = [
            span for span in self.tree.tops if self.tree.kinds[span.span_id] in ("agent", "other")
        ]
        tops = runs or (self.tree.tops if len(self.tree.tops) == 1 else [])
        error: ErrorInfo | None = first_value(attributes.error_of(span) for span in tops)
        ending: Ending = "raised" if error is not None else "finished"
        success = None if error is None else False
        answer = answer or next(contents, "")
        return Outcome(success=success, ending=ending, answer=answer or None, error=error)

    def _agent_infos(self, drafts: Sequence[StepDraft]) -> tuple[AgentInfo, ...]:
        infos: dict[str, dict[str, Any]] = {}
        for draft in drafts:
            info = infos.setdefault(draft.agent, {"name": draft.agent})
            system = (m.content for m in draft.prompt if m.role in ("system", "developer"))
            _fill(info, system_prompt=next(system, None), tools=draft.tools)
        for span in (*self.described, *self.tree.of_kind("agent")):
            name = attributes.agent_name(span)
            if name in infos:
                _fill(
                    infos[name], role=attributes.agent_role(span), tools=attributes.tools_of(span)
                )
        return tuple(AgentInfo(**info) for info in infos.values())

    def _metadata(self, steps: Sequence[Step], source: Path | None) -> dict[str, Any]:
        about = {
            "format": "otel",
            "file": source.name if source else None,
            "service": first_value(attributes.service_of(span) for span in self.tree.spans),
            "session": first_value(attributes.session_of(span) for span in self.tree.spans),
            "trace_ids": sorted({span.trace_id for span in self.tree.spans}),
            "scopes": sorted({span.scope for span in self.tree.spans if span.scope}),
            # Emitters leave content out unless told otherwise; without it there is little to judge.
            "content_captured": any(step.content or step.tool_calls for step in steps),
        }
        return {key: value for key, value in about.items() if value is not None}


def _fill(info: dict[str, Any], **facts: Any) -> None:
    for key, value in facts.items():
        if value and not info.get(key):
            info[key] = value
