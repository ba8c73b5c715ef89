"""Tool calls: where capture and replay meet.

CAMEL gives an agent the text of a tool's exception as if the tool had returned it, so the exception
is remembered on its way; and it runs tools in threads that know nothing of the agent that called.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from typing import Any

from agentracer._guard import guard
from agentracer.adapters.camel import answers, shapes
from agentracer.adapters.camel.capture import Capture
from agentracer.adapters.camel.places import HERE, Place, at
from agentracer.encoding import to_json
from agentracer.replay.session import ToolAnswer

__all__ = ["Tools", "wrap_async_tool", "wrap_tool"]


class Tools:
    """Wrappers of the methods with which agents run tools."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture

    def wrap_execute(self, original: Any) -> Any:
        """`ChatAgent._execute_tool`."""

        def execute(agent: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            place, answer = self._begin_tool(
                agent, lambda: (request.tool_name, request.args, request.tool_call_id)
            )
            with at(place):
                if answer is not None:
                    record = _record(agent, request, answer)
                else:
                    record = original(agent, request, *args, **kwargs)
            self._end_tool(place, record)
            return record

        return execute

    def wrap_aexecute(self, original: Any) -> Any:
        """`ChatAgent._aexecute_tool`."""

        async def aexecute(agent: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            place, answer = self._begin_tool(
                agent, lambda: (request.tool_name, request.args, request.tool_call_id)
            )
            with at(place):
                if answer is not None:
                    record = _record(agent, request, answer)
                else:
                    record = await original(agent, request, *args, **kwargs)
            self._end_tool(place, record)
            return record

        return aexecute

    def wrap_stream_tool(self, original: Any) -> Any:
        """`ChatAgent._execute_tool_from_stream_data`, which CAMEL runs in a thread."""

        def execute(agent: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            place, answer = self._begin_tool(agent, lambda: _streamed(data))
            with at(place):
                if answer is not None:
                    record = _record_streamed(agent, data, answer)
                else:
                    record = original(agent, data, *args, **kwargs)
            self._end_tool(place, record)
            return record

        return execute

    def wrap_astream_tool(self, original: Any) -> Any:
        """`ChatAgent._aexecute_tool_from_stream_data`."""

        async def aexecute(agent: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            place, answer = self._begin_tool(agent, lambda: _streamed(data))
            with at(place):
                if answer is not None:
                    record = _record_streamed(agent, data, answer)
                else:
                    record = await original(agent, data, *args, **kwargs)
            self._end_tool(place, record)
            return record

        return aexecute

    def _begin_tool(
        self, agent: Any, request: Callable[[], tuple[str, Any, str]]
    ) -> tuple[Place | None, ToolAnswer | None]:
        with guard("camel.tool"):
            place = self.capture.handed_over(agent) or HERE.get()
            if place is None or place.turn is None:
                return None, None
            name, arguments, call_id = request()
            answer, session = None, place.run.replay
            if session is not None:
                data = to_json(arguments)
                turn = place.turn
                answer = session.tool_call(turn.name, name, data, call_id=call_id, path=turn.path)
                if answer is not None:
                    now = answers.translator_of(session).now(answer.result)
                    answer = ToolAnswer(answer.step, answer.mode, now, answer.error)
            place, tool = self.capture.begin_tool(place, name, arguments, call_id)
            if answer is not None and answer.error is not None:
                tool.answered_error = answer.error.model_dump(exclude_none=True)
            return place, answer
        return None, None

    def _end_tool(self, place: Place | None, record: Any) -> None:
        if place is not None:
            with guard("camel.tool"):
                self.capture.end_tool(place, record)


# -- tools themselves


def wrap_tool(original: Any) -> Any:
    """`FunctionTool.__call__`: remembers what CAMEL is about to turn into text."""

    def call(tool: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(tool, *args, **kwargs)
        except Exception as error:
            _remember(error)
            raise

    return call


def wrap_async_tool(original: Any) -> Any:
    """`FunctionTool.async_call`: as above, and its function keeps its context in a thread."""

    async def async_call(tool: Any, *args: Any, **kwargs: Any) -> Any:
        standing_in = tool
        with guard("camel.tool"):
            if HERE.get() is not None and not asyncio.iscoroutinefunction(tool.func):
                standing_in = _InContext(tool)
        try:
            return await original(standing_in, *args, **kwargs)
        except Exception as error:
            _remember(error)
            raise

    return async_call


class _InContext:
    """A tool whose function runs in the context of the agent that called it."""

    def __init__(self, tool: Any) -> None:
        context, function = contextvars.copy_context(), tool.func

        @functools.wraps(function)
        def func(*args: Any, **kwargs: Any) -> Any:
            return context.run(function, *args, **kwargs)

        self._tool, self.func = tool, func

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tool, name)


def _remember(error: Exception) -> None:
    with guard("camel.tool"):
        place = HERE.get()
        if place is not None and place.tool is not None:
            place.tool.error = error


# -- recorded results


def _streamed(data: Any) -> tuple[str, Any, str]:
    function = data["function"]
    return function["name"], shapes.arguments(function["arguments"]), data["id"]


def _text_of(answer: ToolAnswer) -> Any:
    if answer.result is None and answer.error is not None:
        return f"{shapes.FAILED}{answer.error.message}"
    return answer.result


def _record(agent: Any, request: Any, answer: ToolAnswer) -> Any:
    """Enter a recorded result into the agent's memory, as if its tool had returned it."""
    return agent._record_tool_calling(
        request.tool_name,
        request.args,
        _text_of(answer),
        request.tool_call_id,
        mask_output=agent.mask_tool_output,
        extra_content=request.extra_content,
    )


def _record_streamed(agent: Any, data: Any, answer: ToolAnswer) -> Any:
    name, arguments, call_id = _streamed(data)
    return agent._record_tool_calling(
        name,
        arguments,
        _text_of(answer),
        call_id,
        mask_output=agent.mask_tool_output,
        extra_content=data.get("extra_content"),
    )
