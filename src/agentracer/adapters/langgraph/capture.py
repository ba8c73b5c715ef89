"""What a LangGraph run does, through LangChain's callbacks.

The handler sees every graph, subgraph, prebuilt agent, supervisor, swarm and functional-API run, in
every thread and task, with no change to the user's code. A *span* is one callback run; a *root* is
a span without a parent: a top-level framework run. What becomes a step:

    llm    one model call; the tool calls that it asked for are attached as they run
    tool   a tool or retriever that no recorded model call asked for
    node   a node that called no model and no tool, or that wrote something its model did not say,
           raised an error of its own, or waits for a human (attribute `interrupt`)

Step attributes: `path`, the node names from the outermost graph inwards, such as `solver/model`.

Seen from outside only: model calls that bypass LangChain (a raw `openai` client in a node) show as
what the node wrote.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Command

from agentracer._guard import guard
from agentracer.adapters.langgraph import shapes
from agentracer.recorder import RunRecorder, describe_error
from agentracer.recording import Run, current_run, open_run

__all__ = ["CaptureHandler", "Span", "intern_message", "recorder_of"]


class _Root:
    """A top-level framework run: which `Run` it belongs to, and what is shared below it."""

    __slots__ = (
        *("errors", "inputs", "messages", "name", "owned", "raised", "recorder", "run", "spans"),
    )

    def __init__(self, name: str | None, inputs: Any) -> None:
        self.name, self.inputs = name, inputs
        self.run: Run | None = current_run()
        self.owned = self.run is None
        self.spans: list[UUID] = []
        self.errors: list[BaseException] = []
        self.raised: set[str] = set()  # ids of tool calls
        self.recorder: RunRecorder | None = None
        self.messages: dict[int, tuple[Any, Any, Any, str]] = {}


class Span:
    """One callback run.

    `step` is set for model calls, and for tools to the step that called. `said` is set for nodes
    whose output may have to be recorded, to the texts of the model and tool calls inside.
    """

    __slots__ = ("agent", "call_id", "node", "parent", "path", "root", "said", "started", "step")

    def __init__(self, root: _Root, parent: Span | None, metadata: dict[str, Any]) -> None:
        self.root, self.parent = root, parent
        self.path = shapes.node_path(metadata)
        self.agent = shapes.agent_name(metadata, root.name)
        self.started = time.time()
        self.node = False
        self.step: int | None = None
        self.call_id: str | None = None
        self.said: list[str] | None = None


class CaptureHandler(BaseCallbackHandler):
    """Turns LangChain callbacks into recorder events."""

    run_inline = True  # keeps the order in async graphs, where handlers else run in an executor
    raise_error = False

    def __init__(self) -> None:
        self._spans: dict[UUID, Span] = {}
        self._opening = threading.Lock()

    # -- chains: graphs, nodes, and the pieces between them

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A graph, a node, or any other runnable starts."""
        with guard("langgraph.on_chain_start"):
            name = kwargs.get("name")
            span = self._open(run_id, parent_run_id, metadata, name, inputs)
            steps = any(tag.startswith("graph:step:") for tag in tags or ())
            span.node = steps and name == (metadata or {}).get("langgraph_node")
            if span.node and "langsmith:hidden" not in (tags or ()):
                span.said = []
                for ancestor in _ancestors(span):
                    ancestor.said = None  # a node that holds a graph only passes on what it said

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It ends."""
        with guard("langgraph.on_chain_end"):
            span = self._spans.pop(run_id, None)
            if span is None:
                return
            if span.parent is None:
                self._end_root(span.root, outputs, None)
            elif span.node and (recorder := recorder_of(span.root)):
                answered = _answer_unrun_calls(span.root, recorder, outputs)
                if span.said is not None:
                    text = shapes.unsaid(outputs, [*span.said, *answered])
                    if text:
                        _node_step(recorder, span, content=text)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It raises, hands over to another graph, waits for a human, or is abandoned."""
        with guard("langgraph.on_chain_error"):
            span = self._spans.pop(run_id, None)
            if span is None:
                return
            recorder = recorder_of(span.root)
            new = all(known is not error for known in span.root.errors)
            if recorder and new and span.node:
                if isinstance(error, GraphInterrupt):
                    asked = [item.value for item in (error.args[0] if error.args else ())]
                    _node_step(recorder, span, attributes={"interrupt": asked})
                    span.root.errors.append(error)
                elif _is_failure(error):
                    _node_step(recorder, span, error=describe_error(error))
                    span.root.errors.append(error)
            if span.parent is None:
                self._end_root(span.root, None, error)

    # -- models

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is called."""
        with guard("langgraph.on_chat_model_start"):
            span = self._open(run_id, parent_run_id, metadata, kwargs.get("name"), messages)
            if recorder := recorder_of(span.root):
                reads = [intern_message(span.root, recorder, message) for message in messages[0]]
                _begin_model_step(recorder, span, reads, messages[0], metadata, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A completion model is called."""
        with guard("langgraph.on_llm_start"):
            span = self._open(run_id, parent_run_id, metadata, kwargs.get("name"), prompts)
            if recorder := recorder_of(span.root):
                reads = [recorder.message("user", prompt) for prompt in prompts]
                _begin_model_step(recorder, span, reads, [], metadata, kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model has answered."""
        with guard("langgraph.on_llm_end"):
            span = self._spans.pop(run_id, None)
            if span is None or span.step is None or not (recorder := recorder_of(span.root)):
                return
            generation = response.generations[0][0] if response.generations[0] else None
            message = getattr(generation, "message", None)
            if message is None:
                text = getattr(generation, "text", "")
                recorder.end_step(span.step, content=text)
            else:
                text = _end_model_step(recorder, span.step, message)
            for ancestor in _ancestors(span):
                if ancestor.said is not None:
                    ancestor.said.append(text)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model call failed, or was cancelled."""
        with guard("langgraph.on_llm_error"):
            span = self._spans.pop(run_id, None)
            if span is None or span.step is None or not (recorder := recorder_of(span.root)):
                return
            failure = describe_error(error) if _is_failure(error) else None
            recorder.end_step(span.step, error=failure)
            span.root.errors.append(error)

    # -- tools

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool runs."""
        with guard("langgraph.on_tool_start"):
            name = kwargs.get("name") or (serialized or {}).get("name") or "tool"
            span = self._open(run_id, parent_run_id, metadata, name, inputs)
            recorder = recorder_of(span.root)
            if recorder is None:
                return
            arguments = inputs if inputs is not None else input_str
            span.call_id = kwargs.get("tool_call_id")
            span.step = recorder.caller(span.call_id)
            if span.step is None or span.call_id is None:
                span.call_id = f"run-{run_id}"
                span.step = _tool_step(recorder, span)
                recorder.tool_call(span.step, id=span.call_id, name=name, arguments=arguments)
            recorder.tool_call(span.step, id=span.call_id, started_at=span.started)
            for ancestor in _ancestors(span):
                if ancestor.said is not None:
                    ancestor.said.append("")

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool has returned; a `Command` with a `goto` is a hand-off."""
        with guard("langgraph.on_tool_end"):
            span, recorder = self._close_tool(run_id)
            if span is None or recorder is None or span.step is None:
                return
            result, error = shapes.tool_result(output, span.call_id)
            recorder.tool_call(
                span.step, id=span.call_id or "", result=result, error=error, ended_at=time.time()
            )
            goto = getattr(output, "goto", None) if isinstance(output, Command) else None
            if isinstance(goto, str) and goto:
                recorder.update_step(span.step, to=goto)
            for ancestor in _ancestors(span):
                if ancestor.said is not None:
                    ancestor.said.extend(shapes.strings(result))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool raised; interrupts and hand-offs are not errors."""
        with guard("langgraph.on_tool_error"):
            span, recorder = self._close_tool(run_id)
            if span is None or recorder is None or span.step is None:
                return
            if _is_failure(error):
                span.root.errors.append(error)
                span.root.raised.add(span.call_id or "")
                recorder.tool_call(
                    span.step,
                    id=span.call_id or "",
                    error=describe_error(error),
                    ended_at=time.time(),
                )

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A retriever searches: a tool under another name."""
        name = kwargs.get("name") or "retriever"
        self.on_tool_start(
            {"name": name},
            query,
            run_id=run_id,
            parent_run_id=parent_run_id,
            metadata=metadata,
            inputs={"query": query},
        )

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **kwargs: Any) -> None:
        """It has found something."""
        self.on_tool_end(list(documents), run_id=run_id)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It raised."""
        self.on_tool_error(error, run_id=run_id)

    # -- spans

    def span(self, run_id: UUID | None) -> Span | None:
        """The open span of a callback run."""
        return self._spans.get(run_id) if run_id is not None else None

    def _open(
        self,
        run_id: UUID,
        parent_id: UUID | None,
        metadata: dict[str, Any] | None,
        name: str | None,
        inputs: Any,
    ) -> Span:
        metadata = metadata or {}
        parent = self._spans.get(parent_id) if parent_id is not None else None
        root = parent.root if parent is not None else _Root(name, inputs)
        span = self._spans[run_id] = Span(root, parent, metadata)
        root.spans.append(run_id)
        if root.run is None and "langgraph_node" in metadata:
            self._open_run(root)
        elif parent is None and root.run is not None:
            root.run.describe(task=shapes.task_text(inputs), framework="langgraph")
        return span

    def _open_run(self, root: _Root) -> None:
        # Parallel branches start at once. Not waited for without end: a fork may have left it held.
        if not self._opening.acquire(timeout=1.0):
            return
        try:
            if root.run is None:
                task = shapes.task_text(root.inputs)
                root.run = open_run(framework="langgraph", task=task)
        finally:
            self._opening.release()

    def _close_tool(self, run_id: UUID) -> tuple[Span | None, RunRecorder | None]:
        span = self._spans.pop(run_id, None)
        return span, recorder_of(span.root) if span is not None else None

    def _end_root(self, root: _Root, outputs: Any, error: BaseException | None) -> None:
        for run_id in root.spans:
            self._spans.pop(run_id, None)
        if root.run is None:
            return
        waits = any(isinstance(known, GraphInterrupt) for known in root.errors)
        ending = "interrupted" if waits else shapes.ending(error)
        if error is None:
            root.run.framework_ended(outputs, shapes.answer_text(outputs), ending)
        if root.owned:
            root.run.finish(ending, error if error is not None and _is_failure(error) else None)


# -- what a span becomes


def recorder_of(root: _Root) -> RunRecorder | None:
    """Where the root's events go now; another recorder after a fork."""
    if root.run is None:
        return None
    if root.recorder is not root.run.recorder:
        root.recorder = root.run.recorder
        root.messages.clear()
    return root.recorder


def _ancestors(span: Span) -> Iterator[Span]:
    above = span.parent
    while above is not None:
        yield above
        above = above.parent


def _enclosing_step(span: Span) -> int | None:
    """The step whose tool call this span runs in: an agent that is called as a tool."""
    return next((above.step for above in _ancestors(span) if above.step is not None), None)


def _is_failure(error: BaseException) -> bool:
    """Whether an exception is an error: hand-offs, interrupts and cancellation are not."""
    return isinstance(error, Exception) and not isinstance(error, GraphBubbleUp)


def intern_message(root: _Root, recorder: RunRecorder, message: BaseMessage) -> str:
    """The id of a message, converted once for as long as its parts are the same objects."""
    calls = getattr(message, "tool_calls", None)
    known = root.messages.get(id(message))
    if known is not None and isinstance(message.content, str):
        same = known[0] is message and known[1] is message.content and known[2] is calls
        if same:
            return known[3]
    identity = recorder.message(**shapes.message_fields(message))
    root.messages[id(message)] = (message, message.content, calls, identity)
    return identity


def _begin_model_step(
    recorder: RunRecorder,
    span: Span,
    reads: list[str],
    messages: Sequence[BaseMessage],
    metadata: dict[str, Any] | None,
    call: dict[str, Any],
) -> None:
    parameters, tools = shapes.model_parameters(call.get("invocation_params"))
    name = parameters.get("model") or parameters.get("model_name")
    system = [shapes.message_text(m) for m in messages if m.type == "system"]
    recorder.agent(span.agent, system_prompt="\n".join(system) or None, tools=tools)
    span.step = recorder.begin_step(
        span.agent,
        reads=reads,
        parent=_enclosing_step(span),
        started_at=span.started,
        model={
            "name": name or (metadata or {}).get("ls_model_name"),
            "parameters": parameters,
            "tools": [tool["name"] for tool in tools],
        },
        attributes={"path": span.path},
    )


def _end_model_step(recorder: RunRecorder, step: int, message: BaseMessage) -> str:
    fields = shapes.message_fields(message)
    text: str = fields.get("content", "")
    thought = message.additional_kwargs.get("reasoning_content")
    recorder.end_step(
        step,
        content=text,
        usage=shapes.usage(message),
        tool_calls=fields.get("tool_calls", ()),
        attributes={"reasoning": thought} if thought else None,
    )
    return text


def _tool_step(recorder: RunRecorder, span: Span) -> int:
    parent = _enclosing_step(span)
    recorder.agent(span.agent)
    return recorder.begin_step(
        span.agent,
        kind="tool",
        parent=parent,
        started_at=span.started,
        attributes={"path": span.path},
    )


def _node_step(recorder: RunRecorder, span: Span, **fields: Any) -> None:
    attributes = {"path": span.path, **fields.pop("attributes", {})}
    recorder.agent(span.agent)
    step = recorder.begin_step(
        span.agent,
        kind="node",
        parent=_enclosing_step(span),
        started_at=span.started,
        attributes=attributes,
    )
    recorder.end_step(step, **fields)


def _answer_unrun_calls(root: _Root, recorder: RunRecorder, outputs: Any) -> list[str]:
    """Attach error messages for calls that never ran: unknown tools, bad arguments.

    A call that ran and raised keeps its exception, which the message only puts into words. Returns
    the texts of all these messages, which thereby are recorded.
    """
    texts = []
    for message in shapes.messages_in(outputs):
        if isinstance(message, ToolMessage) and message.status == "error":
            texts.append(shapes.message_text(message))
            step = recorder.caller(message.tool_call_id)
            if step is not None and message.tool_call_id not in root.raised:
                result, error = shapes.tool_result(message, message.tool_call_id)
                recorder.tool_call(step, id=message.tool_call_id, result=result, error=error)
    return texts
