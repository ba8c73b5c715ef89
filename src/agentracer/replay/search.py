"""The search strategies: in which order steps are corrected.

All of them look for the decisive error: the earliest step whose correction turns the failure into
a success. They are search programs (see `trial`): they see the state of the search and yield
requests, and know neither the engine nor event loops, budgets or journals.

    sequential   the definition: every step, first to last, until one is confirmed.
    ranked       a search by halves of a tracer's likelihood: a step that has half of it is
                 corrected by itself, else all steps up to the half are corrected together. Once a
                 step flips the run, only earlier ones can take its place: they are corrected all
                 together, and one by one only if that succeeds.
    bisect       binary search. It assumes that corrections before the decisive error do not help,
                 and that all after it do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agentracer.errors import BudgetSpent, CorrectionDeclined, OracleFailed
from agentracer.replay.design import ExperimentDesign
from agentracer.replay.override import Override, unchanged
from agentracer.replay.trial import (
    OracleRequest,
    ReplayRequest,
    ReplayResult,
    SearchProgram,
    Trial,
    confirm,
    prefilter,
)
from agentracer.trace import Trace
from agentracer.verdict import Verification

__all__ = ["STRATEGIES", "Earliest", "SearchState", "SearchStrategy", "pilot"]

SearchStrategy = Literal["sequential", "ranked", "bisect"]
Earliest = Literal["together", "each"]
Progress = Callable[[int, Verification | None], None]


@dataclass(slots=True)
class SearchState:
    """What a search knows so far.

    Attributes:
        trace: the failed run.
        design: how many replays decide about one step.
        strategy: in which order steps are corrected.
        ranking: how likely each suspected step is, most likely first (`ranked`).
        earliest: how `ranked` makes sure that no earlier step would do.
        progress: called with each step that is finished, and what its replays showed.
        trials: of each step that was replayed.
        uncorrected: steps for which the oracle had no correction.
        failed: what went wrong with the oracle, by step.
        declined: why a correction was not taken, by step; the step then has none.
        together: steps that were corrected in one replay, which failed, and not one by one.
        decisive: the step that was confirmed.
        stopped: why the search ended early.
        everything: whether the run succeeds with all corrections at once; None if untried.
    """

    trace: Trace
    design: ExperimentDesign
    strategy: SearchStrategy = "sequential"
    ranking: Mapping[int, float] = field(default_factory=dict)
    earliest: Earliest = "together"
    progress: Progress | None = None
    trials: dict[int, Trial] = field(default_factory=dict)
    uncorrected: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    declined: dict[int, str] = field(default_factory=dict)
    together: list[int] = field(default_factory=list)
    decisive: int | None = None
    stopped: str | None = None
    everything: bool | None = None
    _corrections: dict[int, Override | None] = field(default_factory=dict)

    @property
    def steps(self) -> list[int]:
        """The steps that a replay can change."""
        return [s.index for s in self.trace.steps if s.kind in ("llm", "tool")]

    @property
    def promising(self) -> list[int]:
        """Steps that flipped the run and may still be confirmed, first to last."""
        return sorted(step for step, trial in self.trials.items() if trial.promising)

    def is_done(self, step: int) -> bool:
        """Whether nothing more is to be learned from correcting this step by itself."""
        return step in self.trials or step in self.uncorrected or step in self.failed

    def correction(self, step: int) -> SearchProgram:
        """The oracle's correction, asked for once; None where there is none."""
        if step not in self._corrections:
            try:
                correction = yield OracleRequest(step)
            except CorrectionDeclined as error:
                correction, self.declined[step] = None, str(error)
            except OracleFailed as error:
                correction, self.failed[step] = None, str(error)
            self._corrections[step] = correction
            if correction is None:
                if step not in self.failed:
                    self.uncorrected.append(step)
                self.report(step)
        return self._corrections[step]

    def attempt(self, step: int) -> SearchProgram:
        """Replay a step's correction; returns whether it is promising."""
        override = yield from self.correction(step)
        if override is None:
            return False
        trial = self.trials.get(step)
        if trial is None:
            trial = self.trials[step] = Trial((override,), self.design)
            yield from prefilter(trial)
            if not trial.promising:
                self.report(step)
        return trial.promising

    def conclude(self, step: int) -> SearchProgram:
        """Repeat a promising step and its control; returns whether it is confirmed."""
        trial = self.trials[step]
        yield from confirm(trial, self.trace)
        self.report(step)
        if trial.status == "confirmed":
            self.decisive = step
        return self.decisive is not None

    def first_that_flips(self, steps: Iterable[int]) -> SearchProgram:
        """Try steps in the order given; returns the first promising one."""
        for step in steps:
            if step not in self.trials and (yield from self.attempt(step)):
                return step
        return None

    def report(self, step: int) -> None:
        """Call `progress` for a step that is finished."""
        if self.progress is not None:
            trial = self.trials.get(step)
            self.progress(step, trial.verification() if trial is not None else None)


def pilot(state: SearchState) -> SearchProgram:
    """Rerun from the first step without a change: does the same run come out again?

    Returns None where that cannot be tried, such as in a trace without a model call.
    """
    trace = state.trace
    first = next((step.index for step in trace.steps if step.kind == "llm"), None)
    if first is None:
        return None
    result: ReplayResult = yield ReplayRequest((unchanged(trace, first),), "pilot")
    return result


def sequential(state: SearchState) -> SearchProgram:
    """Every step, first to last, until one is confirmed."""
    for step in state.steps:
        if (yield from state.attempt(step)) and (yield from state.conclude(step)):
            return
    yield from _all_at_once(state)


def ranked(state: SearchState) -> SearchProgram:
    """Where a tracer points, narrowed by the likely half; then whatever makes it the *earliest*."""
    narrow = state.earliest == "together"
    while True:
        flipped = state.promising
        step = flipped[0] if flipped else None
        if step is None and narrow:
            narrow = False
            step = yield from _narrowed(state)
        if step is None:
            step = yield from state.first_that_flips(_in_order(state))
        if step is None:
            break
        step = yield from _earlier(state, step)
        if (yield from state.conclude(step)):
            return
    yield from _all_at_once(state)


def _in_order(state: SearchState) -> list[int]:
    """The ranked steps, then the others from the first to the last."""
    possible = set(state.steps)
    return [s for s in dict.fromkeys([*state.ranking, *state.steps]) if s in possible]


def _narrowed(state: SearchState) -> SearchProgram:
    """Search for the first step that flips the run, by halves of what is still likely.

    Two kinds of replay tell where it is. A step that has half of the remaining likelihood is
    corrected by itself. Otherwise the steps are parted where half of it lies, and all corrections
    up to there are made together: if corrections do not undo each other, they flip the run from the
    decisive step on. Each replay settles about half of the doubt, so that a good ranking costs next
    to nothing and a bad one little more than a binary search.
    """
    steps = state.steps
    mass = likelihood(steps, state.ranking)
    low, high, sure = 0, len(steps), True
    while high - low > 1:
        window = [step for step in steps[low:high] if not state.is_done(step)]
        total = sum(mass[step] for step in window)
        if not window:
            return None
        best = max(window, key=lambda step: mass[step])
        if mass[best] >= total / 2:
            if (yield from state.attempt(best)):
                return best
            continue
        middle = _parting(steps, mass, window, low, high)
        group = yield from _correctable(state, steps[:middle])
        trial = yield from _joint(state, group)
        if trial.problems:
            return None
        if trial.flips:
            high = middle
        else:
            low, sure = middle, sure and (trial.refuted or not group)
            if sure:  # else: too few replays to exclude what is earlier
                state.together += [s for s in group if s not in (*state.trials, *state.together)]
    step = steps[low]
    return step if (yield from state.attempt(step)) else None


def likelihood(steps: Sequence[int], ranking: Mapping[int, float]) -> dict[int, float]:
    """What share each step has in the ranking; what the ranking leaves is spread evenly."""
    rest = [step for step in steps if step not in ranking]
    # At least 5 % for unranked steps, so that a wrong ranking cannot exclude a step for good.
    left = max(0.05, 1.0 - sum(ranking.values())) / max(1, len(rest))
    return {step: ranking.get(step, left) for step in steps}


def _parting(
    steps: Sequence[int], mass: Mapping[int, float], window: Sequence[int], low: int, high: int
) -> int:
    """The position within (low, high) up to which about half of the likelihood lies."""
    half, seen = sum(mass[step] for step in window) / 2, 0.0
    open_ones = set(window)
    for position in range(low, high - 1):
        seen += mass[steps[position]] if steps[position] in open_ones else 0.0
        if seen >= half:
            return position + 1
    return high - 1


def _earlier(state: SearchState, found: int) -> SearchProgram:
    """The earliest step that flips the run, given one that does."""
    rest = [step for step in state.steps if step < found and step not in state.trials]
    if state.earliest == "together":
        rest = yield from _unless_together(state, rest)
    earlier = yield from state.first_that_flips(rest)
    return found if earlier is None else earlier


def _unless_together(state: SearchState, steps: list[int]) -> SearchProgram:
    """The steps that have to be tried one by one: none, if all their corrections do not help."""
    correctable = yield from _correctable(state, steps)
    correctable = [step for step in correctable if step not in state.together]
    if len(correctable) < 2:
        return correctable
    # With those that were tried by themselves: half of a repair may be worse than none.
    trial = yield from _joint(
        state, sorted({*correctable, *(s for s in state.trials if s < correctable[-1])})
    )
    if trial.flips or trial.problems or not trial.refuted:
        return correctable
    state.together += correctable
    return []


def _correctable(state: SearchState, steps: Sequence[int]) -> SearchProgram:
    """Those of the steps for which the oracle has a correction."""
    correctable = []
    for step in steps:
        override = yield from state.correction(step)
        if override is not None:
            correctable.append(step)
    return correctable


def _joint(state: SearchState, steps: Sequence[int]) -> SearchProgram:
    """Correct several steps in one run, until that flips it or visibly does not."""
    corrections = []
    for step in steps:
        override = yield from state.correction(step)
        corrections.append(override)
    overrides = tuple(corrections)
    trial = Trial(overrides, state.design)
    while overrides and not (trial.flips or trial.problems or trial.refuted):
        if trial.replays >= state.design.repeats:
            break
        trial.add((yield ReplayRequest(overrides, "together")))
    return trial


def bisect(state: SearchState) -> SearchProgram:
    """Binary search for the first step that flips the run; what it passed over is not tried."""
    low, high = 0, len(state.steps)
    while low < high:
        middle = (low + high) // 2
        position = yield from _nearest_correctable(state, low, middle, high)
        if position is None:
            break
        if (yield from state.attempt(state.steps[position])):
            high = position
        else:
            low = position + 1
    for step in state.promising:
        if (yield from state.conclude(step)):
            return
    # Nothing flipped where the assumption led: what was passed over decides after all.
    yield from sequential(state)


def _nearest_correctable(state: SearchState, low: int, middle: int, high: int) -> SearchProgram:
    """The position in [low, high) nearest to the middle whose step can be corrected."""
    for position in sorted(range(low, high), key=lambda p: (abs(p - middle), p)):
        if (yield from state.correction(state.steps[position])) is not None:
            return position
    return None


def _all_at_once(state: SearchState) -> SearchProgram:
    """No single step flips the run; do all corrections together?"""
    steps = sorted(state.trials)
    hopes = any(trial.flips for trial in state.trials.values())
    if len(steps) < 2 or hopes:
        return
    trial = yield from _joint(state, steps)
    state.everything = None if trial.problems else bool(trial.flips)


STRATEGIES: dict[SearchStrategy, Callable[[SearchState], SearchProgram]] = {
    "sequential": sequential,
    "ranked": ranked,
    "bisect": bisect,
}


def within_budget(state: SearchState, plan: SearchProgram) -> SearchProgram:
    """A plan that ends, with what is known by then, when the budget is spent."""
    try:
        yield from plan
    except BudgetSpent as error:
        state.stopped = str(error)
