"""Systems of plain Python functions: each call of an agent is one step, and can be replayed.

    from agentracer.adapters.functions import act

    with agentracer.record(task=text, check=is_right) as run:
        parsed = act("parser", parse, text)
        run.result = act("solver", solve, parsed)

There is nothing to instrument: the code says itself who acts. Outside of a run, `act` only calls
the function. Arguments and result have to be JSON data to be answered in a replay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentracer._guard import guard
from agentracer.adapters.kit.calls import ToolStep
from agentracer.encoding import to_json
from agentracer.recording import current_run
from agentracer.replay.session import recorded_error

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
    run, call, name = current_run(), None, getattr(function, "__name__", "call")
    with guard("functions.begin"):
        if run is not None:
            run.recorder.agent(agent)
            call = ToolStep(run, agent, name, to_json(list(arguments)))
    answer = call.answer if call is not None else None
    try:
        if answer is None:
            result = function(*arguments)
        elif answer.error is not None:
            raise recorded_error(answer.error)
        else:
            result = answer.result
    except Exception as error:
        with guard("functions.failed"):
            if call is not None:
                call.end(error=error)
        raise
    with guard("functions.end"):
        if call is not None:
            call.end(result)
    return result
