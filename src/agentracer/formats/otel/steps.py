"""The steps of one run: model calls, tool runs, agents and graph nodes, in order of start."""

from __future__ import annotations

from collections.abc import Sequence

from agentracer.formats.otel import attributes
from agentracer.formats.otel.calls import (
    PendingCalls,
    StepDraft,
    answer_from_prompts,
    merge_twins,
    start_of,
)
from agentracer.formats.otel.messages import messages_of, reasoning_of
from agentracer.formats.otel.otlp import OtlpSpan
from agentracer.formats.otel.span_tree import SpanTree
from agentracer.formats.otel.values import first_value, plain_text
from agentracer.trace import ToolCall, ToolRequest

__all__ = ["StepBuilder"]


class StepBuilder:
    """Makes the steps of one run.

    Attributes:
        owner: by span id, the step that a model or tool span is part of; filled by `drafts`.
    """

    def __init__(self, tree: SpanTree) -> None:
        self.tree = tree
        self.owner: dict[str, StepDraft] = {}

    def drafts(self) -> list[StepDraft]:
        """The steps, in order of start."""
        drafts = [self._model_call(views) for views in merge_twins(self.tree.same_calls("llm"))]
        drafts.sort(key=lambda draft: draft.start)
        # Dispatch in order of start: the n-th run of a tool answers the n-th call of it.
        pending = PendingCalls(drafts)
        for views in sorted(self.tree.same_calls("tool"), key=start_of):
            orphan = self._tool_run(views, pending)
            if orphan is not None:
                drafts.append(orphan)
        answer_from_prompts(drafts)
        drafts += [*self._silent_agents(drafts), *self._nodes()]
        drafts.sort(key=lambda draft: draft.start)
        for index, draft in enumerate(drafts):
            draft.index = index
        return drafts

    def _model_call(self, views: list[OtlpSpan]) -> StepDraft:
        prompts = (attributes.input_messages(view) for view in views)
        replies = next((m for v in views if (m := attributes.output_messages(v))), [])
        calls = [call for message in replies for call in message.tool_calls]
        draft = StepDraft(
            views=views,
            agent=self.tree.agent(views[0]),
            kind="llm",
            prompt=next((prompt for prompt in prompts if prompt), []),
            content="\n".join(message.content for message in replies if message.content),
            reasoning=reasoning_of(replies),
            calls=[ToolCall(id=c.id, name=c.name, arguments=c.arguments) for c in calls],
            tools=next((tools for v in views if (tools := attributes.tools_of(v))), ()),
        )
        for view in views:
            self.owner[view.span_id] = draft
        return draft

    def _tool_run(self, views: list[OtlpSpan], pending: PendingCalls) -> StepDraft | None:
        """Hang a tool run on the step that asked for it, or make it a step of its own."""
        request = _tool_request(views)
        outcomes = [attributes.tool_outcome(view, request.id) for view in views]
        run = ToolCall(
            id=request.id,
            name=request.name,
            arguments=request.arguments,
            result=next((result for result, _ in outcomes if result is not None), None),
            error=next((error for _, error in outcomes if error is not None), None),
            started_at=start_of(views) or None,
            ended_at=max((view.end for view in views if view.end), default=None),
        )
        agent = self.tree.agent(views[0])
        match = pending.take(run, agent)
        if match is None:
            draft = StepDraft(views=views, agent=agent, kind="tool", calls=[run])
        else:
            draft, place = match
            call = draft.calls[place]
            arguments = call.arguments if call.arguments is not None else run.arguments
            draft.calls[place] = run.model_copy(
                update={"id": call.id or run.id, "name": call.name, "arguments": arguments}
            )
        for view in views:
            self.owner[view.span_id] = draft
        return draft if match is None else None

    def _silent_agents(self, drafts: Sequence[StepDraft]) -> list[StepDraft]:
        """Agents that no span below belongs to."""
        busy = {
            a.span_id for s in self.tree.of_kind("llm", "agent") for a in self.tree.ancestors(s)
        }
        silent = not any(draft.kind == "llm" for draft in drafts)
        parents = []
        for span in self.tree.of_kind("agent"):
            replies = attributes.output_messages(span)
            if span.span_id in busy or not (replies or silent):
                continue
            content = replies[-1].content if replies else ""
            prompt = attributes.input_messages(span)
            agent = self.tree.agent(span)
            parents.append(StepDraft([span], agent, "message", prompt=prompt, content=content))
        return parents

    def _nodes(self) -> list[StepDraft]:
        """Plain code of a graph, which may be what went wrong."""
        busy = {
            ancestor.span_id
            for span in self.tree.spans
            if self.tree.kinds[span.span_id] in ("llm", "tool", "agent")
            or attributes.node_name(span)
            for ancestor in self.tree.ancestors(span)
        }
        parents = []
        for span in self.tree.of_kind("other"):
            if span.span_id in busy or attributes.node_name(span) is None:
                continue
            value = attributes.output_value(span)
            replies = messages_of(value, "assistant")
            content = "\n".join(m.content for m in replies if m.content) or plain_text(value)
            if content or span.failed:
                parents.append(StepDraft([span], self.tree.agent(span), "node", content=content))
        return parents


def _tool_request(views: list[OtlpSpan]) -> ToolRequest:
    """What the spans of one tool run say together."""
    calls = [attributes.tool_call_of(view) for view in views]
    return ToolRequest(
        id=next((call.id for call in calls if call.id), ""),
        name=calls[0].name,
        arguments=first_value(call.arguments for call in calls),
    )
