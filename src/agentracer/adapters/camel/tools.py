"""Tool calls: what is recorded of them, and what a replay gives instead.

CAMEL gives an agent the text of a tool's exception as if the tool had returned it, so the exception
is remembered on its way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentracer.adapters.camel import answers, convert
from agentracer.adapters.camel.capture import Capture
from agentracer.adapters.camel.scope import Scope, current_scope
from agentracer.adapters.kit.text import parsed_arguments
from agentracer.adapters.kit.wrapping import Call, ReplayedOutput
from agentracer.replay.session import ToolAnswer

__all__ = ["Tools", "begin_function"]

_Request = tuple[str, Any, str, Any]
"""The name, the arguments and the id of a call, and what else CAMEL keeps of it."""


class Tools:
    """Begins what happens around the methods with which agents run tools."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture

    def begin(self, agent: Any, args: Any, kwargs: Any) -> Call | None:
        """`ChatAgent._execute_tool` and `_aexecute_tool`."""
        request = args[0] if args else kwargs["tool_call_request"]
        described = (
            *(request.tool_name, request.args, request.tool_call_id),
            getattr(request, "extra_content", None),
        )
        return self._begin(agent, described, args, kwargs)

    def begin_streamed(self, agent: Any, args: Any, kwargs: Any) -> Call | None:
        """`ChatAgent._execute_tool_from_stream_data` and its async twin; run in a thread."""
        data = args[0] if args else kwargs["tool_call_data"]
        function = data["function"]
        described = (
            *(function["name"], parsed_arguments(function["arguments"]), data["id"]),
            data.get("extra_content"),
        )
        return self._begin(agent, described, args, kwargs)

    def _begin(self, agent: Any, request: _Request, args: Any, kwargs: Any) -> Call | None:
        place = current_scope.get()
        if place is None or place.turn is None:
            return None
        name, arguments, call_id, _ = request
        place = self.capture.begin_tool(place, name, arguments, call_id)
        return _AgentsToolCall(self.capture, place, request, agent, args, kwargs)


class _AgentsToolCall(Call):
    """One tool call of an agent."""

    variable = current_scope

    def __init__(
        self,
        capture: Capture,
        place: Scope,
        request: _Request,
        agent: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        super().__init__(agent, args, kwargs)
        self._capture, self.value = capture, place
        tool, session = place.tool, place.run.replay
        answer = tool.call.answer if tool is not None else None
        if tool is not None and answer is not None and session is not None:
            result = answers.translator_of(session).now(answer.result)
            if answer.error is not None:
                tool.answered_error = answer.error.model_dump(exclude_none=True)
            answer = ToolAnswer(answer.step, answer.mode, result, answer.error)
            self.output = _Recorded(functools.partial(_record, agent, request, answer))

    def close(self, result: Any, error: BaseException | None) -> None:
        """It has returned, or its exception was turned into text."""
        if error is None:
            self._capture.end_tool(self.value, result)


class _Recorded(ReplayedOutput):
    """A recorded result, entered into the agent's memory when it is taken."""

    __slots__ = ("_enter",)

    def __init__(self, enter: Callable[[], Any]) -> None:
        super().__init__()
        self._enter = enter

    def take(self) -> Any:
        """Enter the result as if the tool had returned it."""
        return self._enter()


def _record(agent: Any, request: _Request, answer: ToolAnswer) -> Any:
    name, arguments, call_id, extra = request
    result = answer.result
    if result is None and answer.error is not None:
        result = f"{convert.FAILED}{answer.error.message}"
    more = {"extra_content": extra} if extra is not None else {}
    return agent._record_tool_calling(
        name, arguments, result, call_id, mask_output=agent.mask_tool_output, **more
    )


# -- tools themselves


class _FunctionCall(Call):
    """A call of a `FunctionTool`: remembers an error that CAMEL is about to turn into text."""

    def close(self, result: Any, error: BaseException | None) -> None:
        """It has raised, perhaps."""
        place = current_scope.get()
        if isinstance(error, Exception) and place is not None and place.tool is not None:
            place.tool.error = error


def begin_function(tool: Any, args: Any, kwargs: Any) -> Call | None:
    """`FunctionTool.__call__` and `async_call`."""
    return _FunctionCall(tool, args, kwargs) if current_scope.get() is not None else None
