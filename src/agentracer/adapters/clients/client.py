"""Capture and replay at the seam under every call of a provider's client.

Both clients are made by the same generator: each method of `chat.completions`, `responses` or
`messages` (create, parse, stream, raw responses; sync and async) goes through `request`, which
sends, and sends again where that failed, and through `_process_response`, which makes of the
response what the caller asked for. So a call is recorded at the one, its response is read at the
other, and a replay gives the second a response that it made itself.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from agentracer._guard import guard
from agentracer.adapters.clients import advice
from agentracer.adapters.clients.callers import (
    acting_agents,
    calling_agent,
    is_captured_elsewhere,
)
from agentracer.adapters.clients.runs import ClientRun, enclosing_call, run_of_caller
from agentracer.adapters.clients.wire import (
    Response,
    WireProtocol,
    encode_events,
    listed,
    plain,
    read_events,
)
from agentracer.adapters.kit.calls import ModelStep
from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.kit.scope import inner_step_said
from agentracer.adapters.kit.text import parsed_arguments, tool_spec
from agentracer.adapters.kit.threads import carry_variable
from agentracer.adapters.kit.wrapping import Call, ReplayedOutput, around
from agentracer.encoding import safe_repr
from agentracer.frameworks.base import AppliedAdvice
from agentracer.recording import in_check
from agentracer.replay.session import ModelAnswer, recorded_error

__all__ = ["ClientAdapter"]

_PARAMETERS: Final = (
    *("temperature", "top_p", "seed"),
    *("max_tokens", "max_completion_tokens", "max_output_tokens"),
)

_request: contextvars.ContextVar[_Request | None] = contextvars.ContextVar(
    "agentracer_client_request", default=None
)


class ClientAdapter:
    """The adapter of one provider's client.

    Args:
        name: of the adapter.
        module: the client's module with its base classes.
        protocols: what its requests may be.
    """

    def __init__(self, name: str, module: str, protocols: Sequence[WireProtocol]) -> None:
        self.name, self._module, self._protocols = name, module, protocols
        self._patches = Patches(name)
        self._installed = False

    def install(self) -> None:
        """See `Adapter`."""
        base = sys.modules[self._module]
        with self._patches.transaction():
            self._patches.subclasses(base.SyncAPIClient, self._patch_sync)
            self._patches.subclasses(base.AsyncAPIClient, self._patch_async)
            carry_variable(acting_agents, self._patches)
            carry_variable(enclosing_call, self._patches)
        self._installed = True

    def uninstall(self) -> None:
        """See `Adapter`."""
        self._installed = False
        self._patches.undo()

    def advise(self, system: Any, agent: str, text: str) -> AppliedAdvice:
        """Put `text` behind the instructions of an agent, in the whole process.

        Args:
            system: not looked at: the agents of a program are its functions.
            agent: as in the trace of an earlier run.
            text: the advice.

        Raises:
            ValueError: agents have called a model, but none of that name.
        """
        del system
        return advice.advise(agent, text)

    # Tools that observe clients as well replace methods of the classes that programs use, and so
    # hide those of the base classes: what a class defines itself is patched there, too.

    def _patch_sync(self, cls: type) -> None:
        if "request" in vars(cls):
            self._patches.wrap(cls, "request", around(self._begin, f"{self.name}.request"))
        if "_process_response" in vars(cls):
            self._patches.wrap(cls, "_process_response", self._wrap_sync)

    def _patch_async(self, cls: type) -> None:
        if "request" in vars(cls):
            wrap = around(self._begin, f"{self.name}.request")
            self._patches.wrap(cls, "request", lambda original: wrap(_as_coroutine(original)))
        if "_process_response" in vars(cls):
            self._patches.wrap(cls, "_process_response", self._wrap_async)

    def _begin(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Request | None:
        if not self._installed or _request.get() is not None:
            return None  # the method of a class around that of its base: one call
        address = str(getattr(_options(args, kwargs), "url", "")).partition("?")[0]
        protocol = next((p for p in self._protocols if address.endswith(p.path)), None)
        body = _body(_options(args, kwargs)) if protocol is not None else None
        if protocol is None or body is None or in_check.get() or is_captured_elsewhere():
            return None
        return _Request(self.name, protocol, client, body, args, kwargs)

    def _wrap_sync(self, original: Any) -> Any:
        def process(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            with guard(f"{self.name}.response"):
                _watch(kwargs.get("response"), is_async=False)
            return original(client, *args, **kwargs)

        return process

    def _wrap_async(self, original: Any) -> Any:
        async def process(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            with guard(f"{self.name}.response"):
                _watch(kwargs.get("response"), is_async=True)
            return await original(client, *args, **kwargs)

        return process


class _Request(Call):
    """One call of a client, which is one step."""

    variable = _request

    def __init__(
        self,
        framework: str,
        protocol: WireProtocol,
        client: Any,
        body: dict[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        super().__init__(client, args, kwargs)
        self.protocol, self.body, self.ended, self.watched = protocol, body, False, False
        self.state: ClientRun = run_of_caller()
        self.run = self.state.run  # alive as long as the call
        agent = calling_agent()
        advice.note_agent(agent)
        if lessons := advice.advice_for(agent):
            self._change_body(protocol.with_advice(plain(body), lessons))
        before = self.state.conversation(self.body.get("previous_response_id"))
        self.items = [*before, *protocol.items(self.body)]
        self.state.describe(framework, protocol, self.items)
        self._describe_agent(agent)
        self.step = self._step(agent)
        if self.step.answer is not None:
            self.output = self._replayed(self.step.answer)
        elif self.step.sampling:
            self._change_body({**self.body, **self.step.sampling})

    def close(self, result: Any, error: BaseException | None) -> None:
        """The request was answered, and its response may still have to be read; or it failed."""
        if error is not None:
            self.end(Response(), error)
        elif not self.watched:
            self.end(Response(content=safe_repr(result, 2_000)))

    def read(self, raw: bytes, error: BaseException | None = None) -> None:
        """Read the body of the response: of a stream that broke off, what there is of it."""
        text = raw.decode("utf-8", errors="replace")
        data = parsed_arguments(text)
        if isinstance(data, Mapping):
            response = self.protocol.read(data)
        elif text.lstrip().startswith("{"):
            response = Response(content=text)
        else:
            response = self.protocol.read_stream(read_events(text))
        self.end(response, error)

    def end(self, response: Response, error: BaseException | None = None) -> None:
        """The model has answered, or not."""
        if self.ended:
            return
        self.ended = True
        own = [{k: v for k, v in call.items() if v is not None} for call in response.tool_calls]
        failure = {"error": response.error} if response.error is not None and error is None else {}
        self.step.end(
            error,
            content=response.content,
            tool_calls=own,
            usage=response.usage if self.step.answer is None else None,
            **failure,
        )
        self.state.note_requests(self.step.index, own)
        self.state.last_active = time.monotonic()
        inner_step_said(response.content)
        if response.id and self.protocol.keeps_conversations:
            self.state.keep_conversation(response.id, [*self.items, *response.items])
        if error is None:
            self.run.framework_ended(response.content, response.content)

    def _change_body(self, body: dict[str, Any]) -> None:
        """Send another request than the caller's, whose own objects stay as they are."""
        self.body = body
        options = _options(self.args, self.kwargs)
        changed = options.model_copy(update={"json_data": body, "extra_json": None})
        if len(self.args) > 1:
            self.args = (self.args[0], changed, *self.args[2:])
        else:
            self.kwargs = {**self.kwargs, "options": changed}

    def _describe_agent(self, agent: str) -> None:
        self.tools = [tool_spec(plain(tool)) for tool in listed(self.body.get("tools"))]
        system = self.protocol.system_prompt(self.body) or None
        self.run.recorder.agent(agent, system_prompt=system, tools=self.tools)

    def _step(self, agent: str) -> ModelStep:
        inside = enclosing_call.get()
        parent = inside.index if inside is not None else None
        attributes = {"inside_call": inside.call_id} if inside is not None else {}
        return ModelStep(
            self.run,
            agent,
            self.state.reads(self.protocol, agent, self.items),
            accepts=self.protocol.sampling.__contains__,
            attributes=attributes,
            parent=parent,
            started_at=time.time(),
            model={
                "name": str(self.body.get("model") or "") or None,
                "parameters": {k: self.body[k] for k in _PARAMETERS if k in self.body},
                "tools": [tool["name"] for tool in self.tools],
            },
        )

    # -- replay

    def _replayed(self, answer: ModelAnswer) -> ReplayedOutput:
        if answer.error is not None:
            return ReplayedOutput(error=recorded_error(answer.error))
        make = functools.partial(self.owner._process_response, **self._arguments(answer))
        if hasattr(self.owner._client, "aclose"):
            output = ReplayedOutput()

            async def wait() -> None:
                output.items = (await self._within(make),)

            output.wait = wait
            return output
        with self.inside():
            return ReplayedOutput(make())

    async def _within(self, make: Callable[[], Any]) -> Any:
        with self.inside():
            return await make()

    def _arguments(self, answer: ModelAnswer) -> dict[str, Any]:
        """What `_process_response` is given for a response that says what the replay gives."""
        options = _options(self.args, self.kwargs)
        cast_to = self.args[0] if self.args else self.kwargs["cast_to"]
        stream = bool(self.kwargs.get("stream"))
        if hasattr(self.owner, "_maybe_override_cast_to"):
            cast_to = self.owner._maybe_override_cast_to(cast_to, options)
        http = _http_module(self.owner._client)
        self.body = plain(self.body)
        sent = options.model_copy(update={"json_data": self.body, "extra_json": None})
        request = self.owner._build_request(sent, retries_taken=0)
        if stream:
            events = self.protocol.answer_stream(answer, self.body)
            content = encode_events(events, self.protocol.stream_end)
            facts = {"content": content, "headers": {"content-type": "text/event-stream"}}
        else:
            facts = {"json": self.protocol.answer(answer, self.body)}
        return {
            "cast_to": cast_to,
            "options": options,
            "response": http.Response(200, request=request, **facts),
            "stream": stream,
            "stream_cls": self.kwargs.get("stream_cls"),
            "retries_taken": 0,
        }


def _as_coroutine(original: Any) -> Any:
    """A coroutine function, whatever a tool has made of the method."""
    if inspect.iscoroutinefunction(original):
        return original

    @functools.wraps(original)
    async def request(client: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await original(client, *args, **kwargs)

    return request


# -- bodies


def _watch(response: Any, *, is_async: bool) -> None:
    """Read the response of the request that the calling code makes, now or as it is read."""
    request = _request.get()
    if request is None or response is None or request.watched:
        return
    request.watched = True
    if response.is_stream_consumed or response.is_closed or hasattr(response, "_content"):
        request.read(response.content)
        return
    sync_body, async_body = _body_classes(_http_module(response))
    response.stream = (async_body if is_async else sync_body)(response, request)


class _Body:
    """The bytes of a response as its reader takes them from the wire, and what they said."""

    def __init__(self, response: Any, request: _Request) -> None:
        self.source, self.request = response.stream, request
        self.status, self.headers = response.status_code, response.headers
        self.http = _http_module(response)
        self.chunks: list[bytes] = []

    def done(self, error: BaseException | None = None) -> None:
        """The reader has read all, has left, or could not go on."""
        with guard("clients.body"):
            raw = b"".join(self.chunks)
            if self.headers.get("content-encoding"):
                kept = {"content-encoding": self.headers["content-encoding"]}
                raw = self.http.Response(self.status, headers=kept, content=raw).content
            self.request.read(raw, error)


@functools.cache
def _body_classes(http: ModuleType) -> tuple[type[_Body], type[_Body]]:
    """Bodies as streams of an HTTP library: to be read by synchronous and asynchronous code."""

    class SyncBody(_Body, http.SyncByteStream):  # type: ignore[name-defined,misc]
        def __iter__(self) -> Iterator[bytes]:
            try:
                for chunk in self.source:
                    self.chunks.append(chunk)
                    yield chunk
            except Exception as error:
                self.done(error)
                raise
            self.done()

        def close(self) -> None:
            try:
                self.source.close()
            finally:
                self.done()

    class AsyncBody(_Body, http.AsyncByteStream):  # type: ignore[name-defined,misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for chunk in self.source:
                    self.chunks.append(chunk)
                    yield chunk
            except Exception as error:
                self.done(error)
                raise
            self.done()

        async def aclose(self) -> None:
            try:
                await self.source.aclose()
            finally:
                self.done()

    return SyncBody, AsyncBody


def _http_module(thing: Any) -> Any:
    """The HTTP library of a client or response: a program may bring one of its own."""
    for cls in type(thing).__mro__:
        root = cls.__module__.partition(".")[0]
        if root.startswith("httpx"):
            return sys.modules[root]
    raise TypeError(f"no HTTP library is known for {type(thing).__name__}")


def _options(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The options among the arguments of `request`; None if there are none."""
    return args[1] if len(args) > 1 else kwargs.get("options")


def _body(options: Any) -> dict[str, Any] | None:
    """The request as JSON; None for one that has no such body."""
    data = getattr(options, "json_data", None)
    if not isinstance(data, Mapping):
        return None
    extra = getattr(options, "extra_json", None)
    return {**data, **extra} if isinstance(extra, Mapping) else dict(data)
