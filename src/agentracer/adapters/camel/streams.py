"""Streams of a model, captured as they are read.

An observed stream gives the reader exactly what the backend's gives; what has been read when the
reader stops is what the step says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentracer._guard import guard
from agentracer.adapters.camel import convert
from agentracer.adapters.kit.text import parsed_arguments

if TYPE_CHECKING:
    from agentracer.adapters.camel.capture import Capture, OpenModelCall

__all__ = ["observed"]


def observed(response: Any, capture: Capture, call: OpenModelCall) -> Any:
    """A stream that tells the capture what is read from it; other things are left as they are."""
    watch = _Watch(capture, call)
    if hasattr(response, "__anext__"):
        return _AsyncStream(response, watch)
    if hasattr(response, "__next__"):
        return _Stream(response, watch)
    if hasattr(response, "__aenter__"):
        return _AsyncManager(response, watch)
    if hasattr(response, "__enter__"):
        return _Manager(response, watch)
    capture.end_call(call)
    return response


class _Watch:
    """What one stream has said so far."""

    def __init__(self, capture: Capture, call: OpenModelCall) -> None:
        self._capture, self._call = capture, call
        self._thoughts: list[str] = []
        self._requests: dict[int, dict[str, str]] = {}

    def chunk(self, chunk: Any) -> None:
        with guard("camel.stream"):
            self._chunk(chunk)

    def end(self, error: BaseException | None = None, response: Any = None) -> None:
        with guard("camel.stream"):
            if error is not None or response is not None:
                self._capture.end_call(self._call, response, error)
            else:
                self._finish()

    def _chunk(self, chunk: Any) -> None:
        if getattr(chunk, "type", None) == "content.delta":
            self._call.text.append(chunk.delta or "")
        for choice in (getattr(chunk, "choices", None) or ())[:1]:
            delta = choice.delta
            if getattr(delta, "content", None):
                self._call.text.append(delta.content)
            if thought := getattr(delta, "reasoning_content", None):
                self._thoughts.append(thought)
            for part in getattr(delta, "tool_calls", None) or ():
                self._request(part)
            if choice.finish_reason:  # CAMEL runs the tools before it reads any further
                self._finish()
        if counts := convert.usage_fields(getattr(chunk, "usage", None)):
            self._call.place.run.recorder.update_step(self._call.step.index, usage=counts)

    def _request(self, part: Any) -> None:
        request = self._requests.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
        request["id"] = part.id or request["id"]
        if part.function is not None:
            request["name"] += part.function.name or ""
            request["arguments"] += part.function.arguments or ""

    def _finish(self) -> None:
        requests: list[Mapping[str, Any]] = [
            {**request, "arguments": parsed_arguments(request["arguments"])}
            for request in self._requests.values()
        ]
        text = "".join(self._call.text)
        self._capture.end_stream(self._call, text, requests, "".join(self._thoughts))


class _Proxy:
    def __init__(self, stream: Any, watch: _Watch) -> None:
        self._stream, self._watch = stream, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Manager(_Proxy):
    """OpenAI's stream of structured output: a context that gives events."""

    def entered(self, stream: Any) -> Any:
        return _Events(stream, self._watch)

    def __enter__(self) -> Any:
        return self.entered(self._stream.__enter__())

    def __exit__(self, *details: Any) -> Any:
        self._watch.end(details[1] if details else None)
        return self._stream.__exit__(*details)


class _AsyncManager(_Proxy):
    def entered(self, stream: Any) -> Any:
        return _AsyncEvents(stream, self._watch)

    async def __aenter__(self) -> Any:
        return self.entered(await self._stream.__aenter__())

    async def __aexit__(self, *details: Any) -> Any:
        self._watch.end(details[1] if details else None)
        return await self._stream.__aexit__(*details)


class _Stream(_Manager):
    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            chunk = next(self._stream)
        except StopIteration:
            self._watch.end()
            raise
        except BaseException as error:
            self._watch.end(error)
            raise
        self._watch.chunk(chunk)
        return chunk

    def entered(self, stream: Any) -> Any:
        return self


class _AsyncStream(_AsyncManager):
    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration:
            self._watch.end()
            raise
        except BaseException as error:
            self._watch.end(error)
            raise
        self._watch.chunk(chunk)
        return chunk

    def entered(self, stream: Any) -> Any:
        return self


class _Events(_Proxy):
    def __iter__(self) -> Any:
        for event in self._stream:
            self._watch.chunk(event)
            yield event

    def get_final_completion(self) -> Any:
        response = self._stream.get_final_completion()
        self._watch.end(response=response)
        return response


class _AsyncEvents(_Proxy):
    async def __aiter__(self) -> Any:
        async for event in self._stream:
            self._watch.chunk(event)
            yield event

    async def get_final_completion(self) -> Any:
        response = await self._stream.get_final_completion()
        self._watch.end(response=response)
        return response
