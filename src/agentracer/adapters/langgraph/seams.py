"""Where LangChain calls models and tools: replay and feedback.

What is answered here is captured like any other call, for the seams lie below LangChain's
callbacks. Without a replay and without advice they only pass calls on.
"""

from __future__ import annotations

import contextlib
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.tools import BaseTool

from agentracer._guard import guard
from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.langgraph import shapes
from agentracer.adapters.langgraph.capture import CaptureHandler, Span, intern_message, recorder_of
from agentracer.encoding import to_json
from agentracer.recorder import RunRecorder
from agentracer.recording import current_run
from agentracer.replay.session import UNSET, ModelAnswer, recorded_error

__all__ = ["ADVISED", "Seams"]

ADVISED = "agentracer_advised"
"""Metadata key, handed down by LangChain, that says which advised graphs enclose a call."""


class Seams:
    """Answers model and tool calls during a replay, and puts advice in front of agents.

    Attributes:
        advice: texts by advised graph and agent.
    """

    def __init__(self, handler: CaptureHandler) -> None:
        self._handler = handler
        self.advice: dict[str, dict[str, list[str]]] = {}

    def install(self, patches: Patches) -> None:
        """Put the seams into LangChain's classes."""
        patches.wrap(BaseChatModel, "_generate_with_cache", self._wrap_generate)
        patches.wrap(BaseChatModel, "_agenerate_with_cache", self._wrap_agenerate)
        patches.wrap(BaseChatModel, "stream", self._wrap_stream)
        patches.wrap(BaseChatModel, "astream", self._wrap_astream)
        patches.wrap(BaseTool, "run", self._wrap_run)
        patches.wrap(BaseTool, "arun", self._wrap_run)

    # -- what the frameworks' methods become

    def _wrap_generate(self, original: Any) -> Any:
        def generate(
            model: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Any:
            messages, answer = self._before_model(messages, run_manager)
            if answer is not None:
                return _deliver(answer)
            return original(model, messages, stop=stop, run_manager=run_manager, **kwargs)

        return generate

    def _wrap_agenerate(self, original: Any) -> Any:
        async def agenerate(
            model: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Any:
            messages, answer = self._before_model(messages, run_manager)
            if answer is not None:
                return _deliver(answer)
            return await original(model, messages, stop=stop, run_manager=run_manager, **kwargs)

        return agenerate

    def _wrap_stream(self, original: Any) -> Any:
        # Streaming goes around the seam above, so a stream becomes one chunk where it matters.
        def stream(model: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
            if self._must_see(config):
                yield shapes.as_chunk(model.invoke(input, config, **kwargs))
            else:
                yield from original(model, input, config, **kwargs)

        return stream

    def _wrap_astream(self, original: Any) -> Any:
        async def astream(model: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
            if self._must_see(config):
                yield shapes.as_chunk(await model.ainvoke(input, config, **kwargs))
            else:
                async with contextlib.aclosing(original(model, input, config, **kwargs)) as chunks:
                    async for chunk in chunks:
                        yield chunk

        return astream

    def _wrap_run(self, original: Any) -> Any:
        def run(tool: Any, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
            tool, tool_input = self._before_tool(tool, tool_input, kwargs)
            return original(tool, tool_input, *args, **kwargs)

        return run

    # -- decisions

    def _must_see(self, config: Any) -> bool:
        run = current_run()
        if run is not None and run.replay is not None:
            return True
        return bool(self.advice) and ADVISED in ((config or {}).get("metadata") or {})

    def _before_model(
        self, messages: list[BaseMessage], manager: Any
    ) -> tuple[list[BaseMessage], ModelAnswer | None]:
        """The prompt with advice, and the recorded answer if there is one."""
        run = current_run()
        if not self.advice and (run is None or run.replay is None):
            return messages, None
        with guard("langgraph.before_model"):
            span = self._handler.span(getattr(manager, "run_id", None))
            if span is None or (recorder := recorder_of(span.root)) is None:
                return messages, None
            messages = self._advised(messages, span, recorder, manager)
            session = span.root.run.replay if span.root.run is not None else None
            if session is None:
                return messages, None
            reads = [intern_message(span.root, recorder, message) for message in messages]
            answer = session.model_call(span.agent, recorder.shapes(reads), path=span.path)
            if span.step is not None:
                mode = answer.mode if answer is not None else "live"
                recorder.update_step(span.step, attributes={"replay": mode})
            return messages, answer
        return messages, None

    def _before_tool(
        self, tool: BaseTool, tool_input: Any, call: dict[str, Any]
    ) -> tuple[BaseTool, Any]:
        """The tool and its input, or a tool that returns what was recorded."""
        run = current_run()
        if run is None or run.replay is None or isinstance(tool, shapes.RecordedTool):
            return tool, tool_input
        with guard("langgraph.before_tool"):
            config = call.get("config") or {}
            metadata = call.get("metadata") or config.get("metadata") or {}
            answer = run.replay.tool_call(
                shapes.agent_name(metadata, None),
                tool.name,
                to_json(tool_input),
                call_id=call.get("tool_call_id"),
                path=shapes.node_path(metadata),
                rewrites=True,
            )
            if answer is not None and answer.arguments is not UNSET:
                return tool, answer.arguments
            if answer is not None:
                return shapes.recorded_tool(tool.name, answer, call.get("tool_call_id")), tool_input
        return tool, tool_input

    def _advised(
        self, messages: list[BaseMessage], span: Span, recorder: RunRecorder, manager: Any
    ) -> list[BaseMessage]:
        systems = (getattr(manager, "metadata", None) or {}).get(ADVISED) or ()
        texts = [t for s in systems for t in self.advice.get(s, {}).get(span.agent, ())]
        if not texts:
            return messages
        messages = shapes.with_advice(messages, texts)
        if span.step is not None:
            reads = [intern_message(span.root, recorder, message) for message in messages]
            recorder.update_reads(span.step, reads)
        return messages


def _deliver(answer: ModelAnswer) -> ChatResult:
    if answer.error is not None:
        raise recorded_error(answer.error)
    return shapes.chat_result(answer)
