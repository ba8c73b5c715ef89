"""What a tracer is taught to think: what replay showed, step by step, up to the decisive one.

Each step is named by its label and each thing that it states is put beside what is right:

    [bz]
    | calculator({"expression": "3 + 4"}) => 3 + 4 agrees
    [kd]
    | Result: A = 8 => 7 differs
    With [kd] corrected, the run succeeds.

Labels and lines stand there as they stand in the prompt, so that thinking begins with copying.
What is right is known from the search for the label. The oracle had nothing to correct in most
steps, so what they state stands. A step that was corrected without turning the run into a success
says so. Of the decisive step the search kept what was written and what should have been. Where a
row says less (injected faults, public rows), its own reason takes that place.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from typing import Any

from agentracer.attribution.rendering import ABSTAIN, TraceView
from agentracer.trace import Label, Step, Trace

__all__ = ["AGREES", "DIFFERS", "answer", "solution"]

AGREES, DIFFERS = " agrees", " differs"
"""What is said of a statement and what is right, side by side: for whoever cannot see it yet."""

_LONGEST = 120  # characters of one statement
_STATES = re.compile(r"\d|\w\(|: \S| = ")
_CALL = re.compile(r"\w+\((\{.*\})\)", re.DOTALL)
_NAMED = re.compile(r"^.*(?:: | = )(?=\S)")
_CORRECTED = re.compile(
    r'wrote "(?P<wrong>.*)" where "(?P<right>.*)" was right; with that corrected', re.DOTALL
)


def answer(view: TraceView, step: int | None) -> str:
    """The answer that blames a step, or nobody, as the prompt asks for it."""
    said = ABSTAIN if step is None else view.labels[step]
    who = ABSTAIN if step is None else view.speaker(step)
    return f"<answer>{who}|{said}</answer>"


def solution(
    trace: Trace,
    view: TraceView,
    steps: Sequence[int],
    *,
    blame: int | None = None,
    from_step: int = 0,
    verbatim: bool = False,
    brief: bool = False,
) -> str:
    """Reasoning and answer of a labelled trace.

    Args:
        trace: with the label to teach.
        view: the run as the prompt shows it.
        steps: those in view. Without the labelled one among them, nobody is to blame.
        blame: another step for the answer to name: a demonstration that is wrong on purpose.
        from_step: leave out what is said of the steps before, where there is no room for it.
        verbatim: repeat every line of a step, not only those that state something.
        brief: of the decisive step, show the wrong line alone; of other steps, none.
    """
    label = trace.labels[0]
    inside = label.step in steps
    seen = [step for step in sorted(steps) if not inside or step <= label.step]
    lines = [
        _of_step(trace, view, step, label, verbatim=verbatim) for step in seen if step >= from_step
    ]
    if brief and lines:
        head, _, rest = lines[-1].partition("\n")
        lines = [f"{head}\n{rest.rpartition(chr(10))[2]}"] if inside else []
    thought = [line for line in lines if line]
    if any(step < from_step for step in seen):
        thought.insert(0, "What comes first needs no correction.")
    if inside:
        thought.append(f"With [{view.labels[label.step]}] corrected, the run succeeds.")
    else:
        thought.append("No correction of these steps makes the run succeed.")
    blamed = (blame if blame is not None else label.step) if inside else None
    return "\n".join(("<think>", *thought)) + f"</think>{answer(view, blamed)}"


def _of_step(trace: Trace, view: TraceView, index: int, label: Label, *, verbatim: bool) -> str:
    step = trace.steps[index]
    decisive = index == label.step
    lines = [line.strip() for line in trace.observed.text(step).splitlines()]
    stated = [line for line in lines if _states(line)]
    shown = lines if verbatim else stated
    if not shown and not decisive:
        return ""
    if decisive:
        said = _decisive(step, shown, label.reason or "")
    elif index in _in_vain(trace):
        said = [*shown, "corrected, the run still fails"]
    else:
        said = [_beside(line, line) if _states(line) else line for line in shown]
    return f"[{view.labels[index]}]\n" + "\n".join(f"| {_short(line)}" for line in said)


def _states(line: str) -> bool:
    """Whether a line says what can be wrong; what a tool said is not the step's doing."""
    return bool(_STATES.search(line)) and not line.startswith("-> ")


def _value(line: str) -> str:
    """What of a statement can be wrong: `A = 8` says 8, `search({"query": "x"})` says x."""
    call = _CALL.fullmatch(line)
    if call:
        with contextlib.suppress(ValueError):
            return ", ".join(str(value) for value in json.loads(call[1]).values())
    return _NAMED.sub("", line) or line


def _decisive(step: Step, shown: list[str], reason: str) -> list[str]:
    """What the step says up to the first thing that is wrong; the rest follows from it."""
    found = _CORRECTED.search(reason)
    if found is None:
        return [*shown, f"wrong: {reason}" if reason else "wrong"]
    wrong, right = found["wrong"].split(" / "), found["right"].split(" / ")
    changed = dict(zip(wrong, right, strict=False))
    for call in step.tool_calls:
        short = _call(call.name, call.arguments)
        if short in changed and isinstance(call.arguments, dict) and len(call.arguments) == 1:
            inside = changed[short].removeprefix(f"{call.name}(").removesuffix(")")
            (name,) = call.arguments
            changed[_written(call.name, call.arguments)] = _written(call.name, {name: inside})
    lines = []
    for line in shown:
        lines.append(_beside(line, changed.get(line, line)) if _states(line) else line)
        if line in changed:
            return lines
    # The search names lines that state nothing by themselves, such as an order that was left out.
    return [*lines, *(_beside(one, other) for one, other in changed.items())]


def _beside(line: str, right: str) -> str:
    """A statement, the value that is right, and whether it has that value."""
    return f"{line} => {_value(right)}{AGREES if line == right else DIFFERS}"


def _in_vain(trace: Trace) -> frozenset[int]:
    """Steps that were corrected in a replay, and the run failed all the same."""
    verification = trace.metadata.get("verification")
    tried = verification.get("tried") if isinstance(verification, dict) else None
    steps = [step for step in tried if isinstance(step, int)] if isinstance(tried, list) else []
    return frozenset(steps) - {trace.labels[0].step}


def _call(name: str, arguments: Any) -> str:
    """A call as the search for the label writes it."""
    given = arguments.values() if isinstance(arguments, dict) else ()
    return f"{name}({', '.join(map(str, given))})"


def _written(name: str, arguments: Any) -> str:
    """A call as a prompt shows it."""
    return f"{name}({json.dumps(arguments, ensure_ascii=False)})"


def _short(line: str) -> str:
    # Nothing of the trace may look like the frame of the answer.
    line = line.replace("<", "\u2039").replace(">", "\u203a").replace("=\u203a", "=>")
    return line if len(line) <= 2 * _LONGEST else line[: 2 * _LONGEST - 1] + "\u2026"
