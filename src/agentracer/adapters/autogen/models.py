"""Model calls: what is recorded of them, and what a replay delivers instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autogen_agentchat.base import Team
from autogen_core.models import CreateResult, SystemMessage

from agentracer.adapters.autogen import shapes
from agentracer.adapters.autogen.advice import advised
from agentracer.adapters.autogen.frames import Delivery, Frame, Pace, around_call, speaker
from agentracer.adapters.autogen.reads import read_ids
from agentracer.adapters.autogen.runs import describe_agent
from agentracer.recorder import describe_error
from agentracer.replay.session import ModelAnswer, recorded_error

__all__ = ["ModelFrame", "enter"]


def enter(client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ModelFrame | None:
    """A frame for a model call; None if it belongs to no run, or is one client calling another."""
    around = around_call()
    if around is None or around.kind == "model":
        return None
    return ModelFrame(client, around, args, kwargs)


class ModelFrame(Frame):
    """One model call, which is one step."""

    __slots__ = ("chunks", "index")

    def __init__(
        self, client: Any, around: Frame, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__("model", client, "", around, around.root)
        wire = shapes.innermost_client(client)
        self.chunks: list[str] = []
        agent, path, owner = speaker(around)
        given = list(args[0] if args else kwargs["messages"])
        messages = advised(owner, agent, given)
        if messages is not given:
            changed = {"messages": messages} if "messages" in kwargs else {}
            self.arguments = (() if changed else (messages, *args[1:])), {**kwargs, **changed}
        systems = [message for message in messages if isinstance(message, SystemMessage)]
        reads = read_ids(self.root, wire, agent, messages, systems)
        answer = self._ask(agent, path, reads)
        self.index = self._begin(agent, path, owner, reads, systems, kwargs, answer)
        self.step = self.index
        if answer is not None:
            self.delivery = self._delivery(answer)
            session = self.root.run.replay
            if session is not None and answer.mode == "recorded":
                self.delivery.step, self.delivery.pace = answer.step, Pace.of(session)

    def saw(self, item: Any) -> None:
        """Keep chunks, in case that the stream ends early."""
        if isinstance(item, str):
            self.chunks.append(item)

    def close(self, result: Any, error: BaseException | None) -> None:
        """The model has answered, or not."""
        if isinstance(result, CreateResult) and error is None:
            self._end(shapes.result_fields(result))
            return
        if error is not None:
            self.root.is_new(error)
        failure = describe_error(error) if isinstance(error, Exception) else None
        self._end({"content": "".join(self.chunks), "error": failure})

    def _ask(self, agent: str, path: str, reads: Sequence[str]) -> ModelAnswer | None:
        session = self.root.run.replay
        if session is None:
            return None
        return session.model_call(agent, self.root.recorder.shapes(reads), path=path)

    def _begin(
        self,
        agent: str,
        path: str,
        owner: Any,
        reads: list[str],
        systems: Sequence[SystemMessage],
        call: Mapping[str, Any],
        answer: ModelAnswer | None,
    ) -> int:
        tools = list(call.get("tools") or ())
        if isinstance(owner, Team):  # a manager's prompt is made anew for every call
            system = getattr(owner, "_selector_prompt", None)
        else:
            system = "\n".join(message.content for message in systems)
        describe_agent(self.root, agent, owner, system=system, tools=tools)
        name, parameters = shapes.model_parameters(shapes.innermost_client(self.owner), call)
        attributes = {"path": path}
        if self.root.run.replay is not None:
            attributes["replay"] = answer.mode if answer is not None else "live"
        return self.root.recorder.begin_step(
            agent,
            reads=reads,
            parent=self.enclosing_step,
            started_at=self.started,
            model={
                "name": name,
                "parameters": parameters,
                "tools": [shapes.tool_name(tool) for tool in tools],
            },
            attributes=attributes,
        )

    def _delivery(self, answer: ModelAnswer) -> Delivery:
        if answer.error is not None:
            return Delivery(error=recorded_error(answer.error))
        result = shapes.create_result(answer)
        chunks = [result.content] if isinstance(result.content, str) and result.content else []
        return Delivery(*chunks, result)

    def _end(self, fields: dict[str, Any]) -> None:
        self.root.recorder.end_step(self.index, **fields)
        self.account_for(self.index, fields.get("content", ""))
        turn = next((f for f in self.outwards() if f.kind == "agent"), None)
        if turn is not None:
            turn.calls.update({call["id"]: self.index for call in fields.get("tool_calls", ())})
