"""A person at the terminal as an oracle: the step opens in an editor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from agentracer.escaping import escape_control_chars
from agentracer.replay.override import Override
from agentracer.replay.system import Oracle
from agentracer.trace import Step, ToolRequest, Trace

__all__ = ["HumanOracle"]

Edit = Callable[[str], str | None]
"""A text to the edited text, or None where it was not saved."""

_CUT: Final = "# ---- correct what is below this line; leave it as it is if there is no error ----"
_CALLS: Final = "# ---- tool calls, as JSON ----"
_RESULTS: Final = "# ---- result of tool call {}, as JSON ----"
_LONGEST: Final = 2_000


class HumanOracle(Oracle):
    """Opens each step in an editor; what is changed there is the correction.

    The message, the tool calls and their results can be changed. Changing the message or the calls
    replays with these, and the tools run; changing a result replays with that result.

    Args:
        edit: opens a text in an editor; `click.edit`, which uses `$VISUAL` or `$EDITOR`, if None.
    """

    results_of_agents = True  # whoever edits such a result has seen what it is

    def __init__(self, edit: Edit | None = None) -> None:
        self._edit: Edit = edit or _editor

    def __call__(self, trace: Trace, step: int, /) -> Override | None:
        """See `Oracle`.

        Raises:
            ValueError: what was written is not JSON where it has to be.
        """
        taken = trace.steps[step]
        if taken.kind not in ("llm", "tool"):
            return None
        before = _body(taken)
        saved = self._edit(f"{_heading(trace, taken)}\n{_CUT}\n{before}")
        if saved is None:
            return None
        _, _, after = saved.partition(_CUT)
        if after.strip() == before.strip():
            return None
        return _override(taken, after)


def _editor(text: str) -> str | None:
    import click

    return click.edit(text, extension=".txt")


def _heading(trace: Trace, step: Step) -> str:
    read = trace.observed.reads(step)
    lines = [f"step {step.index} of {len(trace.steps)}, {step.agent}", f"task: {trace.task}"]
    if read:
        last = read[-1]
        lines.append(f"the last of the {len(read)} messages that it read ({last.role}):")
        lines += last.content[:_LONGEST].splitlines()
    return "\n".join(f"# {escape_control_chars(line)}" for line in lines)


def _body(step: Step) -> str:
    parts = [] if step.kind == "tool" else [step.content]
    if step.tool_calls and step.kind == "llm":
        requests = [{"name": call.name, "arguments": call.arguments} for call in step.tool_calls]
        parts += [_CALLS, json.dumps(requests, indent=2, ensure_ascii=False)]
    for position, call in enumerate(step.tool_calls):
        shown = json.dumps(call.result, indent=2, ensure_ascii=False)
        parts += [_RESULTS.format(position), shown]
    return "\n".join(parts) + "\n"


def _override(step: Step, text: str) -> Override | None:
    text, results = _results(step, text)
    for position, result in results.items():
        if result != step.tool_calls[position].result:
            return Override(step=step.index, call=position, result=result)
    content, mark, calls = text.partition(_CALLS)
    if not mark:
        return Override(step=step.index, content=content.strip())
    parsed = _parsed(calls, "the tool calls")
    requests = tuple(_request(step, position, call) for position, call in enumerate(parsed))
    return Override(step=step.index, content=content.strip(), tool_calls=requests)


def _results(step: Step, text: str) -> tuple[str, dict[int, Any]]:
    changes: dict[int, Any] = {}
    for position in reversed(range(len(step.tool_calls))):
        text, mark, shown = text.partition(_RESULTS.format(position))
        if mark:
            changes[position] = _parsed(shown, f"the result of tool call {position}")
    return text, changes


def _request(step: Step, position: int, call: Any) -> ToolRequest:
    call_id = step.tool_calls[position].id if position < len(step.tool_calls) else ""
    identity = call_id or f"corrected-{step.index}-{position}"
    return ToolRequest(id=identity, name=call["name"], arguments=call.get("arguments"))


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{what} have to be JSON: {error}") from error
