"""Model calls: what is recorded of them, and what a replay gives instead."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autogen_agentchat.base import Team
from autogen_core.models import CreateResult, SystemMessage

from agentracer.adapters.autogen import convert
from agentracer.adapters.autogen.advice import advised
from agentracer.adapters.autogen.call_stack import Frame, ReplayOrder, around_call, speaker
from agentracer.adapters.autogen.runs import describe_agent
from agentracer.adapters.kit.calls import ModelStep
from agentracer.adapters.kit.scope import in_model_call, using
from agentracer.adapters.kit.wrapping import Call, ReplayedOutput
from agentracer.replay.session import ModelAnswer, recorded_error

__all__ = ["ModelFrame", "enter"]


def enter(client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """Open a frame for a model call.

    It records nothing if the call belongs to no run, or is one client calling another.
    """
    around = around_call()
    if around is None or around.kind == "model":
        return _UnrecordedCall(client, args, kwargs)
    return ModelFrame(client, around, args, kwargs)


class _UnrecordedCall(Call):
    """A model call that is no step, whatever is called to make it."""

    variable = in_model_call

    def __init__(self, owner: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        super().__init__(owner, args, kwargs)
        self.value = True


class ModelFrame(Frame):
    """One model call, which is one step."""

    def __init__(
        self, client: Any, around: Frame, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__("model", client, "", around, around.root, args, kwargs)
        wire = convert.innermost_client(client)
        self.chunks: list[str] = []
        agent, path, owner = speaker(around)
        prompt = list(args[0] if args else kwargs["messages"])
        messages = advised(owner, agent, prompt)
        if messages is not prompt:
            if "messages" in kwargs:
                self.kwargs = {**kwargs, "messages": messages}
            else:
                self.args = (messages, *args[1:])
        systems = [message for message in messages if isinstance(message, SystemMessage)]
        cache = self.root.prompts[bool(getattr(wire, "_add_name_prefixes", False))]
        sent = convert.as_sent(wire, messages, systems)
        reads = cache.ids(self.root.recorder, agent, sent)
        self.model = self._begin(agent, path, owner, reads, systems, kwargs)
        self.step = self.model.index
        if (answer := self.model.answer) is not None:
            self.output = self._replayed(answer)
        elif self.model.sampling:
            extra = {**(kwargs.get("extra_create_args") or {}), **self.model.sampling}
            self.kwargs = {**self.kwargs, "extra_create_args": extra}

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """See `Call`."""
        with super().inside(), using(in_model_call, True):
            yield

    def saw(self, item: Any) -> None:
        """Keep chunks, in case that the stream ends early."""
        if isinstance(item, str):
            self.chunks.append(item)

    def close(self, result: Any, error: BaseException | None) -> None:
        """The model has answered, or not."""
        if isinstance(result, CreateResult) and error is None:
            self._end(convert.result_fields(result))
            return
        if error is not None:
            self.root.is_new(error)
        self._end({"content": "".join(self.chunks), "error": error})

    def _begin(
        self,
        agent: str,
        path: str,
        owner: Any,
        reads: list[str],
        systems: Sequence[SystemMessage],
        call: Mapping[str, Any],
    ) -> ModelStep:
        tools = list(call.get("tools") or ())
        if isinstance(owner, Team):  # a manager's prompt is made anew for every call
            system = getattr(owner, "_selector_prompt", None)
        else:
            system = "\n".join(message.content for message in systems)
        describe_agent(self.root, agent, owner, system=system, tools=tools)
        name, parameters = convert.model_parameters(convert.innermost_client(self.owner), call)
        if self.root.run is None:
            raise RuntimeError("the run has not been opened")
        return ModelStep(
            self.root.run,
            agent,
            reads,
            path=path,
            accepts=functools.partial(convert.accepts_parameter, self.owner),
            started_at=self.started,
            model={
                "name": name,
                "parameters": parameters,
                "tools": [convert.tool_name(tool) for tool in tools],
            },
            **self.enclosing_call(),
        )

    def _replayed(self, answer: ModelAnswer) -> ReplayedOutput:
        wait, session = None, self.root.run.replay if self.root.run is not None else None
        if session is not None and answer.mode == "recorded":
            wait = functools.partial(ReplayOrder.of(session).turn, answer.step)
        if answer.error is not None:
            return ReplayedOutput(error=recorded_error(answer.error), wait=wait)
        result = convert.create_result(answer)
        chunks = [result.content] if isinstance(result.content, str) and result.content else []
        return ReplayedOutput(*chunks, result, wait=wait)

    def _end(self, fields: dict[str, Any]) -> None:
        self.model.end(**fields)
        self.account_for(self.model.index, fields.get("content", ""))
        turn = next((f for f in self.outwards() if f.kind == "agent"), None)
        if turn is not None:
            requests = fields.get("tool_calls", ())
            turn.calls.update({call["id"]: self.model.index for call in requests})
