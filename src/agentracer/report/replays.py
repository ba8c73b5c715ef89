"""Compare replays with the run that they replay: where they diverge, and how they ended.

Up to the corrected step a replay repeats the record, so only the steps after it are kept here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentracer.errors import TraceNotFound
from agentracer.report import formatting
from agentracer.store import Store
from agentracer.trace import Outcome, Step, Trace
from agentracer.verdict import Verdict

__all__ = ["Replay", "compare", "load_replays"]

_MOST = 24  # replays whose steps are in the page; the others are only named


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay of a run.

    Attributes:
        trace: its id.
        control: whether the step was rerun unchanged, for comparison.
        parts: index of the first step that differs from the run; None where none does.
        steps: its steps from there on.
        outcome: how it ended.
        missing: why there are no steps to show, where there are none.
    """

    trace: str
    control: bool = False
    parts: int | None = None
    steps: tuple[Step, ...] = ()
    outcome: Outcome | None = None
    missing: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return JSON data for the page, without what the steps read: it lacks the messages."""
        kept = [step.model_copy(update={"reads": None}) for step in self.steps]
        end = self.outcome
        return {
            "trace": self.trace,
            "control": self.control,
            "parts": self.parts,
            "steps": [step.model_dump(mode="json", exclude_defaults=True) for step in kept],
            "outcome": None if end is None else end.model_dump(mode="json", exclude_defaults=True),
            "words": "" if end is None else formatting.outcome(end),
            "missing": self.missing,
        }


def load_replays(trace: Trace, verdict: Verdict | None, store: Store | None) -> list[Replay]:
    """Return the replays that verified a verdict, corrections first, then their control.

    Args:
        trace: the run that was replayed.
        verdict: names the replays in its `verification`.
        store: where they are. None: they are named, and not shown.

    Returns:
        One for each replay, the first 24 with their steps; one that is gone from the store says so.
    """
    if verdict is None or verdict.verification is None:
        return []
    named = [name for name in verdict.verification.traces if name]
    replays = [
        _load(trace, name, verdict.step, store)
        if position < _MOST
        else Replay(name, missing=f"only the first {_MOST} replays are in this page")
        for position, name in enumerate(named)
    ]
    return sorted(replays, key=lambda replay: replay.control)


def compare(trace: Trace, again: Trace, step: int | None) -> Replay:
    """Compare a run with a replay of it that is in memory.

    Args:
        trace: the run.
        again: its replay.
        step: the step that was replayed, corrected or as it was.
    """
    both = list(zip(trace.steps, again.steps, strict=False))
    parts = next((i for i, (a, b) in enumerate(both) if _content(a) != _content(b)), None)
    if parts is None and len(trace.steps) != len(again.steps):
        parts = len(both)
    compared = both[step] if step is not None and step < len(both) else None
    control = compared is not None and _content(compared[0]) == _content(compared[1])
    rest = again.steps[parts:] if parts is not None else ()
    return Replay(again.id, control, parts, tuple(rest), again.outcome)


def _load(trace: Trace, name: str, step: int | None, store: Store | None) -> Replay:
    if store is None:
        return Replay(name, missing="the store that holds it is not known")
    try:
        return compare(trace, store.load(name), step)
    except TraceNotFound:
        return Replay(name, missing="it is no longer in the store")


def _content(step: Step) -> tuple[Any, ...]:
    calls = [(call.name, call.arguments, call.result) for call in step.tool_calls]
    return (step.agent, step.content, calls, step.error and step.error.type)
