"""Systems of plain Python functions: each call of an agent is one step, and can be replayed.

    from agentracer.adapters.functions import act

    with agentracer.record(task=text, check=is_right) as run:
        parsed = act("parser", parse, text)
        run.result = act("solver", solve, parsed)

There is nothing to instrument: the code says itself who acts. Outside of a run, `act` only calls
the function. Arguments and result have to be JSON data to be answered in a replay.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from agentracer._guard import guard
from agentracer.encoding import to_json
from agentracer.recorder import describe_error
from agentracer.recording import Run, current_run
from agentracer.replay.session import ToolAnswer, recorded_error

__all__ = ["act"]


def act(agent: str, function: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a function as a step of kind `tool` of an agent, or answer it in a replay.

    Args:
        agent: who acts.
        function: what it does; the step is named after it.
        arguments: given to the function, and recorded.

    Returns:
        What the function returned, or what the replay gives in its place.
    """
    run, name, begun, answer = current_run(), getattr(function, "__name__", "call"), None, None
    with guard("functions.begin"):
        if run is not None:
            begun = _begin(run, agent, name, arguments)
            answer = begun[2]
    try:
        if answer is None:
            result = function(*arguments)
        elif answer.error is not None:
            raise recorded_error(answer.error)
        else:
            result = answer.result
    except Exception as error:
        with guard("functions.failed"):
            if run is not None and begun is not None:
                _end(run, begun, error=describe_error(error))
        raise
    with guard("functions.end"):
        if run is not None and begun is not None:
            _end(run, begun, result=result)
    return result


def _begin(
    run: Run, agent: str, name: str, arguments: tuple[Any, ...]
) -> tuple[int, str, ToolAnswer | None]:
    recorder, given, answer = run.recorder, to_json(list(arguments)), None
    recorder.agent(agent)
    step = recorder.begin_step(agent, kind="tool")
    call = f"{agent}-{step}"
    recorder.tool_call(step, id=call, name=name, arguments=given, started_at=time.time())
    if run.replay is not None:
        answer = run.replay.tool_call(agent, name, given)
        mode = answer.mode if answer is not None else "live"
        recorder.update_step(step, attributes={"replay": mode})
    return step, call, answer


def _end(run: Run, begun: tuple[int, str, ToolAnswer | None], **came: Any) -> None:
    step, call, _ = begun
    run.recorder.tool_call(step, id=call, ended_at=time.time(), **came)
    run.recorder.end_step(step)
