"""What a LangGraph run does, through LangChain's callbacks.

The handler sees every graph, subgraph, prebuilt agent, supervisor, swarm and functional-API run, in
every thread and task, with no change to the user's code. A *span* is one callback run; a *root* is
a span without a parent: a top-level framework run. What becomes a step:

    llm    one model call; the tool calls that it asked for are attached as they run
    tool   a tool or retriever that no recorded model call asked for
    node   a node that called no model and no tool, or that wrote something its model did not say,
           raised an error of its own, or waits for a human (attribute `interrupt`)

Step attributes: `path`, the node names from the outermost graph inwards, such as `solver/model`;
`inside_call`, the id of the tool call that a step runs in; `attempts`, errors of a tool's earlier
attempts; what else a model answered: `reasoning`, `content_blocks`, `refusal`, `finish_reason`.

Where a tool's error is recorded: `on_tool_error` (it raised), `_answer_unrun_calls` (it never ran),
`convert.tool_result` (it reported one in a message).

Seen from outside only: model calls that bypass LangChain (a raw `openai` client in a node) show as
what the node wrote.
"""

from __future__ import annotations

import functools
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.base import BaseTracer
from langgraph.errors import GraphBubbleUp, GraphInterrupt, ParentCommand
from langgraph.types import Command

from agentracer._guard import guard
from agentracer.adapters.kit.scope import RunScope
from agentracer.adapters.kit.text import PromptCache, ending_of
from agentracer.adapters.langgraph import convert
from agentracer.encoding import to_json
from agentracer.frameworks.registry import LANGGRAPH
from agentracer.recorder import RunRecorder, describe_error
from agentracer.recording import Run, current_run, inside

__all__ = ["CaptureHandler", "GraphRequest", "Span"]


class _Root(RunScope):
    """A top-level framework run, and what is shared below it."""

    def __init__(self, name: str | None, inputs: Any) -> None:
        super().__init__("langgraph")
        self.name, self.inputs = name, inputs
        self.described = False
        self.spans: list[UUID] = []
        self.prompts = PromptCache(lambda m: [convert.message_fields(m)], convert.mark)

    @property
    def recorder(self) -> RunRecorder | None:
        """Where events go, once there is a run."""
        return self.run.recorder if self.run is not None else None

    @property
    def requests(self) -> list[GraphRequest]:
        """All tool calls that were asked for in the run: a resumed graph is a root of its own."""
        return _requests.setdefault(self.run, []) if self.run is not None else []


_requests: Final[weakref.WeakKeyDictionary[Run, list[GraphRequest]]] = weakref.WeakKeyDictionary()


class GraphRequest:
    """A tool call that a model asked for.

    Attributes:
        step: the model's step.
        id: as the model wrote it; may be empty, and the same as that of another agent's call.
        call_id: as it is recorded: one of its own within the step.
        started: whether the tool has been run.
        failed: the error of the last attempt.
    """

    __slots__ = ("arguments", "attempts", "call_id", "failed", "id", "name", "started", "step")

    def __init__(self, step: int, position: int, call: dict[str, Any]) -> None:
        self.step, self.id = step, call["id"]
        self.call_id = call["id"] or f"call-{step}-{position}"
        self.name, self.arguments = call["name"], call["arguments"]
        self.started = False
        self.failed: dict[str, str] | None = None
        self.attempts: list[dict[str, str]] = []


class Span:
    """One callback run.

    Attributes:
        agent_key: the agent's name in the metadata, perhaps handed down from a graph around.
        step: for model calls; for tools, the step that called.
        call_id: for tools, the recorded id of the call.
        request: for tools, what the model asked for.
        requests: tool calls asked for inside, for those to find that run them.
        texts: for nodes whose output may have to be recorded, the texts of the model and tool
            calls inside.
        tokens: for streamed model calls, what has come so far.
    """

    __slots__ = (
        *("agent", "agent_key", "call_id", "node", "parent", "path", "request", "requests"),
        *("root", "started", "step", "texts", "tokens"),
    )

    def __init__(self, root: _Root, parent: Span | None, metadata: dict[str, Any]) -> None:
        self.root, self.parent = root, parent
        self.path = convert.node_path(metadata)
        self.agent_key: str | None = metadata.get(LANGGRAPH.agent)
        self.agent: str
        if parent is not None and parent.path == self.path:
            self.agent = parent.agent
        else:  # a node; its parent is the graph that it is in
            around = parent.parent if parent is not None else None
            inherited = around.agent_key if around is not None else None
            self.agent = convert.agent_name(metadata, root.name, inherited)
        self.started = time.time()
        self.node = False
        self.step: int | None = None
        self.call_id: str | None = None
        self.request: GraphRequest | None = None
        self.requests: list[GraphRequest] = []
        self.texts: list[str] | None = None
        self.tokens: list[str] = []

    def ancestors(self) -> Iterator[Span]:
        """The spans around this one, innermost first."""
        above = self.parent
        while above is not None:
            yield above
            above = above.parent

    def enclosing_call(self) -> dict[str, Any]:
        """The tool call that this span runs in, as fields of a step: an agent used as a tool."""
        for above in self.ancestors():
            if above.step is not None:
                call = {"inside_call": above.call_id} if above.call_id else {}
                return {"parent": above.step, "attributes": {"path": self.path, **call}}
        return {"attributes": {"path": self.path}}

    @property
    def is_hook(self) -> bool:
        """Whether it is a hook of an agent's middleware, which is no action of the agent."""
        return self.path.endswith(LANGGRAPH.inner_suffixes)

    def said(self, texts: Iterable[str]) -> None:
        """Note for the nodes around what a step accounts for."""
        texts = list(texts)
        for above in self.ancestors():
            if above.texts is not None:
                above.texts.extend(texts)

    def find_request(
        self, call_id: str | None, name: str | None, arguments: Any
    ) -> GraphRequest | None:
        """The tool call that is run here: looked for in the innermost graph first.

        Ids need not be unique, and a node that is written by hand may run a tool without one.
        """
        for requests in (*(a.requests for a in (self, *self.ancestors())), self.root.requests):
            fits = [
                (position, request)
                for position, request in enumerate(requests)
                if (request.id == call_id if call_id else request.name == name)
                and (call_id or (request.arguments == arguments and not request.started))
            ]
            if fits:  # of several that wait, the first; of several that ran, the last
                return max(
                    fits,
                    key=lambda fit: (
                        fit[1].name == name,
                        fit[1].arguments == arguments,
                        not fit[1].started,
                        fit[0] if fit[1].started else -fit[0],
                    ),
                )[1]
        return None

    def has_asked(self, call: dict[str, Any]) -> bool:
        """Whether a model asked for a tool call, with these very arguments."""
        request = self.find_request(call["id"], call["name"], call["args"])
        return request is not None and request.arguments == to_json(call["args"])


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
                span.texts = []
                for ancestor in span.ancestors():
                    ancestor.texts = None  # a node that holds a graph only passes on what it said

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It ends."""
        with guard("langgraph.on_chain_end"):
            span = self._spans.pop(run_id, None)
            if span is None:
                return
            if span.parent is None:
                self._end_root(span.root, outputs, None)
            elif span.node and (recorder := span.root.recorder):
                answered = _answer_unrun_calls(span, recorder, outputs)
                if span.texts is not None:
                    said = [*span.texts, *answered]
                    text = convert.unsaid(outputs, said, span.has_asked, hook=span.is_hook)
                    if text:
                        _node_step(recorder, span, content=text)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It raises, hands over to another graph, waits for a human, or is abandoned."""
        with guard("langgraph.on_chain_error"):
            span = self._spans.pop(run_id, None)
            if span is None:
                return
            recorder = span.root.recorder
            new = all(earlier is not error for earlier in span.root.errors)
            if recorder and new and span.node:
                if isinstance(error, GraphInterrupt):
                    interrupts = [item.value for item in (error.args[0] if error.args else ())]
                    _node_step(recorder, span, attributes={"interrupt": interrupts})
                    span.root.errors.append(error)
                elif _is_failure(error) and span.root.is_new(error):
                    _node_step(recorder, span, error=describe_error(error))
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
            if recorder := span.root.recorder:
                reads = span.root.prompts.ids(recorder, (span.agent, span.path), messages[0])
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
            if recorder := span.root.recorder:
                reads = [recorder.message("user", prompt) for prompt in prompts]
                _begin_model_step(recorder, span, reads, [], metadata, kwargs)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A streamed answer goes on; kept in case that it does not come to its end."""
        span = self._spans.get(run_id)
        if span is not None and isinstance(token, str):
            span.tokens.append(token)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model has answered."""
        with guard("langgraph.on_llm_end"):
            span = self._spans.pop(run_id, None)
            if span is None or span.step is None or not (recorder := span.root.recorder):
                return
            generation = response.generations[0][0] if response.generations[0] else None
            message = getattr(generation, "message", None)
            if message is None:
                text = getattr(generation, "text", "")
                recorder.end_step(span.step, content=text)
            else:
                text = _end_model_step(recorder, span, message)
            span.said([text])

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model call failed, or was cancelled."""
        with guard("langgraph.on_llm_error"):
            span = self._spans.pop(run_id, None)
            if span is not None:
                _break_off(span, error)
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
            recorder = span.root.recorder
            if recorder is None:
                return
            arguments = inputs if inputs is not None else input_str
            call_id = kwargs.get("tool_call_id")
            span.request = span.find_request(call_id, name, arguments)
            if span.request is not None:
                _start_request(recorder, span, span.request, arguments)
            else:
                span.call_id, span.step = f"run-{run_id}", _tool_step(recorder, span)
                recorder.tool_call(span.step, id=span.call_id, name=name, arguments=arguments)
            if span.call_id is not None and span.step is not None:
                recorder.tool_call(span.step, id=span.call_id, started_at=span.started)
            span.said([""])

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool has returned; a `Command` with a `goto` is a hand-off."""
        with guard("langgraph.on_tool_end"):
            span = self._spans.pop(run_id, None)
            if span is None or span.step is None:
                return
            call_id = span.request.id if span.request is not None else span.call_id
            result, error = convert.tool_result(output, call_id)
            _end_tool(span, result=result, error=error)
            goto = getattr(output, "goto", None) if isinstance(output, Command) else None
            if isinstance(goto, str) and goto and span.root.recorder:
                span.root.recorder.update_step(span.step, to=goto)
            span.said(convert.strings(result))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool raised; interrupts and hand-offs are not errors."""
        with guard("langgraph.on_tool_error"):
            span = self._spans.pop(run_id, None)
            if span is None or span.step is None:
                return
            if isinstance(error, ParentCommand):
                result, _ = convert.tool_result(error.args[0], span.call_id)
                _end_tool(span, result=result)
            elif _is_failure(error):
                span.root.errors.append(error)
                _end_tool(span, error=describe_error(error))

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
        in_node = "langgraph_node" in metadata
        if not root.described and (in_node or root.run is not None):
            self._open_run(root, metadata, inputs if in_node else None)
        return span

    def _open_run(self, root: _Root, metadata: dict[str, Any], first: Any) -> None:
        """Open or describe the run; a resumed graph's task is in what its first node reads."""
        # Parallel branches start at once. Not waited for without end: a fork may have left it held.
        if not self._opening.acquire(timeout=1.0):
            return
        try:
            if root.described:
                return
            task = convert.task_text(root.inputs) or convert.task_text(first)
            run = root.open(task)
            root.described = bool(task) or first is not None
            if thread := metadata.get("thread_id"):
                run.annotate(thread_id=str(thread))
        finally:
            self._opening.release()

    def carry_node(self) -> Callable[[], AbstractContextManager[None]] | None:
        """The run of the node that hands work to a pool; see `kit.threads`."""
        span = self._calling_span() if current_run() is None else None
        run = span.root.run if span is not None else None
        return functools.partial(inside, run) if run is not None else None

    def inner_step(self, text: str) -> None:
        """Note a step that a node's own code took through the client of a provider."""
        span = self._calling_span()
        if span is not None:
            if span.texts is not None:
                span.texts.append(text)
            span.said([text])

    def _calling_span(self) -> Span | None:
        """The span of the node whose code calls."""
        config = var_child_runnable_config.get(None) or {}
        return self.span(getattr(config.get("callbacks"), "parent_run_id", None))

    def _end_root(self, root: _Root, outputs: Any, error: BaseException | None) -> None:
        for run_id in root.spans:
            span = self._spans.pop(run_id, None)
            if span is not None:
                _break_off(span, error)
        waits = any(isinstance(known, GraphInterrupt) for known in root.errors)
        answer = convert.answer_text(outputs, root.inputs) if error is None else None
        failure = error if error is None or not isinstance(error, GraphBubbleUp) else None
        ending = "interrupted" if waits else ending_of(error)
        root.end(outputs, answer, failure, ending=ending)


# LangGraph gives what a node's `TracePolicy` leaves to tracers, and the rest to other handlers.
BaseTracer.register(CaptureHandler)


# -- what a span becomes


def _is_failure(error: BaseException) -> bool:
    """Whether an exception is an error: hand-offs, interrupts and cancellation are not."""
    return isinstance(error, Exception) and not isinstance(error, GraphBubbleUp)


def _begin_model_step(
    recorder: RunRecorder,
    span: Span,
    reads: list[str],
    messages: Sequence[BaseMessage],
    metadata: dict[str, Any] | None,
    call: dict[str, Any],
) -> None:
    parameters, tools = convert.model_parameters(call.get("invocation_params"))
    name = parameters.get("model") or parameters.get("model_name")
    system = [convert.message_text(m) for m in messages if m.type == "system"]
    recorder.agent(span.agent, system_prompt="\n".join(system) or None, tools=tools)
    span.step = recorder.begin_step(
        span.agent,
        reads=reads,
        started_at=span.started,
        model={
            "name": name or (metadata or {}).get("ls_model_name"),
            "parameters": parameters,
            "tools": [tool["name"] for tool in tools],
        },
        **span.enclosing_call(),
    )


def _end_model_step(recorder: RunRecorder, span: Span, message: BaseMessage) -> str:
    step = span.step or 0
    fields = convert.message_fields(message)
    text: str = fields.get("content", "")
    requests = [GraphRequest(step, k, call) for k, call in enumerate(fields.get("tool_calls", ()))]
    recorder.end_step(
        step,
        content=text,
        usage=convert.usage(message),
        tool_calls=[{"id": r.call_id, "name": r.name, "arguments": r.arguments} for r in requests],
        attributes=convert.answer_attributes(message) or None,
    )
    for request, error in zip(reversed(requests), convert.invalid_calls(message), strict=False):
        request.failed = {"type": "InvalidToolCall", "message": error}
        recorder.tool_call(step, id=request.call_id, error=request.failed)
    span.root.requests.extend(requests)
    for above in span.ancestors():
        if above.parent is not None:  # the root's are those of the run
            above.requests += requests
    return text


def _break_off(span: Span, error: BaseException | None) -> None:
    """End a step that will not come to its end, with what was said by then.

    Without an error, its run ended and nothing waited for it.
    """
    recorder = span.root.recorder
    if recorder is None or span.step is None or span.call_id is not None:
        return
    failure = describe_error(error) if error is not None and _is_failure(error) else None
    ending = "unfinished" if error is None else ending_of(error)
    attributes = {"ending": ending} if span.tokens or failure is None else None
    recorder.end_step(
        span.step, content="".join(span.tokens) or None, error=failure, attributes=attributes
    )


def _tool_step(recorder: RunRecorder, span: Span) -> int:
    recorder.agent(span.agent)
    return recorder.begin_step(
        span.agent, kind="tool", started_at=span.started, **span.enclosing_call()
    )


def _start_request(
    recorder: RunRecorder, span: Span, request: GraphRequest, arguments: Any
) -> None:
    """Run a tool that a model asked for: perhaps once more, perhaps with edited arguments."""
    span.step, span.call_id = request.step, request.call_id
    if request.started and request.failed is not None:
        request.attempts.append(request.failed)
        recorder.retry_tool_call(request.step, id=request.call_id)
        attempts = {request.call_id: request.attempts}
        recorder.update_step(request.step, attributes={"attempts": attempts})
    request.started, request.failed = True, None
    edited = convert.edited_arguments(request.arguments, arguments)
    if edited is not None:
        recorder.tool_call(request.step, id=request.call_id, arguments=edited)


def _end_tool(span: Span, result: Any = None, error: dict[str, str] | None = None) -> None:
    recorder = span.root.recorder
    if recorder is None or span.step is None or span.call_id is None:
        return
    ended = time.time()
    recorder.tool_call(span.step, id=span.call_id, result=result, error=error, ended_at=ended)
    if span.request is None:
        recorder.end_step(span.step)
    else:
        span.request.failed = error


def _node_step(recorder: RunRecorder, span: Span, **fields: Any) -> None:
    place = span.enclosing_call()
    place["attributes"] = {**place["attributes"], **fields.pop("attributes", {})}
    recorder.agent(span.agent)
    step = recorder.begin_step(span.agent, kind="node", started_at=span.started, **place)
    recorder.end_step(step, **fields)


def _answer_unrun_calls(span: Span, recorder: RunRecorder, outputs: Any) -> list[str]:
    """Attach the answers to calls that never ran, and return their texts: these are recorded.

    Unknown tools, arguments that do not fit, and calls that middleware or the node itself answered.
    A call that ran and raised keeps its exception, which the message only puts into words.
    """
    texts = []
    for message in convert.messages_in(outputs):
        if not isinstance(message, ToolMessage):
            continue
        request = span.find_request(message.tool_call_id, message.name, None)
        if request is None:
            continue
        texts.append(convert.message_text(message))
        if not request.started:
            result, error = convert.tool_result(message, message.tool_call_id)
            request.started = True
            recorder.tool_call(
                request.step, id=request.call_id, result=to_json(result), error=error
            )
    return texts
