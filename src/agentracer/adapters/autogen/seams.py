"""Where AutoGen's methods are wrapped, and how that is undone.

Methods are wrapped on every class that defines them, and on classes that are defined later. A
wrapper asks for a frame; without one it only passes the call on. With one, the call happens inside
of it, or is answered by a replay. All that is ours happens inside `guard`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from autogen_agentchat.base import ChatAgent, Team
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, Workbench

from agentracer._guard import guard
from agentracer.adapters.autogen import models, runs, tools
from agentracer.adapters.autogen.frames import Frame, innermost
from agentracer.adapters.kit.patching import Patches

__all__ = ["install"]

Enter = Callable[[Any, Sequence[Any], Mapping[str, Any]], Frame | None]


def _seams() -> dict[type, dict[str, Enter]]:
    """The families of classes, their methods, and what makes a frame for a call of one."""
    turns = dict.fromkeys(("run", "run_stream", "on_messages", "on_messages_stream"), runs.enter)
    return {
        Team: dict.fromkeys(("run", "run_stream"), runs.enter),
        ChatAgent: {
            **turns,
            "_get_input": tools.enter_question,
            "execute_code_block": tools.enter_code,
        },
        ChatCompletionClient: dict.fromkeys(("create", "create_stream"), models.enter),
        Workbench: dict.fromkeys(("call_tool", "call_tool_stream"), tools.enter_workbench),
        BaseTool: dict.fromkeys(("run_json", "run_json_stream"), tools.enter_tool),
    }


def install(patches: Patches) -> None:
    """Wrap the methods of all classes there are, and will be; all of them, or none."""
    with patches.transaction():
        for family, methods in _seams().items():
            patches.subclasses(family, functools.partial(_wrap, patches, methods))


def _wrap(patches: Patches, methods: Mapping[str, Enter], cls: type) -> None:
    for name, enter in methods.items():
        original = cls.__dict__.get(name)
        if not inspect.isfunction(original) or getattr(original, "__isabstractmethod__", False):
            continue
        if name.endswith("_stream") != inspect.iscoroutinefunction(original):
            around = _around_stream if name.endswith("_stream") else _around_call
            patches.replace(cls, name, around(original, enter))


def _around_call(original: Any, enter: Enter) -> Any:
    @functools.wraps(original)
    async def call(owner: Any, *args: Any, **kwargs: Any) -> Any:
        frame = _enter(enter, owner, args, kwargs)
        if frame is None:
            return await original(owner, *args, **kwargs)
        if frame.delivery is not None:
            return (await _delivered(frame))[-1]
        if frame.arguments is not None:
            args, kwargs = frame.arguments
        try:
            result = await _inside(frame, original(owner, *args, **kwargs))
        except BaseException as error:
            _close(frame, None, error)
            raise
        _close(frame, result, None)
        return result

    return call


def _around_stream(original: Any, enter: Enter) -> Any:
    @functools.wraps(original)
    async def stream(owner: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        frame = _enter(enter, owner, args, kwargs)
        if frame is not None and frame.delivery is not None:
            for item in await _delivered(frame):
                yield item
            return
        if frame is not None and frame.arguments is not None:
            args, kwargs = frame.arguments
        items = original(owner, *args, **kwargs)
        last: Any = None
        error: BaseException | None = None
        try:
            while True:
                try:
                    last = await _inside(frame, anext(items))
                except StopAsyncIteration:
                    break
                _saw(frame, last)
                try:
                    yield last
                except BaseException:  # the consumer has left, or its event loop is closing
                    error = GeneratorExit()
                    raise
        except BaseException as raised:
            error = error or raised
            raise
        finally:
            try:
                if hasattr(items, "aclose"):
                    await _inside(frame, items.aclose())
            finally:
                _close(frame, last, error)

    return stream


async def _inside(frame: Frame | None, step: Any) -> Any:
    """Await a call, or one step of a stream, within a frame: between steps others run."""
    if frame is None:
        return await step
    outside = innermost.get()
    innermost.set(frame)
    try:
        return await step
    finally:
        innermost.set(outside)


async def _delivered(frame: Frame) -> tuple[Any, ...]:
    """What a replay gives in place of the call, when it is its turn."""
    delivery = frame.delivery
    if delivery is None:
        return ()
    if delivery.pace is not None:
        await delivery.pace.turn(delivery.step)
    if delivery.error is not None:
        _close(frame, None, delivery.error)
        raise delivery.error
    _close(frame, delivery.items[-1], None)
    return delivery.items


def _enter(
    enter: Enter, owner: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Frame | None:
    with guard(f"{enter.__module__}.{enter.__name__}".removeprefix("agentracer.adapters.")):
        return enter(owner, args, kwargs)
    return None


def _saw(frame: Frame | None, item: Any) -> None:
    if frame is not None:
        with guard(f"autogen.{frame.kind}.saw"):
            frame.saw(item)


def _close(frame: Frame | None, result: Any, error: BaseException | None) -> None:
    if frame is not None:
        with guard(f"autogen.{frame.kind}.close"):
            frame.close(result, error)
