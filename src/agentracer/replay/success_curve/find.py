"""The search without an oracle as a program of the engine, and its result."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentracer.errors import BudgetSpent
from agentracer.replay.engine import request_of_start
from agentracer.replay.prefix import answer_order, record_prefix
from agentracer.replay.sampling import OWN_SAMPLING, SamplingParameters, sampling_notes
from agentracer.replay.success_curve.conclusion import ToolResultTest, verdict_of_curve
from agentracer.replay.success_curve.curve import Credit, prefix_rates, step_credits
from agentracer.replay.success_curve.search import (
    PrefixBatch,
    PrefixSearch,
    SearchSettings,
    exhaustive,
    search,
)
from agentracer.replay.trial import ReplayRequest, ReplayResult, SearchProgram
from agentracer.trace import Trace
from agentracer.verdict import PrefixRate, Verdict

__all__ = ["CurveSearch", "find_by_success_curve"]

_ALIKE = 4  # replays that must be the same before a system is said to repeat itself
_TOOL_REPLAYS = 5  # of a step whose tools run again


@dataclass(slots=True)
class CurveSearch:
    """A search without an oracle, as far as it came.

    Attributes:
        trace: the failed run.
        order: its steps in the order of their answers; prefixes count along it.
        found: counts, posterior and exact test.
        sampling: parameters of the live model calls.
        results: every replay, by prefix.
        tool_test: replays in which the tools of the decisive step ran again.
    """

    trace: Trace
    order: tuple[int, ...]
    found: PrefixSearch
    sampling: SamplingParameters = OWN_SAMPLING
    results: dict[int, list[ReplayResult]] = field(default_factory=dict)
    tool_test: ToolResultTest | None = None

    @property
    def rates(self) -> tuple[PrefixRate, ...]:
        """The rate of success of every prefix that was tried."""
        return prefix_rates(self.found, self.order, self.scores)

    @property
    def scores(self) -> dict[int, float]:
        """The mean score of each prefix, where the check is graded."""
        means = {prefix: self._mean_score(prefix) for prefix in self.results}
        return {prefix: mean for prefix, mean in means.items() if mean is not None}

    @property
    def _own_score(self) -> float:
        """The mean score of the full record."""
        return self._mean_score(len(self.order)) or 0.0

    def _mean_score(self, prefix: int) -> float | None:
        made = self.results.get(prefix, ())
        scores = [r.score for r in made if r.score is not None and not r.problems]
        return sum(scores) / len(scores) if scores else None

    def outcome(self, prefix: int, result: ReplayResult) -> bool | None:
        """Whether a replay counts as a success; None where it cannot be used.

        A score counts as a success with a probability: 0 at the score of the run itself, 1 at full
        marks. Drawn once for each replay, from the id of its trace, this leaves the mean and the
        exact test what they are.
        """
        succeeded = outcome(result)
        if succeeded is None or result.score is None or prefix == len(self.order):
            return succeeded
        floor = self._own_score
        share = (result.score - floor) / (1 - floor)
        return random.Random(result.trace).random() < share  # noqa: S311 - no secrets

    @property
    def credits(self) -> tuple[Credit, ...]:
        """The change of the chance of success over each measured stretch."""
        return step_credits(self.trace, self.rates, self.order)

    @property
    def posterior(self) -> dict[int | str, float]:
        """Probability of each answer: a step by its index in the trace, or the other two ends."""
        return {
            self.order[answer] if isinstance(answer, int) else answer: probability
            for answer, probability in self.found.posterior.items()
        }

    @property
    def complete(self) -> bool:
        """Whether the search ended by itself, so that there is nothing to resume."""
        return not self.found.out_of_budget

    def verdict(self) -> Verdict:
        """State what the counts show."""
        results = [result for made in self.results.values() for result in made]
        return verdict_of_curve(
            self.trace,
            self.found,
            self.order,
            rates=self.rates,
            credits=self.credits,
            traces=[result.trace for result in results if result.trace],
            problems=[problem for result in results for problem in result.problems],
            notes=self._notes(),
            tool_test=self.tool_test,
        )

    def _alike(self) -> int:
        """Count the replays that repeat another of their prefix; 0 where any of them differs."""
        repeated = [
            [result.signature for result in made if result.signature]
            for prefix, made in self.results.items()
            if prefix < len(self.order) and len(made) > 1
        ]
        count = sum(map(len, repeated))
        same = all(len(set(signatures)) == 1 for signatures in repeated)
        return count if same and count >= _ALIKE else 0

    def _other_starts(self) -> int:
        """Count the fresh runs whose first model call reads something else than the record's."""
        recorded = request_of_start(self.trace)
        agent = recorded.rpartition(" ")[0]
        starts = [result.start for result in self.results.get(0, ())]
        return sum(s != recorded and s.rpartition(" ")[0] == agent for s in starts if recorded)

    def _notes(self) -> list[str]:
        notes = sampling_notes(self.trace, self.sampling)
        if alike := self._alike():
            notes.append(
                f"the system repeats itself: {alike} live replays were the same, step by step, as "
                "others of their prefix, so more replays tell no more"
            )
        if differing := self._other_starts():
            fresh = len(self.results[0])
            notes.append(
                f"{differing} of {fresh} fresh runs begin otherwise than the recorded run: their "
                "first model call reads something else. Something is left over from earlier runs, "
                "or the prompt holds a time or an id. Remedy: System(reset=...)"
            )
        if self.scores:
            floor = self._own_score
            notes.append(
                "the check gives scores: V is a mean score, and a replay counts as a success with "
                f"the probability (score - {floor:.2g}) / (1 - {floor:.2g}), where {floor:.2g} is "
                "the score of the run itself"
            )
        unusable = {rate.prefix: rate.unusable for rate in self.rates if rate.unusable}
        if unusable:
            listed = ", ".join(f"{n} with {prefix} kept" for prefix, n in unusable.items())
            notes.append(f"replays that could not be used: {listed}")
        return notes


def find_by_success_curve(
    trace: Trace,
    *,
    weights: Mapping[int, float],
    settings: SearchSettings,
    repeats: int | None = None,
    sampling: SamplingParameters = OWN_SAMPLING,
) -> SearchProgram:
    """Search for the decisive step with replays of prefixes; a program of the engine.

    Args:
        trace: the failed run.
        weights: how likely each step is, by its index; steps that are not named share the rest.
        settings: how.
        repeats: replay every prefix so many times instead of choosing.
        sampling: parameters of the live model calls.

    Returns:
        A `CurveSearch`.
    """
    order = answer_order(trace)
    if not order:
        raise ValueError(
            f"trace {trace.id} has no model call and no tool run: there is nothing to keep"
        )
    plan = (
        search(len(order), prior=_prior(order, weights), settings=settings)
        if repeats is None
        else exhaustive(len(order), repeats, settings=settings)
    )
    state = CurveSearch(trace, order, PrefixSearch(len(order), settings.level), sampling)
    try:
        batch = next(plan)
        while True:
            try:
                outcomes = yield from _replayed(state, batch)
            except BudgetSpent as error:
                batch = plan.throw(error)
            else:
                batch = plan.send(outcomes)
    except StopIteration as stop:
        state.found = stop.value
    try:
        yield from _test_tools(state, settings)
    except BudgetSpent as error:
        state.found.ended, state.found.out_of_budget = str(error), True
    return state


def _replayed(state: CurveSearch, batch: PrefixBatch) -> SearchProgram:
    requests = tuple(
        ReplayRequest((), "prefix", record_prefix(state.trace, prefix)) for prefix in batch.prefixes
    )
    results: Sequence[ReplayResult] = yield requests
    for prefix, result in zip(batch.prefixes, results, strict=False):
        state.results.setdefault(prefix, []).append(result)
    return [
        state.outcome(prefix, result)
        for prefix, result in zip(batch.prefixes, results, strict=False)
    ]


def outcome(result: ReplayResult) -> bool | None:
    """Whether a replay succeeded; None where it cannot be used."""
    return None if result.problems or result.success is None else bool(result.success)


def _test_tools(state: CurveSearch, settings: SearchSettings) -> SearchProgram:
    """Where the decisive step asked for tools, replay it with its tools run again."""
    found, top = state.found, state.found.top
    if found.record_succeeds or not isinstance(top, int):
        return
    if found.posterior[top] < settings.level:
        return
    step = state.trace.steps[state.order[top]]
    kept = record_prefix(state.trace, top + 1)
    tools = [call.name for call in step.tool_calls if call.ended_at and kept.keeps(call)]
    inner = any(other.parent == step.index for other in state.trace.steps)
    if step.kind != "llm" or not tools or inner:
        return
    request = ReplayRequest((), "prefix", record_prefix(state.trace, top + 1, tool_results=False))
    results: list[ReplayResult] = []
    for made in range(0, _TOOL_REPLAYS, settings.workers):  # no more at once than the user allows
        results += yield (request,) * min(settings.workers, _TOOL_REPLAYS - made)
    usable = [
        success for result in results if (success := state.outcome(top + 1, result)) is not None
    ]
    state.tool_test = ToolResultTest(tools, sum(usable), len(usable))


def _prior(order: Sequence[int], weights: Mapping[int, float]) -> list[float] | None:
    """The weights along the order; what they leave is shared by the steps that they do not name."""
    if not weights:
        return None
    rest = [step for step in order if step not in weights]
    left = max(0.0, 1.0 - sum(weights.get(step, 0.0) for step in order))
    share = left / len(rest) if rest else 0.0
    return [weights.get(step, share) for step in order]
