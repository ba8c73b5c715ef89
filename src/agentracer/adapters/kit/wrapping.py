"""What happens around a call of a framework's method.

A wrapper asks `begin` for a `Call`; without one it only passes the call on. With one, the method
runs inside of it, or a replay's output is given instead. Everything of ours happens inside `guard`;
the framework's method is called outside of it, once, with its own errors. A wrapper is of the same
kind as what it wraps: a function, a coroutine function, or a generator of either kind.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, ClassVar

from agentracer._guard import guard
from agentracer.adapters.kit.scope import using

__all__ = ["Begin", "Call", "ReplayedOutput", "around"]


class ReplayedOutput:
    """What a replay gives in place of a call.

    Args:
        *items: the items of a stream; the last of them, or the only one, is the result.
        error: raised instead.
        wait: awaited first by async calls, where the order of answers matters.
    """

    __slots__ = ("error", "items", "wait")

    def __init__(
        self,
        *items: Any,
        error: Exception | None = None,
        wait: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.items, self.error, self.wait = items, error, wait

    def take(self) -> Any:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.items[-1]


class Call:
    """One call of a wrapped method; the defaults only pass it on.

    Attributes:
        owner: whose method is called; may be changed, as may `args` and `kwargs`.
        output: given instead of calling, if set.
        variable: a context variable that is set to `value` while the framework's code runs.
        value: see there; the call itself if not set.
    """

    output: ReplayedOutput | None = None
    variable: ClassVar[contextvars.ContextVar[Any] | None] = None
    value: Any

    def __init__(self, owner: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.owner, self.args, self.kwargs = owner, args, kwargs
        self.value = self

    def saw(self, item: Any) -> None:
        """A stream has yielded something."""

    def returned(self, result: Any) -> Any:
        """Note the result of a call that is no stream, and give what the caller gets."""
        self.close(result, None)
        return result

    def close(self, result: Any, error: BaseException | None) -> None:
        """Note how it ended: with a result (of a stream: its last item) or an error."""

    def inside(self) -> Any:
        """A context manager for the framework's code."""
        return using(self.variable, self.value)


Begin = Callable[[Any, tuple[Any, ...], dict[str, Any]], Call | None]
"""Given owner, arguments and keyword arguments: the call, or None if it belongs to no run."""


def around(begin: Begin, where: str, *, stream: bool = False) -> Callable[[Any], Any]:
    """A wrapper for methods.

    Args:
        begin: called before the method, inside a guard.
        where: the place, in reports of our errors.
        stream: whether a plain function returns an asynchronous iterator.
    """

    def wrap(original: Any) -> Any:
        if inspect.isasyncgenfunction(original):
            make = _async_generator
        elif inspect.isgeneratorfunction(original):
            make = _generator
        elif inspect.iscoroutinefunction(original):
            make = _coroutine
        else:
            make = _async_generator if stream else _function
        return functools.wraps(original)(make(original, begin, where))

    return wrap


def _function(original: Any, begin: Begin, where: str) -> Any:
    def function(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = _begin(begin, where, owner, args, kwargs)
        if call is None:
            return original(owner, *args, **kwargs)
        try:
            with call.inside():
                if call.output is not None:
                    result = call.output.take()
                else:
                    result = original(call.owner, *call.args, **call.kwargs)
        except BaseException as error:
            _close(call, where, None, error)
            raise
        if inspect.iscoroutine(result):  # a decorated coroutine function need not be one
            return _awaited(call, where, result)
        return _returned(call, where, result)

    return function


async def _awaited(call: Call, where: str, coroutine: Any) -> Any:
    try:
        with call.inside():
            result = await coroutine
    except BaseException as error:
        _close(call, where, None, error)
        raise
    return _returned(call, where, result)


def _coroutine(original: Any, begin: Begin, where: str) -> Any:
    async def coroutine(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = _begin(begin, where, owner, args, kwargs)
        if call is None:
            return await original(owner, *args, **kwargs)
        return await _awaited(call, where, _made(call, original))

    return coroutine


async def _made(call: Call, original: Any) -> Any:
    if call.output is None:
        return await original(call.owner, *call.args, **call.kwargs)
    if call.output.wait is not None:
        await call.output.wait()
    return call.output.take()


def _generator(original: Any, begin: Begin, where: str) -> Any:
    def generator(owner: Any, /, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = _begin(begin, where, owner, args, kwargs)
        if call is None:
            return (yield from original(owner, *args, **kwargs))
        if call.output is not None:
            yield from _items(call, where)
            return None
        source = original(call.owner, *call.args, **call.kwargs)
        last: Any = None
        ended: BaseException | None = None
        step = functools.partial(next, source)
        try:
            while True:
                try:
                    with call.inside():
                        last = step()
                except StopIteration as stop:
                    return stop.value
                _saw(call, where, last)
                step = yield from _pass_on(source, last)
        except BaseException as error:
            ended = error
            raise
        finally:
            try:
                with call.inside():
                    source.close()
            finally:
                _close(call, where, last, ended)

    return generator


def _async_generator(original: Any, begin: Begin, where: str) -> Any:
    async def generator(owner: Any, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        call = _begin(begin, where, owner, args, kwargs)
        if call is not None and call.output is not None:
            if call.output.wait is not None:
                await call.output.wait()
            for item in _items(call, where):
                yield item
            return
        if call is not None:
            owner, args, kwargs = call.owner, tuple(call.args), dict(call.kwargs)
        items = aiter(original(owner, *args, **kwargs))
        last: Any = None
        ended: BaseException | None = None
        try:
            while True:
                try:
                    with _inside(call):  # between steps, others run
                        last = await anext(items)
                except StopAsyncIteration:
                    break
                _saw(call, where, last)
                try:
                    yield last
                except BaseException:  # the consumer has left, or its event loop is closing
                    ended = GeneratorExit()
                    raise
        except BaseException as error:
            ended = ended or error
            raise
        finally:
            try:
                if hasattr(items, "aclose"):
                    with _inside(call):
                        await items.aclose()
            finally:
                _close(call, where, last, ended)

    return generator


def _pass_on(source: Any, item: Any) -> Any:
    """Yield an item; what the consumer sends or throws in is what the source gets next."""
    try:
        sent = yield item
    except GeneratorExit:
        raise
    except BaseException as error:
        if not hasattr(source, "throw"):
            raise
        return functools.partial(source.throw, error)
    return functools.partial(next, source) if sent is None else functools.partial(source.send, sent)


def _items(call: Call, where: str) -> tuple[Any, ...]:
    """The items of a replayed stream."""
    output = call.output
    if output is None:
        return ()
    _close(call, where, None if output.error else output.items[-1], output.error)
    if output.error is not None:
        raise output.error
    return output.items


def _begin(
    begin: Begin, where: str, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Call | None:
    with guard(where):
        return begin(owner, args, kwargs)
    return None


def _inside(call: Call | None) -> Any:
    return using(None, None) if call is None else call.inside()


def _saw(call: Call | None, where: str, item: Any) -> None:
    if call is not None:
        with guard(where):
            call.saw(item)


def _returned(call: Call, where: str, result: Any) -> Any:
    with guard(where):
        return call.returned(result)
    return result


def _close(call: Call | None, where: str, result: Any, error: BaseException | None) -> None:
    if call is not None:
        with guard(where):
            call.close(result, error)
