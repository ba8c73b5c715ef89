"""Bound the text of a very large run: cut its longest texts, all to the same length.

Attribution and the HTML report use it so that a run of hundreds of megabytes takes seconds, and so
that both can say exactly what was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from agentracer.trace import Message, Observed, Step, ToolCall

__all__ = ["BoundedRun", "bound_texts"]


@dataclass(frozen=True, slots=True)
class BoundedRun:
    """A run whose longest texts are cut.

    Attributes:
        run: the run; the same object where nothing is cut.
        characters: of all texts of the run as it was.
        cut: number of texts that are cut.
        longest: characters that are kept of each of these.
    """

    run: Observed
    characters: int
    cut: int = 0
    longest: int = 0


def bound_texts(
    run: Observed,
    most: int,
    *,
    cut: Callable[[str, int], str],
    repeats: bool,
    whole: Collection[int] = (),
) -> BoundedRun:
    """Cut the longest texts of a run that has more than `most` characters of text.

    Texts are the contents of steps and messages, what is in the arguments and results of calls,
    messages of errors, and the answer.

    Args:
        run: the run.
        most: characters that may stay in all, beside those of `whole` and the marks of cuts.
        cut: cuts a text to a number of characters.
        repeats: whether a message that repeats the content of a step counts once more.
        whole: steps whose content is not cut.
    """
    kept = frozenset(whole)
    lengths = [len(text) for text in _texts(run, kept, repeats=repeats)]
    total = sum(lengths) + sum(len(step.content) for step in run.steps if step.index in kept)
    if sum(lengths) <= most:
        return BoundedRun(run, total)
    longest = _longest_kept(sorted(lengths), most)
    cutter = _Cutter(longest, cut, kept)
    bounded = run.model_copy(
        update={
            "messages": {name: cutter.message(part) for name, part in run.messages.items()},
            "steps": tuple(map(cutter.step, run.steps)),
            "outcome": run.outcome.model_copy(update={"answer": cutter.text(run.outcome.answer)}),
        }
    )
    return BoundedRun(bounded, total, sum(length > longest for length in lengths), longest)


def _texts(run: Observed, whole: Collection[int], *, repeats: bool) -> Iterator[str]:
    """The texts that may be cut."""
    for step in run.steps:
        if step.index not in whole:
            yield step.content
        for call in step.tool_calls:
            yield from _strings(call.arguments)
            yield from _strings(call.result)
            if call.error is not None:
                yield call.error.message
        if step.error is not None:
            yield step.error.message
    if run.messages:
        written = frozenset() if repeats else {step.content for step in run.steps}
        yield from (m.content for m in run.messages.values() if m.content not in written)
    yield run.outcome.answer or ""


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _longest_kept(lengths: list[int], most: int) -> int:
    """The length to which texts are cut; `lengths` are sorted and have more than `most` in all."""
    left = most
    for position, length in enumerate(lengths):
        share = left // (len(lengths) - position)
        if length > share:
            return max(share, 1)
        left -= length
    return lengths[-1]


@dataclass
class _Cutter:
    """Cuts texts to a length; equal texts are cut once and stay equal."""

    longest: int
    shorten: Callable[[str, int], str]
    whole: frozenset[int]
    shortened: dict[str, str] = field(default_factory=dict)

    def text(self, text: Any) -> Any:
        if not isinstance(text, str) or len(text) <= self.longest:
            return text
        if text not in self.shortened:
            self.shortened[text] = self.shorten(text, self.longest)
        return self.shortened[text]

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return self.text(value)

    def message(self, message: Message) -> Message:
        if len(message.content) <= self.longest:
            return message
        return message.model_copy(update={"content": self.text(message.content)})

    def call(self, call: ToolCall) -> ToolCall:
        changes: dict[str, Any] = {
            "arguments": self.value(call.arguments),
            "result": self.value(call.result),
        }
        if call.error is not None:
            shorter = self.text(call.error.message)
            changes["error"] = call.error.model_copy(update={"message": shorter})
        return call.model_copy(update=changes)

    def step(self, step: Step) -> Step:
        changes: dict[str, Any] = {}
        if len(step.content) > self.longest and step.index not in self.whole:
            changes["content"] = self.text(step.content)
        if step.tool_calls:
            changes["tool_calls"] = tuple(map(self.call, step.tool_calls))
        if step.error is not None and len(step.error.message) > self.longest:
            shorter = self.text(step.error.message)
            changes["error"] = step.error.model_copy(update={"message": shorter})
        return step.model_copy(update=changes) if changes else step
