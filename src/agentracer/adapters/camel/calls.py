"""Model calls: where capture and replay meet.

A call is looked up in the record first; then it is captured in the same way whether it was answered
or ran, so that a trace of a replay is a trace like any other.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from agentracer._guard import guard
from agentracer.adapters.camel import answers, shapes
from agentracer.adapters.camel.capture import (
    Call,
    Capture,
    Scope,
    describe,
    place_of_call,
    read_ids,
)
from agentracer.adapters.camel.places import HERE, Place, at
from agentracer.adapters.camel.streams import observed
from agentracer.recording import current_run
from agentracer.replay.session import ModelAnswer

__all__ = ["Calls", "streams"]

_IN_MODEL: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar(
    "agentracer_camel_model", default=False
)
"""Set inside a backend, for some call another one's `run`: that is no second step."""


class _Asked:
    """A model call, and the answer that the record has for it."""

    __slots__ = ("answer", "asynchronous", "call", "response_format", "source", "stream")

    def __init__(self, call: Call, answer: ModelAnswer | None) -> None:
        self.call, self.answer = call, answer
        self.source: Any = None
        self.response_format: Any = None
        self.stream = self.asynchronous = False


class _Delivery:
    """What a call is answered with."""

    __slots__ = ("_error", "_response")

    def __init__(self, response: Any = None, error: Exception | None = None) -> None:
        self._response, self._error = response, error

    def take(self) -> Any:
        """Return what was returned, or raise what was raised."""
        if self._error is not None:
            raise self._error
        return self._response


class Calls:
    """Wrappers of the methods that call models."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture

    # -- models

    def wrap_run(self, original: Any) -> Any:
        """`BaseModelBackend.run`."""

        def run(backend: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
            asked: _Asked | None = None
            if not _IN_MODEL.get():
                with guard("camel.model"):
                    asked = self._ask(backend, messages, args, kwargs)
            if asked is None:
                return original(backend, messages, *args, **kwargs)
            if (delivery := self._deliver(asked)) is not None:
                return delivery.take()
            token = _IN_MODEL.set(True)
            try:
                response = original(backend, messages, *args, **kwargs)
            except BaseException as error:
                with guard("camel.model"):
                    self.capture.end_call(asked.call, error=error)
                raise
            finally:
                _IN_MODEL.reset(token)
            return self._observe(asked, response)

        return run

    def wrap_arun(self, original: Any) -> Any:
        """`BaseModelBackend.arun`."""

        async def arun(backend: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
            asked: _Asked | None = None
            if not _IN_MODEL.get():
                with guard("camel.model"):
                    asked = self._ask(backend, messages, args, kwargs)
            if asked is None:
                return await original(backend, messages, *args, **kwargs)
            asked.asynchronous = True
            if (delivery := self._deliver(asked)) is not None:
                return delivery.take()
            token = _IN_MODEL.set(True)
            try:
                response = await original(backend, messages, *args, **kwargs)
            except BaseException as error:
                with guard("camel.model"):
                    self.capture.end_call(asked.call, error=error)
                raise
            finally:
                with contextlib.suppress(ValueError):
                    _IN_MODEL.reset(token)
            return self._observe(asked, response)

        return arun

    def _ask(
        self, backend: Any, messages: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Asked | None:
        """Begin the step of a model call, and look it up if this is a replay."""
        place = HERE.get()
        if place is None or place.state.finished:
            if current_run() is None:
                return None
            place = self.capture.enter(lambda: None).place
        response_format = kwargs.get("response_format", args[0] if args else None)
        tools = backend._resolve_tools(kwargs.get("tools", args[1] if len(args) > 1 else None))
        sent = _as_sent(backend, messages)
        name, path = place_of_call(place, backend)
        reads = read_ids(place, name, sent)
        systems = [shapes.message_fields(m).get("content") for m in sent if m["role"] == "system"]
        offered = describe(place, name, "\n".join(filter(None, systems)) or None, tools or ())
        answer, mode = self._look_up(place, name, path, sent, reads)
        config = backend.model_config_dict
        call = self.capture.begin_call(
            place,
            backend,
            reads,
            model={
                "name": str(backend.model_type),
                "parameters": shapes.model_parameters(config, response_format),
                "tools": offered,
            },
            attributes=mode,
        )
        asked = _Asked(call, answer)
        asked.response_format = response_format
        asked.stream = bool(config.get("stream"))
        if answer is not None and place.run.replay is not None:
            translator = answers.translator_of(place.run.replay)
            asked.answer = translator.answer(answer)
            asked.source = translator.trace.steps[answer.step]
        return asked

    @staticmethod
    def _look_up(
        place: Place, name: str, path: str, sent: list[Any], reads: list[str]
    ) -> tuple[ModelAnswer | None, dict[str, str]]:
        session = place.run.replay
        if session is None:
            return None, {}
        recorder = place.state.recorder(place.run)
        messages = [shapes.message_fields(message) for message in sent]
        alike = answers.translator_of(session).align(
            session, name, path, recorder, messages, recorder.shapes(reads)
        )
        answer = session.model_call(name, alike, path=path)
        return answer, {"replay": answer.mode if answer is not None else "live"}

    def _deliver(self, asked: _Asked) -> _Delivery | None:
        """What to answer from the record, if that has an answer."""
        answer = asked.answer
        if answer is None:
            return None
        with guard("camel.answer"):
            if answer.error is not None:
                error = shapes.answer_error(answer.error)
                self.capture.end_call(asked.call, error=error)
                return _Delivery(error=error)
            response: Any = shapes.completion(answer, asked.source, asked.response_format)
            if asked.stream:
                deliver = answers.recorded_stream
                if asked.asynchronous:
                    deliver = answers.recorded_stream_async
                response = deliver(response, structured=bool(asked.response_format))
            return _Delivery(self._observe(asked, response))
        return None

    def _observe(self, asked: _Asked, response: Any) -> Any:
        """Capture a response; a stream, as it is read."""
        with guard("camel.model"):
            if hasattr(response, "choices"):
                self.capture.end_call(asked.call, response)
            else:
                return observed(response, self.capture, asked.call)
        return response

    # -- streams of agents

    def wrap_stream(self, original: Any) -> Any:
        """`ChatAgent._stream`: a turn begins when its stream is read, wherever that happens."""

        def stream(agent: Any, *args: Any, **kwargs: Any) -> Any:
            source = original(agent, *args, **kwargs)
            begin = self._later(agent, args, kwargs)
            return self._read(source, begin)

        return stream

    def wrap_astream(self, original: Any) -> Any:
        """`ChatAgent._astream`."""

        def astream(agent: Any, *args: Any, **kwargs: Any) -> Any:
            source = original(agent, *args, **kwargs)
            begin = self._later(agent, args, kwargs)
            return self._aread(source, begin)

        return astream

    def _later(
        self, agent: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], Scope | None]:
        context = contextvars.copy_context()
        message = args[0] if args else kwargs.get("input_message")
        return lambda: context.run(self.capture.begin_turn, agent, message)

    def _read(self, source: Any, begin: Callable[[], Scope | None]) -> Iterator[Any]:
        scope: Scope | None = None
        last, ended = None, None
        with guard("camel.stream"):
            scope = begin()
        try:
            while True:
                with at(scope.place if scope is not None else None):
                    try:
                        item = next(source)
                    except StopIteration:
                        return
                last = item
                yield item
        except BaseException as error:
            ended = error
            raise
        finally:
            source.close()
            if scope is not None:
                with guard("camel.stream"):
                    self.capture.end_turn(scope, last, ended)

    async def _aread(self, source: Any, begin: Callable[[], Scope | None]) -> AsyncIterator[Any]:
        scope: Scope | None = None
        last, ended = None, None
        with guard("camel.stream"):
            scope = begin()
        try:
            while True:
                with at(scope.place if scope is not None else None):
                    try:
                        item = await anext(source)
                    except StopAsyncIteration:
                        return
                last = item
                yield item
        except BaseException as error:
            ended = error
            raise
        finally:
            await source.aclose()
            if scope is not None:
                with guard("camel.stream"):
                    self.capture.end_turn(scope, last, ended)


# -- small pieces


def streams(agent: Any) -> bool:
    """Whether an agent's `step` returns a stream that nothing has been read of yet."""
    return bool(agent.model_backend.model_config_dict.get("stream"))


def _as_sent(backend: Any, messages: Any) -> list[Any]:
    """The prompt as the backend sends it: thoughts taken out, tool results after their calls."""
    changes = any(
        message.get("tool_calls")
        or message.get("tool_call_id")
        or "<think>" in str(message.get("content") or "")
        for message in messages
    )
    return list(backend.preprocess_messages(messages) if changes else messages)
