"""Where LangChain calls models and tools: replay and advice.

What is answered here is captured like any other call, for these methods lie below LangChain's
callbacks. Without a replay and without advice they only pass calls on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from agentracer.adapters.kit.calls import replay_mode
from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.kit.wrapping import Call, ReplayedOutput, around
from agentracer.adapters.langgraph import convert
from agentracer.adapters.langgraph.callbacks import CaptureHandler, Span
from agentracer.encoding import to_json
from agentracer.recorder import RunRecorder
from agentracer.recording import current_run
from agentracer.replay.session import UNSET, recorded_error

__all__ = ["ADVISED", "LangChainHooks"]

ADVISED = "agentracer_advised"
"""Metadata key, handed down by LangChain, that says which advised graphs enclose a call."""


class LangChainHooks:
    """Answers model and tool calls during a replay, and puts advice in front of agents.

    Attributes:
        advice: texts by advised graph and agent.
    """

    def __init__(self, handler: CaptureHandler) -> None:
        self._handler = handler
        self.advice: dict[str, dict[str, list[str]]] = {}

    def install(self, patches: Patches) -> None:
        """Wrap LangChain's methods."""
        ask_model = around(self._begin_model, "langgraph.before_model")
        patches.wrap(BaseChatModel, "_generate_with_cache", ask_model)
        patches.wrap(BaseChatModel, "_agenerate_with_cache", ask_model)
        patches.wrap(BaseChatModel, "stream", self._wrap_stream)
        patches.wrap(BaseChatModel, "astream", self._wrap_astream)
        run_tool = around(self._begin_tool, "langgraph.before_tool")
        patches.wrap(BaseTool, "run", run_tool)
        patches.wrap(BaseTool, "arun", run_tool)
        patches.wrap(AsyncCallbackManager, "on_llm_start", self._wrap_llm_start)

    # -- models

    def _begin_model(
        self, model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Call | None:
        """The prompt with advice, and the recorded answer if there is one."""
        run = current_run()
        if not self.advice and (run is None or run.replay is None):
            return None
        manager = kwargs.get("run_manager", args[2] if len(args) > 2 else None)
        span = self._handler.span(getattr(manager, "run_id", None))
        if span is None or span.root.run is None:
            return None
        run, recorder = span.root.run, span.root.run.recorder
        messages = self._advised(list(args[0]), span, recorder, manager)
        call = Call(model, (messages, *args[1:]), kwargs)
        if run.replay is None:
            return call
        reads = span.root.prompts.ids(recorder, (span.agent, span.path), messages)
        answer = run.replay.model_call(span.agent, recorder.shapes(reads), path=span.path)
        sampling = {}
        if answer is None:
            sampling = run.replay.live_parameters(
                type(model).__name__, lambda name: name in type(model).model_fields
            )
        if span.step is not None:
            recorder.update_step(span.step, attributes=replay_mode(run, answer, sampling))
        if sampling:  # a copy, for not every chat model takes them as arguments of a call
            call.owner = model.model_copy(update=sampling)
            call.kwargs = {**call.kwargs, **{k: v for k, v in sampling.items() if k in call.kwargs}}
        if answer is not None and answer.error is not None:
            call.output = ReplayedOutput(error=recorded_error(answer.error))
        elif answer is not None:
            recorded = run.replay.trace.steps[answer.step] if answer.mode == "recorded" else None
            blocks = recorded.attributes.get("content_blocks") if recorded is not None else None
            call.output = ReplayedOutput(convert.chat_result(answer, blocks))
        return call

    def _wrap_stream(self, original: Any) -> Any:
        # Streaming goes around the method above, so a stream becomes one chunk where it matters.
        def stream(model: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
            if self._must_see(config):
                yield convert.as_chunk(model.invoke(input, config, **kwargs))
            else:
                yield from original(model, input, config, **kwargs)

        return stream

    def _wrap_astream(self, original: Any) -> Any:
        async def astream(model: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
            if self._must_see(config):
                yield convert.as_chunk(await model.ainvoke(input, config, **kwargs))
            else:
                async with contextlib.aclosing(original(model, input, config, **kwargs)) as chunks:
                    async for chunk in chunks:
                        yield chunk

        return astream

    def _must_see(self, config: Any) -> bool:
        run = current_run()
        if run is not None and run.replay is not None:
            return True
        return bool(self.advice) and ADVISED in ((config or {}).get("metadata") or {})

    def _advised(
        self, messages: list[BaseMessage], span: Span, recorder: RunRecorder, manager: Any
    ) -> list[BaseMessage]:
        systems = (getattr(manager, "metadata", None) or {}).get(ADVISED) or ()
        texts = [t for s in systems for t in self.advice.get(s, {}).get(span.agent, ())]
        if not texts:
            return messages
        messages = convert.with_advice(messages, texts)
        if span.step is not None:
            reads = span.root.prompts.ids(recorder, (span.agent, span.path), messages)
            recorder.update_reads(span.step, reads)
        return messages

    def _wrap_llm_start(self, original: Any) -> Any:
        """LangChain tells this event to no other handler if one of them runs inline, as ours does.

        So the others are told as if ours were not there.
        """
        handler = self._handler

        async def on_llm_start(
            manager: Any, serialized: Any, prompts: Any, run_id: Any = None, **kwargs: Any
        ) -> Any:
            if handler not in manager.handlers:
                return await original(manager, serialized, prompts, run_id, **kwargs)
            others = manager.copy()
            others.remove_handler(handler)
            runs = await original(others, serialized, prompts, run_id, **kwargs)
            for prompt, run in zip(prompts, runs, strict=False):
                run.handlers = manager.handlers
                run.inheritable_handlers = manager.inheritable_handlers
                handler.on_llm_start(
                    serialized,
                    [prompt],
                    run_id=run.run_id,
                    parent_run_id=manager.parent_run_id,
                    tags=manager.tags,
                    metadata=manager.metadata,
                    **kwargs,
                )
            return runs

        return on_llm_start

    # -- tools

    def _begin_tool(
        self, tool: BaseTool, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Call | None:
        """The tool and its input, or a tool that returns what was recorded."""
        run = current_run()
        if run is None or run.replay is None or isinstance(tool, convert.RecordedTool):
            return None
        tool_input = args[0] if args else kwargs.get("tool_input")
        config = kwargs.get("config") or {}
        metadata = kwargs.get("metadata") or config.get("metadata") or {}
        call_id = kwargs.get("tool_call_id")
        manager = kwargs.get("callbacks") or config.get("callbacks")
        around_it = self._handler.span(getattr(manager, "parent_run_id", None))
        if around_it is not None:
            request = around_it.find_request(call_id, tool.name, tool_input)
            call_id = request.call_id if request is not None else call_id
        path = convert.node_path(metadata)
        same_node = around_it is not None and around_it.path == path
        answer = run.replay.tool_call(
            around_it.agent if around_it and same_node else convert.agent_name(metadata, None),
            tool.name,
            to_json(tool_input),
            call_id=call_id,
            path=path,
            rewrites=True,
        )
        if answer is None:
            return None
        rest = {key: value for key, value in kwargs.items() if key != "tool_input"}
        if answer.arguments is not UNSET:
            return Call(tool, (answer.arguments, *args[1:]), rest)
        stand_in = convert.recorded_tool(tool.name, answer, kwargs.get("tool_call_id"))
        return Call(stand_in, (tool_input, *args[1:]), rest)
