"""Keeps the books of a run: which parts the task was taken apart into, and what came out for each.

A value that its own formula does not give, another value for the same name, a part that nobody
worked out, a plan that fits the task less after it was changed: each is noted at the step that
brought it in. Linear in the text of the run; plans are measured anew a bounded number of times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agentracer.attribution.embedded.checks.findings import Notes, add_note
from agentracer.attribution.embedded.checks.plan_fit import DEFICITS, Task, deficits
from agentracer.attribution.embedded.text.assignments import (
    Statement,
    as_text,
    evaluate,
    names_in,
    number,
    same_value,
    statements,
)
from agentracer.trace import Observed, Step

__all__ = ["keep_books"]

_NAMES = 60  # parts that are kept track of
_MEASURED = 100  # times that a plan is measured
_COMPARED = 2_000  # sums that are looked for in the plan


@dataclass(slots=True)
class _Part:
    """What is known of a name."""

    text: str | None = None
    author: int | None = None
    value: str | None = None
    stated: int | None = None
    since: bool = False  # whether it was redefined after its value was stated


@dataclass(slots=True)
class _Books:
    parts: dict[str, _Part] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    deficits: list[float] | None = None
    measured: int = 0
    compared: int = 0
    computed: dict[str, float] = field(default_factory=dict)  # agent -> last tool result
    valued: int | None = None


def keep_books(run: Observed, texts: Sequence[str]) -> list[Notes]:
    """Note for every step what the books say of it.

    Args:
        run: the run.
        texts: what each step wrote, unwrapped (see `statements.plain`).
    """
    return _Keeper(run, texts).notes


class _Keeper:
    def __init__(self, run: Observed, texts: Sequence[str]) -> None:
        self.run, self.texts = run, texts
        self.task = Task(run.task)
        self.books = _Books()
        self.notes: list[Notes] = [{} for _ in run.steps]
        said = [list(_said(step, text)) for step, text in zip(run.steps, texts, strict=True)]
        named = _names_parts(said)
        for step, found in zip(run.steps, said, strict=True):
            if step.kind == "tool":
                continue
            if named:
                self._define(step, [one for one in found if one.defines])
            self._state(step, [one for one in found if not one.defines])
            self._compute(step)
        self._close()

    def _note(self, index: int, name: str, weight: float = 1.0, detail: str = "") -> None:
        add_note(self.notes[index], name, weight, detail)

    def _define(self, step: Step, found: Sequence[Statement]) -> None:
        parts, changed, new = self.books.parts, [], 0
        for one in found:
            if one.name not in parts and len(parts) >= _NAMES:
                continue
            part = parts.setdefault(one.name, _Part())
            if part.text is None:
                new += 1
            elif _squeezed(part.text) == _squeezed(one.text):
                continue
            else:
                changed.append((one.name, part.text, part.author))
                part.since = True
            part.text, part.author = one.text, step.index
        if not new and not changed:
            return
        self._note(step.index, "sets parts", new > 0)
        for name, before, author in changed:
            detail = f"{name} was '{before[:80]}'"
            own = author is not None and self.run.steps[author].agent == step.agent
            self._note(
                step.index, "changes own part" if own else "changes another's part", 1, detail
            )
            if author is not None:
                self._note(author, "part changed later")
        self._measure(step, changed=bool(changed))

    def _measure(self, step: Step, *, changed: bool) -> None:
        books = self.books
        plan = {name: part.text for name, part in books.parts.items() if part.text}
        if len(plan) < 2 or books.measured >= _MEASURED:
            return
        books.measured += 1
        found = deficits(plan, self.task)
        before = books.deficits if changed else None
        better = worse = 0.0
        for position, name in enumerate(DEFICITS):
            if before is None:
                self._note(step.index, f"plan: {name}", found[position])
            else:
                better += max(before[position] - found[position], 0.0)
                worse += max(found[position] - before[position], 0.0)
        if before is not None:
            self._note(step.index, "plan fits less", min(worse, 1.0))
            self._note(step.index, "plan fits better", min(better, 1.0))
            self._note(step.index, "plan fits no better", float(better <= worse))
        books.deficits = found

    def _state(self, step: Step, found: Sequence[Statement]) -> None:
        parts, numbers = self.books.parts, self.books.numbers
        agrees = 0
        for one in found:
            if one.name not in parts and (len(parts) >= _NAMES or len(one.name) > 1):
                continue
            part = parts.setdefault(one.name, _Part())
            value = number(one.text)
            due = evaluate(part.text, numbers) if part.text else None
            repeated = part.value is not None and not part.since
            if repeated and _squeezed(part.value or "") != _squeezed(one.text) and one.text:
                detail = f"{one.name} = {one.text[:60]}, at step {part.stated} it was {part.value}"
                self._note(step.index, "another value", 1, detail)
            elif not repeated and one.text and due is not None:
                if value is None:
                    self._note(step.index, "no value", 1, f"{one.name} = {one.text[:60]}")
                elif not same_value(due, value):
                    detail = f"{one.name} = {one.text[:60]}, but {part.text} is {due:g}"
                    self._note(step.index, "off its formula", 1, detail)
                else:
                    agrees += 1
            if not repeated:
                self.books.valued = step.index
                if value is not None:
                    self._against_tool(step, value, one)
            part.value, part.stated, part.since = one.text, step.index, False
            if value is None:
                numbers.pop(one.name, None)
            else:
                numbers[one.name] = value
        self._note(step.index, "as its formula", agrees > 0)
        self._note(step.index, "states parts", len(found) > 0)

    def _against_tool(self, step: Step, value: float, one: Statement) -> None:
        """Compare the first new value that a step states with what its agent's tool gave it."""
        due = self.books.computed.pop(step.agent, None)
        if due is None:
            return
        if same_value(due, value):
            self._note(step.index, "as the tool said")
        else:
            detail = f"{one.name} = {one.text[:60]}, its tool gave {due:g}"
            self._note(step.index, "unlike its tool", 1, detail)

    def _compute(self, step: Step) -> None:
        """Recompute what a tool was asked to compute, and look for the sum in the plan."""
        for call in step.tool_calls:
            for text in _strings(call.arguments):
                due = evaluate(text, {}) if any(sign in text for sign in "+-*/") else None
                if due is None:
                    continue
                got = number(as_text(call.result))
                if call.error is None and got is not None and not same_value(due, got):
                    detail = f"{text[:60]} is {due:g}, not {got:g}"
                    self._note(step.index, "result is off", 1, detail)
                if got is not None:
                    self.books.computed[step.agent] = got
                self.books.compared += 1
                planned = list(self._planned()) if self.books.compared <= _COMPARED else []
                if planned and not any(same_value(due, value) for value in planned):
                    self._note(step.index, "sum not in the plan", 1, text[:60])
                elif planned:
                    self._note(step.index, "sum as planned")

    def _planned(self) -> Iterator[float]:
        for part in self.books.parts.values():
            due = evaluate(part.text, self.books.numbers) if part.text else None
            if due is not None:
                yield due

    def _close(self) -> None:
        """Look at what was left open when the run ended, and at where its answer came from."""
        parts = self.books.parts
        names = [name for name, part in parts.items() if part.text is not None]
        valued = self.books.valued
        answer = _squeezed(self.run.outcome.answer or "")
        if not names or not self.run.steps:
            return
        still_open = [name for name in names if parts[name].value is None]
        concluding = self._concluding(answer, valued)
        inner = [name for name in still_open if name != names[-1]]
        if inner:
            detail = ", ".join(inner[:6])
            share = len(inner) / len(names)
            self._note(concluding, "concludes with parts open", share, detail)
            if valued is not None:
                self._note(valued, "last part done of many", share, detail)
        elif not still_open:
            self._note(concluding, "concludes with all done")
        if answer:
            self._provenance(concluding, names, answer)

    def _concluding(self, answer: str, valued: int | None) -> int:
        """The step that gave the answer: the first after the last new value, else the last."""
        steps = [s.index for s in self.run.steps if s.kind != "tool"] or [0]
        holding = [i for i in steps if answer and answer in _squeezed(self.texts[i])]
        later = [i for i in holding if valued is not None and i > valued]
        return (later or holding[-1:] or steps[-1:])[0]

    def _provenance(self, concluding: int, names: Sequence[str], answer: str) -> None:
        parts = self.books.parts
        known = {name: _squeezed(part.value or "") for name, part in parts.items() if part.value}
        if not known:
            return
        last = known.get(names[-1])
        if last is not None and _same(last, answer):
            self._note(concluding, "answer is the last value")
            return
        other = next((name for name in names[:-1] if _same(known.get(name, ""), answer)), None)
        if other is not None:
            self._note(concluding, "answer is an earlier value", 1, f"that of {other}")
        elif last is not None:
            self._note(concluding, "answer is nobody's value")


def _said(step: Step, text: str) -> Sequence[Statement]:
    return statements(text) if step.kind != "tool" and ("=" in text or ":" in text) else ()


def _names_parts(said: Sequence[Sequence[Statement]]) -> bool:
    """Whether what was defined is ever taken up by its name: in a value, or in another definition.

    Where nobody does, `Step 1: ...` is a heading and no part of a plan that others work on.
    """
    told = [one for found in said for one in found]
    defined = {one.name for one in told if one.defines}
    for one in told:
        taken_up = names_in(one.text) - {one.name} if one.defines else {one.name}
        if not defined.isdisjoint(taken_up):
            return True
    return False


def _same(one: str, other: str) -> bool:
    first, second = number(one), number(other)
    if first is not None and second is not None:
        return same_value(first, second)
    return one == other and bool(one)


def _squeezed(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (item for item in value.values() if isinstance(item, str))
