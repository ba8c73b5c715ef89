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
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, overload

from agentracer.adapters.clients.callers import acting_agents, calling_agent
from agentracer.adapters.clients.runs import ClientRun, enclosing_call
from agentracer.adapters.kit.calls import ToolStep
from agentracer.adapters.kit.threads import enclosing_run
from agentracer.adapters.kit.wrapping import Call, ReplayedOutput, around
from agentracer.encoding import safe_repr, to_json
from agentracer.recording import current_run
from agentracer.replay.session import UNSET, recorded_error

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

    def __enter__(self) -> agent:
        acting_agents.set((*(acting_agents.get() or ()), self.name))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        acting_agents.set((acting_agents.get() or ())[:-1] or None)

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
                with self:
                    return await function(*args, **kwargs)

            return coroutine  # type: ignore[return-value]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
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
    begin = functools.partial(_begin, called)
    if inspect.iscoroutinefunction(function):
        invoke_async = around(begin, "functions.tool")(_invoke_async)

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            return await invoke_async(function, *args, **kwargs)

        return coroutine
    invoke = around(begin, "functions.tool")(_invoke)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return invoke(function, *args, **kwargs)

    return call


def act(agent: str, function: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a function as a step of kind `tool` of an agent, or answer it in a replay.

    Args:
        agent: who acts.
        function: what it does; the step is named after it.
        arguments: given to the function, and recorded.

    Returns:
        What the function returned, or what the replay gives in its place.
    """
    begin = functools.partial(_begin_act, agent)
    return around(begin, "functions.act")(_invoke)(function, *arguments)


def _invoke(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


async def _invoke_async(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return await function(*args, **kwargs)


class _DecoratedCall(Call):
    """One call of a function that is a tool."""

    variable = enclosing_call

    def __init__(
        self,
        step: ToolStep,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        super().__init__(function, args, kwargs)
        self.value = step
        answer = step.answer
        if answer is None:
            return
        if answer.arguments is UNSET:
            error = recorded_error(answer.error) if answer.error is not None else None
            self.output = ReplayedOutput(answer.result, error=error)
        elif isinstance(answer.arguments, dict):
            self.args, self.kwargs = (), answer.arguments
        else:
            self.args, self.kwargs = answer.arguments, {}

    def close(self, result: Any, error: BaseException | None) -> None:
        """The function has returned or raised."""
        self.value.end(result, error)


def _begin_act(
    agent: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> _DecoratedCall | None:
    """Begin a step of an agent; None outside of runs."""
    run, name = current_run(), getattr(function, "__name__", "call")
    if run is None:
        return None
    run.recorder.agent(agent)
    return _DecoratedCall(ToolStep(run, agent, name, to_json(list(args))), function, args, kwargs)


def _begin(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> _DecoratedCall | None:
    """Begin a call of a tool; None outside of runs."""
    run = enclosing_run()
    if run is None:
        return None
    arguments = _named(function, args, kwargs)
    request = ClientRun.of(run).take_request(name, to_json(arguments))
    index, call_id = request or (None, None)
    agent = calling_agent()
    if index is None:
        run.recorder.agent(agent)
    step = ToolStep(run, agent, name, arguments, call_id=call_id, step=index, rewrites=True)
    return _DecoratedCall(step, function, args, kwargs)


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
