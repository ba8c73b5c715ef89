"""Model calls: what is recorded of them, and what a replay gives instead.

A call is looked up in the record first; then it is captured in the same way whether it was answered
or ran, so that a trace of a replay is a trace like any other.
"""

from __future__ import annotations

import contextvars
import copy
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agentracer.adapters.camel import answers, convert
from agentracer.adapters.camel.capture import (
    Capture,
    EnteredCall,
    OpenModelCall,
    describe,
    place_of_call,
)
from agentracer.adapters.camel.scope import Scope, current_scope
from agentracer.adapters.camel.streams import observed
from agentracer.adapters.kit.wrapping import Call, ReplayedOutput
from agentracer.recording import current_run
from agentracer.replay.session import ModelAnswer

__all__ = ["Calls", "streams"]

_in_model: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar(
    "agentracer_camel_model", default=False
)
"""Set inside a backend, for some call another one's `run`: that is no second step."""


class _BackendCall(Call):
    """One call of a model backend."""

    variable = _in_model

    def __init__(
        self,
        capture: Capture,
        call: OpenModelCall,
        backend: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        super().__init__(backend, args, kwargs)
        self.value = True
        self._capture, self._call = capture, call

    def returned(self, result: Any) -> Any:
        """Capture a response; a stream, as it is read."""
        if hasattr(result, "choices"):
            self._capture.end_call(self._call, result)
            return result
        return observed(result, self._capture, self._call)

    def close(self, result: Any, error: BaseException | None) -> None:
        """It has raised."""
        self._capture.end_call(self._call, error=error)


class Calls:
    """Begins what happens around the methods that call models."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self._created_in: weakref.WeakKeyDictionary[Any, contextvars.Context] = (
            weakref.WeakKeyDictionary()
        )

    def begin_run(self, backend: Any, args: Any, kwargs: Any) -> Call | None:
        """`BaseModelBackend.run`."""
        return self._begin(backend, args, kwargs, asynchronous=False)

    def begin_arun(self, backend: Any, args: Any, kwargs: Any) -> Call | None:
        """`BaseModelBackend.arun`."""
        return self._begin(backend, args, kwargs, asynchronous=True)

    def _begin(self, backend: Any, args: Any, kwargs: Any, *, asynchronous: bool) -> Call | None:
        """Begin the step of a model call, and look it up if this is a replay."""
        if _in_model.get():
            return None
        place = current_scope.get()
        if place is None or place.state.finished:
            if current_run() is None:
                return None
            place = self.capture.enter(lambda: None).place
        bound = dict(zip(("messages", "response_format", "tools"), args, strict=False)) | kwargs
        sent = _as_sent(backend, bound["messages"])
        response_format = bound.get("response_format")
        tools = convert.offered_tools(backend, bound.get("tools"))
        name, path = place_of_call(place, backend)
        reads = place.state.prompts.ids(place.run.recorder, name, sent)
        systems = [convert.message_fields(m).get("content") for m in sent if m["role"] == "system"]
        offered = describe(place, name, "\n".join(filter(None, systems)) or None, tools or ())
        config = backend.model_config_dict
        call = self.capture.begin_call(
            place,
            backend,
            reads,
            shapes=_recorded_shapes(place, name, path, sent, reads),
            accepts=lambda parameter: convert.accepts_parameter(backend, parameter),
            model={
                "name": str(backend.model_type),
                "parameters": convert.model_parameters(config, response_format),
                "tools": offered,
            },
        )
        wrapped = _BackendCall(self.capture, call, backend, args, kwargs)
        if call.step.sampling:
            wrapped.owner = copy.copy(backend)
            wrapped.owner.model_config_dict = {**config, **call.step.sampling}
        if call.answer is not None:
            wrapped.output = _replayed(
                place, call.answer, response_format, bool(config.get("stream")), asynchronous
            )
        return wrapped

    # -- streams of agents

    def note_context(self, agent: Any) -> None:
        """An agent makes a stream: its turn belongs where it is made, not where it is read."""
        self._created_in[agent] = contextvars.copy_context()

    def begin_stream(self, agent: Any, args: Any, kwargs: Any) -> Call | None:
        """`ChatAgent._stream` and `_astream`: a turn begins when its stream is read."""
        message = args[0] if args else kwargs.get("input_message")
        context = self._created_in.pop(agent, None) or contextvars.copy_context()
        entry = context.run(self.capture.begin_turn, agent, message)
        return EnteredCall(entry, self.capture.end_turn, agent, args, kwargs)


# -- small pieces


def streams(agent: Any) -> bool:
    """Whether an agent's `step` returns a stream that nothing has been read of yet."""
    return bool(agent.model_backend.model_config_dict.get("stream"))


def _recorded_shapes(
    place: Scope, name: str, path: str, sent: list[Any], reads: list[str]
) -> list[str] | None:
    """What a replay compares: the recorded prompt that differs from this one in ids alone."""
    session = place.run.replay
    if session is None:
        return None
    recorder, messages = place.run.recorder, [convert.message_fields(message) for message in sent]
    return answers.translator_of(session).align(
        session, name, path, recorder, messages, recorder.shapes(reads)
    )


def _replayed(
    place: Scope, answer: ModelAnswer, response_format: Any, stream: bool, asynchronous: bool
) -> ReplayedOutput | None:
    """An answer of the replay as what a backend returns."""
    session = place.run.replay
    if session is None:
        return None
    translator = answers.translator_of(session)
    answer = translator.answer(answer)
    if answer.error is not None:
        return ReplayedOutput(error=convert.answer_error(answer.error))
    source = translator.trace.steps[answer.step]
    response: Any = convert.completion(answer, source, response_format)
    if stream:
        make = answers.recorded_stream_async if asynchronous else answers.recorded_stream
        response = make(response, structured=bool(response_format))
    return ReplayedOutput(response)


def _as_sent(backend: Any, messages: Any) -> list[Any]:
    """The prompt as the backend sends it: thoughts taken out, tool results after their calls."""
    changes = any(
        message.get("tool_calls")
        or message.get("tool_call_id")
        or "<think>" in str(message.get("content") or "")
        for message in messages
    )
    return list(backend.preprocess_messages(messages) if changes else messages)
