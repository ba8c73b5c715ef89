"""What a replay answers, in the terms of the run that goes on.

Workers of a Workforce have fresh random ids in every run, and prompts name them, and answers name
them again: a recorded assignment would go to workers that no longer exist. So a live prompt is
compared with the recorded ones up to such ids; where it is the same, that says which id of the
record is which id now, and the recorded answer is given with the ids of now.
"""

from __future__ import annotations

import json
import re
import threading
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any, Final

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agentracer.recorder import RunRecorder
from agentracer.replay.session import ModelAnswer, ReplaySession
from agentracer.trace import Message, Step

__all__ = ["Translator", "recorded_stream", "recorded_stream_async", "translator_of"]

_RUN_SPECIFIC = re.compile(
    r"([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # UUIDs of workers, tasks, clones
    r"|\b[0-9a-f]{32}\b"
    r"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?"  # when an earlier attempt was made
    r"|(?<=<)\d{9,20}(?=>:<)|\b1[34]\d{13}\b)",  # id(node) of workers that are no single agent
    re.IGNORECASE,
)


class Translator:
    """Knows which run-specific id of the record is which one in the rerun. One per session."""

    def __init__(self, session: ReplaySession) -> None:
        self.trace = session.trace
        self._lock = threading.Lock()
        self._ids: dict[str, str] = {}
        self._lanes: dict[tuple[str, str], list[Step]] = defaultdict(list)
        for step in self.trace.steps:
            if step.kind == "llm":
                path = str(step.attributes.get("path", ""))
                self._lanes[step.agent, path].append(step)

    def align(
        self,
        session: ReplaySession,
        agent: str,
        path: str,
        recorder: RunRecorder,
        messages: Sequence[Mapping[str, Any]],
        shapes: list[str],
    ) -> list[str]:
        """The shapes of the recorded prompt that this one repeats; its own if there is none."""
        with self._lock:
            lane = self._lanes[agent, path]
            for position, step in enumerate(lane):
                if session.reads(step) == shapes:
                    del lane[position]
                    return shapes
            if not lane:
                return shapes
            live = [_canonical(recorder._storable(dict(message))) for message in messages]
            for position, step in enumerate(lane):
                recorded = [_canonical(_fields(m)) for m in self.trace.observed.reads(step)]
                if (ids := _same_but_for_ids(recorded, live)) is not None:
                    self._ids.update(ids)
                    del lane[position]
                    return session.reads(step)
            del lane[0]  # the session will take it, too, and report that it reads otherwise
            return shapes

    def now(self, value: Any) -> Any:
        """Recorded data with the ids of the rerun."""
        if not self._ids:
            return value
        if isinstance(value, str):
            return _RUN_SPECIFIC.sub(lambda found: self._ids.get(found[0], found[0]), value)
        if isinstance(value, Mapping):
            return {key: self.now(item) for key, item in value.items()}
        return [self.now(item) for item in value] if isinstance(value, list) else value

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        """An answer with the ids of the rerun."""
        calls = tuple(
            call.model_copy(update={"arguments": self.now(call.arguments)})
            for call in answer.tool_calls
        )
        content = self.now(answer.content)
        return ModelAnswer(answer.step, answer.mode, content, calls, answer.error)


_translators: Final[weakref.WeakKeyDictionary[ReplaySession, Translator]] = (
    weakref.WeakKeyDictionary()
)
_making = threading.Lock()


def translator_of(session: ReplaySession) -> Translator:
    """The translator of a session."""
    with _making:
        translator = _translators.get(session)
        if translator is None:
            translator = _translators[session] = Translator(session)
        return translator


def _fields(message: Message) -> dict[str, Any]:
    return message.model_dump(mode="json", exclude_defaults=True)


def _canonical(message: Mapping[str, Any]) -> str:
    """What a message says, without the ids of tool calls."""
    calls = [[call["name"], call.get("arguments")] for call in message.get("tool_calls") or ()]
    fields = [message.get(key) or None for key in ("role", "name", "content", "parts")]
    return json.dumps([*fields, calls], sort_keys=True, ensure_ascii=False)


def _same_but_for_ids(recorded: Sequence[str], live: Sequence[str]) -> dict[str, str] | None:
    """Which id stands for which, if the prompts say the same; None if they do not."""
    if len(recorded) != len(live):
        return None
    ids: dict[str, str] = {}
    for then, now in zip(recorded, live, strict=True):
        if then == now:
            continue
        old, new = _RUN_SPECIFIC.split(then), _RUN_SPECIFIC.split(now)
        if old[::2] != new[::2]:
            return None
        for before, after in zip(old[1::2], new[1::2], strict=True):
            if ids.setdefault(before, after) != after:
                return None
    return ids


# -- streams


def recorded_stream(response: ChatCompletion, *, structured: bool) -> Any:
    """An answer as what a streaming backend returns."""
    return _events(response) if structured else _chunks(response)


def recorded_stream_async(response: ChatCompletion, *, structured: bool) -> Any:
    """As `recorded_stream`, for an async backend."""
    return _async_events(response) if structured else _achunks(response)


def _chunks(response: ChatCompletion) -> Iterator[ChatCompletionChunk]:
    choice = response.choices[0]
    thought = getattr(choice.message, "reasoning_content", None)
    if thought:
        yield _chunk(response, {"role": "assistant", "reasoning_content": thought})
    if choice.message.content:
        yield _chunk(response, {"role": "assistant", "content": choice.message.content})
    calls = [
        {"index": position, **call.model_dump(include={"id", "type", "function"})}
        for position, call in enumerate(choice.message.tool_calls or ())
    ]
    if calls:
        yield _chunk(response, {"role": "assistant", "tool_calls": calls})
    yield _chunk(response, {}, choice.finish_reason)
    last = _chunk(response, None)
    last.usage = response.usage
    yield last


async def _achunks(response: ChatCompletion) -> AsyncIterator[ChatCompletionChunk]:
    for chunk in _chunks(response):
        yield chunk


def _chunk(
    response: ChatCompletion, delta: Mapping[str, Any] | None, reason: str | None = None
) -> ChatCompletionChunk:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return ChatCompletionChunk.model_validate(
        {
            "id": response.id,
            "object": "chat.completion.chunk",
            "created": 0,
            "model": response.model,
            "choices": choices,
        }
    )


@contextmanager
def _events(response: ChatCompletion) -> Iterator[_RecordedEvents]:
    """Stands in for OpenAI's stream of structured output."""
    yield _RecordedEvents(response)


@asynccontextmanager
async def _async_events(response: ChatCompletion) -> AsyncIterator[_RecordedAsyncEvents]:
    yield _RecordedAsyncEvents(response)


class _RecordedEvents:
    def __init__(self, response: ChatCompletion) -> None:
        self._response = response

    def __iter__(self) -> Iterator[Any]:
        message = self._response.choices[0].message
        yield SimpleNamespace(type="content.delta", delta=message.content or "")
        parsed = getattr(message, "parsed", None)
        yield SimpleNamespace(type="content.done", content=message.content, parsed=parsed)

    def get_final_completion(self) -> ChatCompletion:
        return self._response


class _RecordedAsyncEvents:
    def __init__(self, response: ChatCompletion) -> None:
        self._events = _RecordedEvents(response)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in self._events:
            yield event

    async def get_final_completion(self) -> ChatCompletion:
        return self._events.get_final_completion()
