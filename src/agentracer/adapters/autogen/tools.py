"""Tool calls, and what else an agent does besides talking: asking a human, running code.

A call is part of the step whose model asked for it, or a step of its own where none did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from autogen_core.code_executor import CodeResult
from autogen_core.tools import ToolResult

from agentracer.adapters.autogen import convert
from agentracer.adapters.autogen.call_stack import Frame, around_call, speaker
from agentracer.adapters.autogen.runs import describe_agent
from agentracer.adapters.kit.calls import ToolStep
from agentracer.adapters.kit.wrapping import ReplayedOutput
from agentracer.recorder import describe_error
from agentracer.replay.session import HANDOFF, UNSET, ToolAnswer, recorded_error
from agentracer.trace import StepKind

__all__ = ["enter_code", "enter_question", "enter_tool", "enter_workbench"]


def enter_workbench(
    workbench: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> _ToolFrame | None:
    """A frame for `call_tool` and `call_tool_stream` of a workbench."""
    bound = _bound(("name", "arguments", "cancellation_token", "call_id"), args, kwargs)
    around = around_call()
    if around is None or around.owner is workbench:
        return None
    return _WorkbenchFrame(workbench, around, bound["name"], bound, "arguments", args, kwargs)


def enter_tool(tool: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Frame | None:
    """A frame for `run_json` and `run_json_stream` of a tool."""
    bound = _bound(("args", "cancellation_token", "call_id"), args, kwargs)
    around = around_call()
    if around is None or around.owner is tool:
        return None
    if isinstance(around, _WorkbenchFrame) and around.runs_its_tool(bound.get("call_id")):
        return _InnerFrame(tool, around, args, kwargs)
    return _ToolFrame(tool, around, tool.name, bound, "args", args, kwargs)


def enter_question(agent: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Frame | None:
    """A frame for asking the human behind a `UserProxyAgent`."""
    around = around_call()
    if around is None or not hasattr(agent, "input_func"):
        return None
    prompt = _bound(("prompt",), args, kwargs)["prompt"]
    arguments = {"arguments": {"prompt": prompt}}
    return _QuestionFrame(agent, around, "ask_human", arguments, None, args, kwargs)


def enter_code(agent: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Frame | None:
    """A frame for the code that a `CodeExecutorAgent` runs."""
    around = around_call()
    if around is None:
        return None
    blocks = _bound(("code_blocks",), args, kwargs)["code_blocks"]
    code = [{"language": block.language, "code": block.code} for block in blocks]
    arguments = {"arguments": {"code_blocks": code}}
    return _CodeFrame(agent, around, "execute_code", arguments, None, args, kwargs)


def _bound(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(zip(names, args, strict=False)), **kwargs}


class _ToolFrame(Frame):
    """One tool call."""

    step_kind: ClassVar[StepKind] = "tool"

    def __init__(
        self,
        owner: Any,
        around: Frame,
        name: str,
        given: dict[str, Any],
        key: str | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        """Begin the call, or find what a replay gives instead.

        Args:
            owner: whose method is called.
            around: the frame of the caller.
            name: the tool.
            given: the method's arguments by name.
            key: which of them are the tool's, where they can be changed.
            args: the method's positional arguments.
            kwargs: the method's keyword arguments.
        """
        super().__init__("tool", owner, "", around, around.root, args, kwargs)
        call_id, arguments = given.get("call_id"), given.get(key or "arguments") or {}
        self.tool, self.handoff = name, None
        agent, path, described = speaker(self)
        self.handoff = self._handoff(described)
        step = self._caller(call_id)
        if step is None:
            describe_agent(self.root, agent, described)
        if self.root.run is None:
            raise RuntimeError("the run has not been opened")
        self.call = ToolStep(
            self.root.run,
            agent,
            name,
            arguments,
            call_id=call_id,
            step=step,
            path=path,
            rewrites=key is not None,
            kind=self.step_kind,
            started_at=self.started,
            **self.enclosing_call(),
        )
        self.step, self.call_id = self.call.index, self.call.call_id
        answer = self._usable(self.call.answer)
        if answer is not None and key is not None and answer.arguments is not UNSET:
            self.args, self.kwargs = (), {**given, key: answer.arguments}
            self.root.recorder.tool_call(self.step, id=self.call_id, arguments=answer.arguments)
        elif answer is not None:
            error = recorded_error(answer.error) if answer.error is not None else None
            self.output = self.replayed(answer.result, error)

    def close(self, result: Any, error: BaseException | None) -> None:
        """The tool has returned or raised; one that was cancelled has not ended."""
        if error is None:
            self._end(**self.outcome(result))
        elif isinstance(error, Exception):
            self.root.is_new(error)
            self._end(error=describe_error(error))

    # -- what differs between kinds of tools

    def outcome(self, result: Any) -> dict[str, Any]:
        """The outcome of the call, as fields of `RunRecorder.tool_call`."""
        return {"result": result}

    def replayed(self, result: Any, error: Exception | None) -> ReplayedOutput:
        """A recorded outcome as what the call gives."""
        return ReplayedOutput(result, error=error)

    # --

    def _usable(self, answer: ToolAnswer | None) -> ToolAnswer | None:
        if answer is not None and answer.mode == "recorded" and answer.error is None:
            # An agent that is called as a tool runs again, and its own calls are answered: it has
            # a memory, and the step that is overridden may lie inside.
            return None if convert.runs_agents(self.owner, self.tool) else answer
        return answer

    def _end(self, **fields: Any) -> None:
        result = fields.get("result")
        text = result if isinstance(result, str) else ""
        if self.handoff is not None and "result" in fields:
            fields["result"] = {HANDOFF: self.handoff, "content": result}
        self.call.end(**fields)
        if self.call.is_own_step and self.step_kind == "message":
            self.root.recorder.update_step(self.call.index, content=text)
        self.account_for(self.call.index, text)
        for around in self.outwards():
            around.calls.pop(self.call.call_id, None)

    def _handoff(self, agent: Any) -> str | None:
        """The agent that the tool hands over to; None for any other tool."""
        handoff = (getattr(agent, "_handoffs", None) or {}).get(self.tool)
        tools = getattr(agent, "_handoff_tools", ())
        return str(handoff.target) if handoff and any(self.owner is t for t in tools) else None

    def _caller(self, call_id: str | None) -> int | None:
        """The step that asked for the call: the turn's own, for ids need not be unique."""
        if not call_id:
            return None
        turn = next((frame for frame in self.outwards() if frame.kind == "agent"), None)
        if turn is not None and call_id in turn.calls:
            return turn.calls[call_id]
        return self.root.recorder.caller(call_id)


class _WorkbenchFrame(_ToolFrame):
    """A tool call through a workbench, which turns exceptions into texts."""

    def __init__(self, *args: Any) -> None:
        self.entered = False
        self.failure: BaseException | None = None
        super().__init__(*args)

    def runs_its_tool(self, call_id: str | None) -> bool:
        """Whether a call is how this workbench runs its tool, and note that it has happened."""
        if self.entered or (call_id or self.call_id) != self.call_id:
            return False
        self.entered = True
        return True

    def outcome(self, result: Any) -> dict[str, Any]:
        if not isinstance(result, ToolResult):
            return {"result": result}
        if not result.is_error:
            return {"result": result.to_text()}
        kind = type(self.failure).__name__ if self.failure is not None else "ToolError"
        return {"error": {"type": kind, "message": result.to_text()}}

    def replayed(self, result: Any, error: Exception | None) -> ReplayedOutput:
        self.failure = error
        text = str(error) if error is not None else result
        return ReplayedOutput(convert.tool_result(self.tool, text, is_error=error is not None))


class _InnerFrame(Frame):
    """The tool itself, run by its workbench."""

    def __init__(
        self,
        tool: Any,
        around: _WorkbenchFrame,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        super().__init__("tool", tool, "", around, around.root, args, kwargs)
        self.around, self.step, self.call_id = around, around.step, around.call_id

    def close(self, result: Any, error: BaseException | None) -> None:
        """Tell the workbench's frame what kind of error it was."""
        self.around.failure = error


class _QuestionFrame(_ToolFrame):
    """A question to a human; the answer is what the agent says. A replay asks no human."""

    step_kind: ClassVar[StepKind] = "message"


class _CodeFrame(_ToolFrame):
    """A call that executes code."""

    def outcome(self, result: Any) -> dict[str, Any]:
        return {"result": {"exit_code": result.exit_code, "output": result.output}}

    def replayed(self, result: Any, error: Exception | None) -> ReplayedOutput:
        if error is not None:
            return ReplayedOutput(error=error)
        fields: dict[str, Any] = result if isinstance(result, dict) else {}
        fields = fields or {"exit_code": 0, "output": str(result)}
        return ReplayedOutput(CodeResult(exit_code=fields["exit_code"], output=fields["output"]))
