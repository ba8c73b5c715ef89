"""Prompts, tools and advice in the forms that a recorder takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from agentracer.recorder import RunRecorder, ending_of

__all__ = ["PromptCache", "advised", "ending_of", "parsed_arguments", "tool_spec", "written"]


def advised(text: str | None, advice: Sequence[str]) -> str:
    """A system prompt with advice at its end."""
    return "\n\n".join([text, *advice] if text else advice)


def tool_spec(schema: Any) -> dict[str, Any]:
    """A tool as it is described to a model: name, description, and JSON Schema of its parameters.

    Args:
        schema: in the form of OpenAI (with or without the `function` around it) or Anthropic, or
            of a tool that the model's provider runs, which has only a type.
    """
    if not isinstance(schema, Mapping):
        return {"name": str(getattr(schema, "name", None) or type(schema).__name__)}
    spec = schema.get("function", schema)
    spec = spec if isinstance(spec, Mapping) else {}
    return {
        "name": str(spec.get("name") or schema.get("type") or "tool"),
        "description": spec.get("description"),
        "parameters": spec.get("parameters", spec.get("input_schema")),
    }


def parsed_arguments(arguments: Any) -> Any:
    """The arguments of a tool call as data; text that is no JSON object or list stays text."""
    if not isinstance(arguments, str):
        return arguments
    try:
        data = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return data if isinstance(data, (dict, list)) else arguments


def written(value: Any) -> str:
    """Data as a model or a tool writes it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class PromptCache:
    """Ids of the messages that each agent read last, so that only what is new is converted.

    A prompt is mostly what the same agent read before. Safe for threads: prompts are replaced, not
    changed.

    Args:
        convert: gives a message as arguments of `RunRecorder.message`; one may become several.
        mark: gives what has to be equal for a message to be the same as before. An object of its
            own for a message that may be changed in place.
    """

    def __init__(
        self,
        convert: Callable[[Any], Sequence[Mapping[str, Any]]],
        mark: Callable[[Any], Any],
    ) -> None:
        self._convert, self._mark = convert, mark
        self._generation = 0
        # by agent: the marks, the ids, and how many ids there are up to each message
        self._prompts: dict[Hashable, tuple[list[Any], list[str], list[int]]] = {}

    def ids(self, recorder: RunRecorder, agent: Hashable, messages: Sequence[Any]) -> list[str]:
        """The ids of a prompt's messages, storing those that are new."""
        if recorder.generation != self._generation:  # after a fork, nothing is stored
            self._prompts, self._generation = {}, recorder.generation
        marks = list(map(self._mark, messages))
        old, ids, ends = self._prompts.get(agent, ([], [], []))
        same = len(old) if old == marks[: len(old)] else _equal(old, marks)
        ids, ends = ids[: ends[same - 1] if same else 0], ends[:same]
        for message in messages[same:]:
            ids += [recorder.message(**fields) for fields in self._convert(message)]
            ends.append(len(ids))
        self._prompts[agent] = (marks, ids, ends)
        return list(ids)


def _equal(old: list[Any], new: list[Any]) -> int:
    """How many items two lists begin with alike."""
    pairs = enumerate(zip(old, new, strict=False))
    shorter = min(len(old), len(new))
    return next((index for index, (then, now) in pairs if then != now), shorter)
