"""The task and the answer in what a run was given and returned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from agentracer.formats.otel.messages import decode, messages_of, text_of

__all__ = ["answer_text", "first_value", "plain_text", "task_text"]

_T = TypeVar("_T")
_TASK_KEYS = ("task", "question", "query", "input", "problem")
_ANSWER_KEYS = ("final_answer", "answer", "output", "result", "response")


def first_value(values: Iterable[_T | None]) -> _T | None:
    """The first value that is not None."""
    return next((value for value in values if value is not None), None)


def task_text(value: Any) -> str:
    """What a run was asked: its last user message, or the input that reads like a task."""
    value = decode(value)
    if isinstance(value, dict):
        if isinstance(value.get("inputs"), dict):
            return task_text(value["inputs"])
        if not value.get("messages"):
            named = next((value[key] for key in _TASK_KEYS if _is_word(value.get(key))), None)
            if named is not None:
                return str(named)
    contents = [m for m in messages_of(value) if m.content]
    users = [message for message in contents if message.role == "user"]
    return (users or contents)[-1].content if contents else plain_text(value)


def answer_text(value: Any) -> str:
    """What a run answered: an answer field of its output, or its last message."""
    value = decode(value)
    if isinstance(value, dict):
        if isinstance(value.get("outputs"), dict):
            return answer_text(value["outputs"])
        named = next((value[key] for key in _ANSWER_KEYS if _is_word(value.get(key))), None)
        if named is not None:
            return str(named)
    contents = [message.content for message in messages_of(value, "assistant") if message.content]
    return contents[-1] if contents else plain_text(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and value != "" and not isinstance(value, bool)


def plain_text(value: Any) -> str:
    """A value as text; nothing for an empty object or list."""
    return "" if value in (None, {}, []) else text_of(value)
