"""Check the parts that a run divides its task into: their definitions, values and the conclusion.

Reported at the step that introduced it: a value that differs from its own formula, another value
for the same name, a part that was never solved, a plan that fits the task less after a change, an
answer that is not the value of the last part. Linear in the text of the run; plans are measured a
bounded number of times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.checks.plan_fit import DEFICITS, TaskFacts, deficits
from agentracer.attribution.embedded.kinds import FindingKind, FindingKinds
from agentracer.attribution.embedded.text.assignments import (
    Assignment,
    assignments,
    formula_value,
    parse_number,
    same_value,
    variable_names,
)
from agentracer.attribution.embedded.text.unwrap import argument_texts, as_text
from agentracer.call_nesting import CallNesting
from agentracer.trace import Observed, Step, ToolCall

__all__ = ["KINDS", "check_plan"]

KINDS = FindingKinds(DEFICITS)
"""What this check reports."""

_CALCULATIONS = "sums"  # a kind of content, by the name that model files give it

_DEFINES_PARTS = KINDS.either("defines_parts", "divides the task into parts")
_STATES_VALUES = KINDS.either("states_values")
_REDEFINES_OWN_PART = KINDS.either(
    "redefines_own_part", "changes its own plan", detail="{name} was '{before}'"
)
_REDEFINES_OTHERS_PART = KINDS.either(
    "redefines_other_agents_part",
    "changes what another agent had planned",
    detail="{name} was '{before}'",
)
_REDEFINED_LATER = KINDS.either("redefined_later")
_PLAN_FITS_LESS = KINDS.against("plan_fits_less", "changes the plan so that it fits the task less")
_PLAN_FITS_BETTER = KINDS.in_favour("plan_fits_better")
_PLAN_FITS_NO_BETTER = KINDS.against(
    "plan_fits_no_better", "changes the plan without making it fit the task better"
)
_CONTRADICTS_EARLIER_VALUE = KINDS.against(
    "contradicts_earlier_value",
    "states another value than an earlier step",
    detail="{name} = {value}, at step {step} it was {before}",
)
_MISSING_VALUE = KINDS.either(
    "missing_value", "states no number where its formula has one", detail="{name} = {value}"
)
_DIFFERS_FROM_FORMULA = KINDS.against(
    "differs_from_formula",
    "states a value that differs from its own formula",
    detail="{name} = {value}, but {formula} is {due:g}",
    content=_CALCULATIONS,
)
_AGREES_WITH_FORMULA = KINDS.in_favour("agrees_with_formula", content=_CALCULATIONS)
_DIFFERS_FROM_TOOL = KINDS.against(
    "differs_from_tool",
    "states another value than its tool returned",
    detail="{name} = {value}, its tool returned {due:g}",
)
_AGREES_WITH_TOOL = KINDS.in_favour("agrees_with_tool")
_WRONG_TOOL_RESULT = KINDS.against(
    "wrong_tool_result",
    "gets a wrong result from a tool",
    detail="{formula} is {due:g}, not {result:g}",
)
_UNPLANNED_CALCULATION = KINDS.against(
    "unplanned_calculation",
    "computes something that the plan does not contain",
    detail="{formula}",
    content=_CALCULATIONS,
)
_PLANNED_CALCULATION = KINDS.in_favour("planned_calculation", content=_CALCULATIONS)
_CONCLUDES_WITH_OPEN_PARTS = KINDS.against(
    "concludes_with_open_parts", "concludes although parts have no value", detail="{parts}"
)
_LAST_SOLVED_PART = KINDS.either(
    "last_solved_part",
    "is the last to state the value of a part; others have none",
    detail="{parts}",
)
_CONCLUDES_WITH_ALL_PARTS = KINDS.either("concludes_with_all_parts")
_ANSWER_IS_LAST_VALUE = KINDS.in_favour("answer_is_last_value")
_ANSWER_IS_EARLIER_VALUE = KINDS.against(
    "answer_is_earlier_value",
    "reports the value of an earlier part as the answer",
    detail="that of {name}",
)
_ANSWER_IS_NO_VALUE = KINDS.against(
    "answer_is_no_computed_value", "reports an answer that is the value of no part"
)

_MOST_PARTS = 60  # that are followed
_MOST_MEASUREMENTS = 100  # of plans
_MOST_COMPARISONS = 2_000  # of calculations with the plan
_SHOWN = 60  # characters of a value or formula
_SHOWN_DEFINITION = 80
_SHOWN_PARTS = 6


@dataclass(slots=True)
class _Part:
    """What the run has said of a part so far.

    Attributes:
        definition: how its value is found.
        author: the step that defined it last.
        value: as it was stated last.
        stated: the step that stated it.
        redefined: whether it was defined anew after its value was stated.
    """

    definition: str | None = None
    author: int | None = None
    value: str | None = None
    stated: int | None = None
    redefined: bool = False


@dataclass(slots=True)
class _State:
    """What the run has said so far.

    Attributes:
        parts: by name.
        numbers: the values of parts that are numbers.
        deficits: of the plan, as measured last.
        measurements: how often a plan was measured.
        comparisons: how many calculations were compared with the plan.
        computed: agent -> the last result of its tool.
        last_valued: the last step that stated a new value.
    """

    parts: dict[str, _Part] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    deficits: dict[FindingKind, float] | None = None
    measurements: int = 0
    comparisons: int = 0
    computed: dict[str, float] = field(default_factory=dict)
    last_valued: int | None = None


def check_plan(run: Observed, texts: Sequence[str]) -> FindingLog:
    """Check the parts, values and conclusion of a run.

    Args:
        run: the run.
        texts: what each step wrote, unwrapped (see `unwrap_json`).
    """
    return _ConsistencyCheck(run, texts).findings


class _ConsistencyCheck:
    def __init__(self, run: Observed, texts: Sequence[str]) -> None:
        self.run, self.texts = run, texts
        self.nesting = CallNesting(run)
        self.task = TaskFacts(run.task)
        self.state = _State()
        self.findings = FindingLog(KINDS, len(run.steps))
        assigned = [list(_assignments(s, text)) for s, text in zip(run.steps, texts, strict=True)]
        uses_names = _uses_defined_names(assigned)
        for step, of_step in zip(run.steps, assigned, strict=True):
            if step.kind == "tool":
                continue
            if uses_names:
                self._define(step, [a for a in of_step if a.defines])
            self._state_values(step, [a for a in of_step if not a.defines])
            self._compare_calls(step)
        self._conclude()

    def _define(self, step: Step, definitions: Sequence[Assignment]) -> None:
        parts, changed, new = self.state.parts, [], 0
        for definition in definitions:
            if definition.name not in parts and len(parts) >= _MOST_PARTS:
                continue
            part = parts.setdefault(definition.name, _Part())
            if part.definition is None:
                new += 1
            elif _normalized(part.definition) == _normalized(definition.text):
                continue
            else:
                changed.append((definition.name, part.definition, part.author))
                part.redefined = True
            part.definition, part.author = definition.text, step.index
        if not new and not changed:
            return
        self.findings.add(step.index, _DEFINES_PARTS, new > 0)
        for name, before, author in changed:
            own = author is not None and self.run.steps[author].agent == step.agent
            kind = _REDEFINES_OWN_PART if own else _REDEFINES_OTHERS_PART
            self.findings.add(step.index, kind, name=name, before=before[:_SHOWN_DEFINITION])
            if author is not None:
                self.findings.add(author, _REDEFINED_LATER)
        self._measure(step, changed=bool(changed))

    def _measure(self, step: Step, *, changed: bool) -> None:
        state = self.state
        plan = {name: part.definition for name, part in state.parts.items() if part.definition}
        if len(plan) < 2 or state.measurements >= _MOST_MEASUREMENTS:
            return
        state.measurements += 1
        measured = deficits(plan, self.task)
        before = state.deficits if changed else None
        state.deficits = measured
        if before is None:
            for kind, deficit in measured.items():
                self.findings.add(step.index, kind, deficit)
            return
        better = worse = 0.0
        for kind, deficit in measured.items():
            better += max(before[kind] - deficit, 0.0)
            worse += max(deficit - before[kind], 0.0)
        self.findings.add(step.index, _PLAN_FITS_LESS, min(worse, 1.0))
        self.findings.add(step.index, _PLAN_FITS_BETTER, min(better, 1.0))
        self.findings.add(step.index, _PLAN_FITS_NO_BETTER, float(better <= worse))

    def _state_values(self, step: Step, values: Sequence[Assignment]) -> None:
        parts = self.state.parts
        agreements = 0
        for stated in values:
            if stated.name not in parts and (len(parts) >= _MOST_PARTS or len(stated.name) > 1):
                continue
            part = parts.setdefault(stated.name, _Part())
            repeated = part.value is not None and not part.redefined
            if not repeated:
                agreements += self._compare_formula(step, stated, part)
                self._compare_tool(step, stated)
            elif stated.text and _normalized(part.value or "") != _normalized(stated.text):
                self.findings.add(
                    step.index,
                    _CONTRADICTS_EARLIER_VALUE,
                    name=stated.name,
                    value=stated.text[:_SHOWN],
                    step=part.stated,
                    before=part.value,
                )
            self._store(step, stated, part)
        self.findings.add(step.index, _AGREES_WITH_FORMULA, agreements > 0)
        self.findings.add(step.index, _STATES_VALUES, len(values) > 0)

    def _compare_formula(self, step: Step, stated: Assignment, part: _Part) -> bool:
        """Compare a new value with the formula of its part; whether they agree."""
        formula = part.definition
        due = formula_value(formula, self.state.numbers) if formula else None
        if not stated.text or due is None:
            return False
        value = parse_number(stated.text)
        shown: dict[str, Any] = {"name": stated.name, "value": stated.text[:_SHOWN]}
        if value is None:
            self.findings.add(step.index, _MISSING_VALUE, **shown)
        elif not same_value(due, value):
            self.findings.add(step.index, _DIFFERS_FROM_FORMULA, **shown, formula=formula, due=due)
        return value is not None and same_value(due, value)

    def _compare_tool(self, step: Step, stated: Assignment) -> None:
        """Compare the first new number that a step states with what its agent's tool returned."""
        self.state.last_valued = step.index
        value = parse_number(stated.text)
        due = self.state.computed.pop(step.agent, None) if value is not None else None
        if value is None or due is None:
            return
        if same_value(due, value):
            self.findings.add(step.index, _AGREES_WITH_TOOL)
        else:
            shown = stated.text[:_SHOWN]
            self.findings.add(
                step.index, _DIFFERS_FROM_TOOL, name=stated.name, value=shown, due=due
            )

    def _store(self, step: Step, stated: Assignment, part: _Part) -> None:
        part.value, part.stated, part.redefined = stated.text, step.index, False
        value = parse_number(stated.text)
        if value is None:
            self.state.numbers.pop(stated.name, None)
        else:
            self.state.numbers[stated.name] = value

    def _compare_calls(self, step: Step) -> None:
        """Recompute what tools were asked to compute, and look for it in the plan."""
        for position, call in enumerate(step.tool_calls):
            if self.nesting.has_inner_steps(step.index, position):
                continue  # another agent was asked, not a calculator
            for text in argument_texts(call.arguments):
                due = formula_value(text, {}) if any(sign in text for sign in "+-*/") else None
                if due is not None:
                    self._compare_call(step, call, text, due)

    def _compare_call(self, step: Step, call: ToolCall, formula: str, due: float) -> None:
        result = parse_number(as_text(call.result))
        shown = formula[:_SHOWN]
        if call.error is None and result is not None and not same_value(due, result):
            self.findings.add(step.index, _WRONG_TOOL_RESULT, formula=shown, due=due, result=result)
        if result is not None:
            self.state.computed[step.agent] = result
        self.state.comparisons += 1
        within = self.state.comparisons <= _MOST_COMPARISONS
        planned = list(self._planned_values()) if within else []
        if planned and not any(same_value(due, value) for value in planned):
            self.findings.add(step.index, _UNPLANNED_CALCULATION, formula=shown)
        elif planned:
            self.findings.add(step.index, _PLANNED_CALCULATION)

    def _planned_values(self) -> Iterator[float]:
        for part in self.state.parts.values():
            formula = part.definition
            due = formula_value(formula, self.state.numbers) if formula else None
            if due is not None:
                yield due

    def _conclude(self) -> None:
        """Check what was open when the run ended, and where its answer came from."""
        parts = self.state.parts
        names = [name for name, part in parts.items() if part.definition is not None]
        answer = _normalized(self.run.outcome.answer or "")
        if not names or not self.run.steps:
            return
        last_valued = self.state.last_valued
        concluding = self._concluding_step(answer, last_valued)
        open_parts = [name for name in names if parts[name].value is None]
        inner = [name for name in open_parts if name != names[-1]]
        if inner:
            shown, share = ", ".join(inner[:_SHOWN_PARTS]), len(inner) / len(names)
            self.findings.add(concluding, _CONCLUDES_WITH_OPEN_PARTS, share, parts=shown)
            if last_valued is not None:
                self.findings.add(last_valued, _LAST_SOLVED_PART, share, parts=shown)
        elif not open_parts:
            self.findings.add(concluding, _CONCLUDES_WITH_ALL_PARTS)
        if answer:
            self._compare_answer(concluding, names, answer)

    def _concluding_step(self, answer: str, last_valued: int | None) -> int:
        """The step that gave the answer: the first after the last new value, else the last."""
        steps = [s.index for s in self.run.steps if s.kind != "tool"] or [0]
        holding = [i for i in steps if answer and answer in _normalized(self.texts[i])]
        later = [i for i in holding if last_valued is not None and i > last_valued]
        return (later or holding[-1:] or steps[-1:])[0]

    def _compare_answer(self, concluding: int, names: Sequence[str], answer: str) -> None:
        parts = self.state.parts
        values = {name: _normalized(part.value) for name, part in parts.items() if part.value}
        if not values:
            return
        last = values.get(names[-1])
        if last is not None and _is_same(last, answer):
            self.findings.add(concluding, _ANSWER_IS_LAST_VALUE)
            return
        other = next((n for n in names[:-1] if _is_same(values.get(n, ""), answer)), None)
        if other is not None:
            self.findings.add(concluding, _ANSWER_IS_EARLIER_VALUE, name=other)
        elif last is not None:
            self.findings.add(concluding, _ANSWER_IS_NO_VALUE)


def _assignments(step: Step, text: str) -> Sequence[Assignment]:
    return assignments(text) if step.kind != "tool" and ("=" in text or ":" in text) else ()


def _uses_defined_names(assigned: Sequence[Sequence[Assignment]]) -> bool:
    """Whether a defined name is ever used: given a value, or referred to in another definition.

    Where none is, `Step 1: ...` is a heading and no part of a plan.
    """
    every = list(chain.from_iterable(assigned))
    defined = {assignment.name for assignment in every if assignment.defines}
    for assignment in every:
        own = {assignment.name}
        used = variable_names(assignment.text) - own if assignment.defines else own
        if not defined.isdisjoint(used):
            return True
    return False


def _is_same(first: str, second: str) -> bool:
    numbers = parse_number(first), parse_number(second)
    if numbers[0] is not None and numbers[1] is not None:
        return same_value(numbers[0], numbers[1])
    return first == second and bool(first)


def _normalized(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()
