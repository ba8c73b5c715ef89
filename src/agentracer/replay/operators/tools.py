"""Errors around tools: what is asked of them, and what they answer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from agentracer.call_nesting import CallNesting
from agentracer.replay.operators.base import Corruption, operator
from agentracer.replay.operators.places import requests
from agentracer.replay.operators.text import another_figure
from agentracer.replay.override import Override, never_ran
from agentracer.replay.session import HANDOFF
from agentracer.trace import ErrorInfo, Step, ToolCall, ToolRequest, Trace

__all__: list[str] = []

_FAILURES: Final = (
    ErrorInfo(type="TimeoutError", message="the request timed out after 30 s"),
    ErrorInfo(type="ConnectionError", message="the connection was closed by the other side"),
    ErrorInfo(type="PermissionError", message="access denied"),
    ErrorInfo(type="FileNotFoundError", message="no such file or directory"),
    ErrorInfo(type="ValueError", message="the input has the wrong form"),
)
"""How tools fail in the field; a run that knows failures of its own is given those."""


# -- what is asked


@operator("tool_call.wrong_argument", says="a tool is called with a wrong argument")
def wrong_argument(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Change one value in the arguments of one call."""
    for position, call in _shuffled(_calls(trace.steps[step]), rng):
        paths = list(_leaves(call.arguments))
        rng.shuffle(paths)
        for path, value in paths:
            wrong = _another_value(value, trace, path, rng)
            if wrong is not None and wrong != value:
                arguments = _replaced(call.arguments, path, wrong)
                where = f"{call.name}({'.'.join(map(str, path))})"
                reason = f"calls {where} with {_short(wrong)} in place of {_short(value)}"
                return Corruption(Override(step=step, call=position, arguments=arguments), reason)
    return None


@operator("tool_call.wrong_tool", says="the wrong tool is called")
def wrong_tool(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Call another of the tools that the agent was offered, with the same arguments."""
    taken = trace.steps[step]
    if taken.kind != "llm":
        return None
    offered = set(taken.model.tools if taken.model is not None else ())
    offered |= {c.name for s in trace.steps if s.agent == taken.agent for c in s.tool_calls}
    for position, call in _shuffled(_calls(taken), rng):
        others = sorted(offered - {call.name})
        if others:
            name = rng.choice(others)
            calls = list(requests(taken))
            calls[position] = calls[position].model_copy(update={"name": name})
            reason = f"calls {name} where {call.name} is needed"
            return Corruption(_says(taken, taken.content, calls), reason)
    return None


@operator("tool_call.omitted_call", says="a tool that is needed is not called")
def omitted_call(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Leave a call out; an agent left without any says at once what it would say afterwards."""
    taken = trace.steps[step]
    if taken.kind != "llm" or not taken.tool_calls:
        return None
    position = rng.randrange(len(taken.tool_calls))
    name = taken.tool_calls[position].name
    calls = [call for i, call in enumerate(requests(taken)) if i != position]
    if calls:
        return Corruption(_says(taken, taken.content, calls), f"does not call {name}")
    later = (s for s in trace.steps[step + 1 :] if s.agent == taken.agent and s.kind == "llm")
    statement = next((s.content for s in later if s.content.strip() and not s.tool_calls), "")
    content = statement or taken.content
    if not content.strip():
        return None
    guessed = another_figure_in(content, rng) if statement else content
    return Corruption(_says(taken, guessed, []), f"answers without having called {name}")


# -- what is answered


@operator("tool_result.error", says="a tool fails")
def failing_tool(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Let one call fail, as calls of this run failed if any did."""
    for position, call in _shuffled(_answered(trace, step), rng):
        errors = [c.error for s in trace.steps for c in s.tool_calls if c.error is not None]
        error = rng.choice(errors or list(_FAILURES))
        override = Override(step=step, call=position, error=error)
        return Corruption(override, f"{call.name} fails: {error.message}")
    return None


@operator("tool_result.stale", says="a tool returns an outdated result")
def stale_result(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Return what the same tool returned at another call of the run."""
    for position, call in _shuffled(_answered(trace, step), rng):
        others = [
            other.result
            for s in trace.steps
            for other in s.tool_calls
            if other.name == call.name and other.result not in (None, call.result)
        ]
        if others:
            override = Override(step=step, call=position, result=rng.choice(others))
            return Corruption(override, f"{call.name} returns the result of another call")
    return None


@operator("tool_result.truncated", says="a tool's result is cut off")
def truncated_result(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Cut a text or a list off somewhere in its second half or before."""
    for position, call in _shuffled(_answered(trace, step), rng):
        result = call.result
        if isinstance(result, (str, list)) and len(result) >= 2:
            cut = result[: rng.randrange(max(1, len(result) // 4), len(result))]
            if cut != result:
                override = Override(step=step, call=position, result=cut)
                return Corruption(override, f"the result of {call.name} is cut off")
    return None


# -- pieces


def another_figure_in(text: str, rng: random.Random) -> str:
    """The text with its last figure changed, or as it is if it has none."""
    from agentracer.replay.operators.text import NUMBER

    figures = list(NUMBER.finditer(text))
    if not figures:
        return text
    last = figures[-1]
    return text[: last.start()] + another_figure(last.group(), rng) + text[last.end() :]


def _says(step: Step, content: str, calls: list[ToolRequest]) -> Override:
    return Override(step=step.index, content=content, tool_calls=tuple(calls))


def _calls(step: Step) -> list[tuple[int, ToolCall]]:
    return [(i, call) for i, call in enumerate(step.tool_calls) if not _hands_over(call)]


def _answered(trace: Trace, step: int) -> list[tuple[int, ToolCall]]:
    """The calls that a tool answered; what recorded steps made is no tool's result."""
    nesting = CallNesting(trace.observed)
    return [
        (i, c)
        for i, c in _calls(trace.steps[step])
        if c.error is None and not never_ran(c) and not nesting.has_inner_steps(step, i)
    ]


def _hands_over(call: ToolCall) -> bool:
    return isinstance(call.result, dict) and HANDOFF in call.result


def _shuffled(calls: list[tuple[int, ToolCall]], rng: random.Random) -> list[tuple[int, ToolCall]]:
    rng.shuffle(calls)
    return calls


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _leaves(item, (*path, position))
    elif value is not None:
        yield path, value


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {k: _replaced(v, tuple(rest), new) if k == first else v for k, v in value.items()}
    return [_replaced(v, tuple(rest), new) if i == first else v for i, v in enumerate(value)]


def _another_value(value: Any, trace: Trace, path: tuple[Any, ...], rng: random.Random) -> Any:
    """A value of the same kind: one that another call had there, or one that is nearly right."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice((-2, -1, 1, 2))
    if isinstance(value, float):
        return round(value * rng.choice((0.1, 0.5, 2.0, 10.0)), 6)
    seen = {
        leaf
        for step in trace.steps
        for call in step.tool_calls
        for place, leaf in _leaves(call.arguments)
        if isinstance(leaf, str) and place == path and leaf != value
    }
    if seen:
        return rng.choice(sorted(seen))
    changed = another_figure_in(value, rng)
    if changed != value:
        return changed
    words = value.split()
    if len(words) > 2:
        at = rng.randrange(len(words))
        return " ".join(words[:at] + words[at + 1 :])
    return None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
