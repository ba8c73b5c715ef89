"""Systems of plain Python: who acts, and which functions are tools.

    import agentracer

    agentracer.instrument("openai")

    @agentracer.tool
    def search(query: str) -> str: ...

    with agentracer.record(task=text, check=is_right) as run:
        with agentracer.agent("planner"):
            plan = ask(text)  # calls a model through the `openai` client
        run.result = solve(plan)

`act` is for systems without a model client: each call of an agent's function is one step. Outside
of a run, all three only do what the program would do without them. In a replay, arguments and
results have to be JSON data.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any, TypeVar, overload

from agentracer._guard import guard
from agentracer.adapters.clients.callers import acting_agent, calling_agent
from agentracer.adapters.clients.runs import ClientRun, enclosing_call
from agentracer.adapters.kit.calls import ToolStep
from agentracer.adapters.kit.scope import using
from agentracer.adapters.kit.threads import enclosing_run
from agentracer.encoding import safe_repr, to_json
from agentracer.recording import current_run
from agentracer.replay.session import UNSET, ToolAnswer, recorded_error

__all__ = ["act", "agent", "tool"]

_F = TypeVar("_F", bound=Callable[..., Any])


class agent:  # noqa: N801 - reads as a statement: `with agentracer.agent("planner"):`
    """Say which agent acts in the block, or in a function: the model calls there are its steps.

    For `with`, in synchronous and asynchronous code alike, and as a decorator of functions and
    coroutine functions. Blocks may be nested; the innermost counts.

    Args:
        name: of the agent, as it is blamed and advised.

    Raises:
        TypeError: the name is no text, or is empty; or what is decorated is a generator function.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(
                f"agent(...) is {safe_repr(name, 80)}, which is no name\n"
                '  remedy: with agentracer.agent("planner"):'
            )
        self.name = name
        self._tokens: list[Token[str | None]] = []

    def __enter__(self) -> agent:
        self._tokens.append(acting_agent.set(self.name))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        token = self._tokens.pop()
        try:
            acting_agent.reset(token)
        except ValueError:  # left in another context than it was entered in: a generator
            acting_agent.set(None)

    def __call__(self, function: _F) -> _F:
        """Decorate a function."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"agent({self.name!r}) cannot decorate the generator {function.__qualname__}\n"
                f"  remedy: put `with agentracer.agent({self.name!r}):` around the calls in it"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with using(acting_agent, self.name):
                    return await function(*args, **kwargs)

            return coroutine  # type: ignore[return-value]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with using(acting_agent, self.name):
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]


@overload
def tool(function: _F, /) -> _F: ...


@overload
def tool(*, name: str | None = None) -> Callable[[_F], _F]: ...


def tool(function: Any = None, /, *, name: str | None = None) -> Any:
    """Make a function a tool: its calls are recorded, and answered in replays.

    A call belongs to the step whose model asked for it by this name: the oldest request that was
    not met yet, one with the same arguments first. Where no model asked, it is a step of its own.

    Args:
        function: of either kind, synchronous or a coroutine function.
        name: as models ask for it; the function's own if None.

    Returns:
        A function that does the same; in replays it gives what was recorded.

    Raises:
        TypeError: it is no function, or a generator function.
    """
    if function is None:
        return functools.partial(tool, name=name) if name else tool
    if not callable(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"tool(...) is {safe_repr(function, 80)}, which is no plain function\n"
            "  remedy: decorate a function that returns its result"
        )
    called = name or str(getattr(function, "__name__", type(function).__name__))
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            call = _begin(called, function, args, kwargs)
            if call is None:
                return await function(*args, **kwargs)
            return await _awaited(call, function, args, kwargs)

        return coroutine

    @functools.wraps(function)
    def plain_call(*args: Any, **kwargs: Any) -> Any:
        call = _begin(called, function, args, kwargs)
        if call is None:
            return function(*args, **kwargs)
        return _called(call, function, args, kwargs)

    return plain_call


def act(agent: str, function: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a function as a step of kind `tool` of an agent, or answer it in a replay.

    Args:
        agent: who acts.
        function: what it does; the step is named after it.
        arguments: given to the function, and recorded.

    Returns:
        What the function returned, or what the replay gives in its place.
    """
    run, call, name = current_run(), None, getattr(function, "__name__", "call")
    with guard("functions.begin"):
        if run is not None:
            run.recorder.agent(agent)
            call = ToolStep(run, agent, name, to_json(list(arguments)))
    if call is None:
        return function(*arguments)
    return _called(call, function, arguments, {})


def _begin(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ToolStep | None:
    """Begin a call of a tool; None outside of runs."""
    with guard("functions.begin"):
        run = enclosing_run()
        if run is None:
            return None
        arguments = _named(function, args, kwargs)
        state = ClientRun.of(run)
        step, call_id = state.take_request(name, to_json(arguments)) or (None, None)
        agent = calling_agent()
        if step is None:
            run.recorder.agent(agent)
        return ToolStep(run, agent, name, arguments, call_id=call_id, step=step, rewrites=True)
    return None


def _named(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Arguments by name, as a model gives them."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the function itself will say so
        return {"args": list(args), **kwargs}
    named: dict[str, Any] = {}
    for key, value in bound.arguments.items():
        kind = bound.signature.parameters[key].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        elif key not in ("self", "cls"):
            named[key] = value
    return named


def _called(
    call: ToolStep, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        with using(enclosing_call, call):
            if _runs(call.answer):
                args, kwargs = _rewritten(call.answer, args, kwargs)
                result = function(*args, **kwargs)
            else:
                result = _given(call.answer)
    except BaseException as error:
        _end(call, error=error)
        raise
    _end(call, result)
    return result


async def _awaited(
    call: ToolStep, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        with using(enclosing_call, call):
            if _runs(call.answer):
                args, kwargs = _rewritten(call.answer, args, kwargs)
                result = await function(*args, **kwargs)
            else:
                result = _given(call.answer)
    except BaseException as error:
        _end(call, error=error)
        raise
    _end(call, result)
    return result


def _runs(answer: ToolAnswer | None) -> bool:
    return answer is None or answer.arguments is not UNSET


def _rewritten(
    answer: ToolAnswer | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that the function gets: those of the override, where there is one."""
    if answer is None or answer.arguments is UNSET:
        return args, kwargs
    if isinstance(answer.arguments, dict):
        return (), dict(answer.arguments)
    return tuple(answer.arguments), {}


def _given(answer: ToolAnswer | None) -> Any:
    if answer is None:
        return None
    if answer.error is not None:
        raise recorded_error(answer.error)
    return answer.result


def _end(call: ToolStep, result: Any = None, error: BaseException | None = None) -> None:
    with guard("functions.end"):
        call.end(result, error)
