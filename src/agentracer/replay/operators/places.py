"""Where in a step an operator may change something, and how the change becomes an override."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from agentracer.replay.operators.base import Corruption
from agentracer.replay.override import Override
from agentracer.trace import Step, ToolCall, ToolRequest, Trace

__all__ = ["Edit", "code_places", "corrupt_text", "earlier_turns", "requests", "text_places"]

Edit = Callable[[str, random.Random], tuple[str, str] | None]
"""A text and chance to the changed text and what is wrong with it, or None."""

_BLOCK = re.compile(r"(```(?:python|py)?[ \t]*\n)(.*?)(```)", re.DOTALL)
_SHORTEST_TEXT = 3


@dataclass(frozen=True, slots=True)
class TextSite:
    """A text inside a step, and how to make an override of another text there."""

    text: str
    put: Callable[[str], Override]


def text_places(trace: Trace, index: int) -> Iterator[TextSite]:
    """The texts that a model step wrote: its content, and texts in arguments of its calls."""
    step = trace.steps[index]
    if step.kind != "llm" or step.error is not None:
        return
    if len(step.content.strip()) >= _SHORTEST_TEXT:
        calls = requests(step)
        yield TextSite(
            step.content,
            lambda text: Override(step=index, content=text, tool_calls=calls or None),
        )
    for position, call in enumerate(step.tool_calls):
        if isinstance(call.arguments, dict):
            for key, value in call.arguments.items():
                if isinstance(value, str) and len(value.strip()) >= _SHORTEST_TEXT:
                    yield TextSite(value, _argument(index, position, call, key))


def code_places(trace: Trace, index: int) -> Iterator[TextSite]:
    """The pieces of Python in a step: fenced blocks, and arguments that are programs."""
    for place in text_places(trace, index):
        blocks = list(_BLOCK.finditer(place.text))
        for block in blocks:
            yield TextSite(block.group(2), _inside(place, block.start(2), block.end(2)))
        if not blocks and _is_program(place.text):
            yield place


def corrupt_text(places: Iterator[TextSite], edit: Edit, rng: random.Random) -> Corruption | None:
    """Apply an edit at one of the places, in random order, where it changes something."""
    choices = list(places)
    rng.shuffle(choices)
    for place in choices:
        edited = edit(place.text, rng)
        if edited is not None and edited[0] != place.text:
            return Corruption(place.put(edited[0]), edited[1])
    return None


def requests(step: Step) -> tuple[ToolRequest, ...]:
    """The tool calls that a step asked for, without their results."""
    return tuple(
        ToolRequest(id=call.id, name=call.name, arguments=call.arguments)
        for call in step.tool_calls
    )


def earlier_turns(trace: Trace, index: int) -> list[Step]:
    """The turns that the same agent took before, oldest first."""
    agent = trace.steps[index].agent
    return [s for s in trace.steps[:index] if s.agent == agent and s.kind == "llm"]


def _argument(index: int, position: int, call: ToolCall, key: str) -> Callable[[str], Override]:
    def put(text: str) -> Override:
        arguments: Any = call.arguments
        return Override(step=index, call=position, arguments={**arguments, key: text})

    return put


def _inside(place: TextSite, start: int, end: int) -> Callable[[str], Override]:
    return lambda text: place.put(place.text[:start] + text + place.text[end:])


def _is_program(text: str) -> bool:
    if "\n" not in text.strip() or not re.search(
        r"^\s*(def|class|return|import|for)\b", text, re.MULTILINE
    ):
        return False
    try:
        compile(text, "argument", "exec")
    except (SyntaxError, ValueError):
        return False
    return True
