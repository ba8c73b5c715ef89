"""Search for the decisive step with replays of prefixes: which to replay, and when to stop.

The search is a generator: it yields the prefixes to replay next and is sent how often each
succeeded, so that the same code serves blocking, threaded and async systems and simulations.

1. The full record is replayed: if that ever succeeds, no curve can be trusted, and the search ends.
2. Prefixes are replayed where a replay tells most per live step, until one answer reaches the
   level, at most three neighbouring steps do and more replays would tell little, or the budget is
   spent.
3. Where one step reached the level, fresh replays just before and just after it are compared by an
   exact test of a size that was fixed beforehand. The replays of phase 2 decided which step to
   test, so they take no part in the test, and its level holds whatever the search did before.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from operator import mul
from typing import Final, Literal, TypeAlias

from agentracer.errors import BudgetSpent
from agentracer.replay.success_curve.planning import answer_set, neighbouring, next_prefixes
from agentracer.replay.success_curve.posterior import (
    NEVER,
    Answer,
    CurveSample,
    doubted_prior,
    sample_curves,
)
from agentracer.statistics import boschloo_p_value, boschloo_power

__all__ = [
    "Confirmation",
    "Outcomes",
    "PrefixBatch",
    "PrefixSearch",
    "SearchSettings",
    "exhaustive",
    "search",
]

Purpose = Literal["record", "search", "confirm"]
_NEVER_REPLAYS: Final = 14
_SEARCH_CURVES: Final = 300  # to choose the next replay by
_CHECK_CURVES: Final = 1_000  # to decide by whether to stop
_FINAL_CURVES: Final = 2_000
_LITTLE: Final = 0.005  # bits per replay
_NEIGHBOURS: Final = 3
_TEST_LEVEL: Final = 0.75  # posterior probability at which a step is tested
_FIRST_TEST: Final = 0.7  # of the level of the exact test; the second test has the rest
_LATE_LOOKS: Final = 2  # replays of each late place
_SURE: Final = 0.95
_MARGIN: Final = 0.3  # of what a level leaves to certainty
_LOOKS: Final = 4  # replays of each place that is looked at before a step is taken
_UNUSABLE: Final = 2  # replays of one prefix that could not be used before it is given up
_LITTLE_AMONG_NEIGHBOURS: Final = 0.03
_POWER: Final = 0.95  # chance that the exact test passes at the rates that were estimated


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a search goes about it.

    Attributes:
        level: posterior probability at which an answer is taken.
        record_replays: replays of the full record at the beginning.
        workers: how many replays run at once.
        confirm: most replays of each side of the exact test.
        alpha: level of the exact test.
    """

    level: float = 0.9
    record_replays: int = 3
    workers: int = 1
    confirm: int = 16
    alpha: float = 0.05


@dataclass(frozen=True, slots=True)
class PrefixBatch:
    """Prefixes to replay at once; a prefix may be listed several times."""

    prefixes: tuple[int, ...]
    purpose: Purpose


Outcomes: TypeAlias = Sequence[bool | None]
"""Whether each replay of a batch succeeded, in the order of its prefixes; None where it cannot be
used, since it did not follow the record or was not checked. Fewer than were asked for where the
budget ended between them."""


@dataclass(slots=True)
class Confirmation:
    """The exact test of one step.

    Attributes:
        step: which step, in the order of the curve.
        size: replays of each side, fixed before the first.
        alpha: level of this test.
        without: successes and replays with the steps before it kept.
        with_step: successes and replays with the step kept too.
        p_value: of the exact test, one-sided; 1.0 while it is open.
        finished: whether enough replays were made to decide it.
    """

    step: int
    size: int
    alpha: float
    without: tuple[int, int] = (0, 0)
    with_step: tuple[int, int] = (0, 0)
    p_value: float = 1.0
    passed: bool = False
    finished: bool = False

    def add(self, prefix: int, success: bool) -> None:
        """Count one replay that keeps the step, or only the steps before it."""
        successes, replays = self.without if prefix == self.step else self.with_step
        counted = (successes + success, replays + 1)
        if prefix == self.step:
            self.without = counted
        else:
            self.with_step = counted


@dataclass(slots=True)
class PrefixSearch:
    """What a search found.

    Attributes:
        steps: T, the length of the record.
        counts: successes and replays by prefix, those of the test included.
        unusable: replays by prefix that did not follow the record or were not checked.
        posterior: probability of each answer, most probable first.
        sample: curves drawn from the posterior.
        answers: the most probable answers that hold the right one with at least the probability
            `level`; together they reach a little more, see `_stop_level`.
        confirmation: the exact test, where one was made.
        ended: why it stopped.
        out_of_budget: whether that was the budget, so that it can go on.
        record_succeeds: whether a replay of the full record succeeded, so that nothing follows.
    """

    steps: int
    level: float
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    unusable: dict[int, int] = field(default_factory=dict)
    posterior: dict[Answer, float] = field(default_factory=dict)
    sample: CurveSample | None = None
    answers: tuple[Answer, ...] = ()
    confirmation: Confirmation | None = None
    ended: str = ""
    out_of_budget: bool = False
    record_succeeds: bool = False

    @property
    def top(self) -> Answer | None:
        """The most probable answer."""
        return next(iter(self.posterior), None)

    @property
    def never_succeeds(self) -> bool:
        """Whether no replay succeeded, and enough were made at the start, the middle and late."""
        return self.top == NEVER and not self.successes and not untried_places(self)

    @property
    def barred(self) -> set[int]:
        """Prefixes that are not tried again: too many of their replays could not be used."""
        return {k for k, n in self.unusable.items() if n >= _UNUSABLE}

    @property
    def successes(self) -> int:
        """Successful replays of any prefix."""
        return sum(successes for successes, _ in self.counts.values())

    @property
    def replays(self) -> int:
        """Replays of any prefix."""
        return sum(replays for _, replays in self.counts.values())

    def add(self, prefixes: Sequence[int], outcomes: Outcomes) -> None:
        """Count the outcomes of some replays."""
        for prefix, success in zip(prefixes, outcomes, strict=False):
            if success is None:
                self.unusable[prefix] = self.unusable.get(prefix, 0) + 1
                continue
            successes, replays = self.counts.get(prefix, (0, 0))
            self.counts[prefix] = (successes + success, replays + 1)


def search(
    steps: int,
    *,
    prior: Sequence[float] | None = None,
    settings: SearchSettings = SearchSettings(),
    cost: Callable[[int], float] | None = None,
    seed: int = 0,
) -> Generator[PrefixBatch, Outcomes, PrefixSearch]:
    """Search for the decisive step of a run of `steps` steps.

    Args:
        steps: T, at least 1.
        prior: see `sample_curves`.
        settings: how.
        cost: expected live steps of a replay that keeps so many steps; `steps` less these if None.
        seed: of the random numbers.

    Yields:
        The prefixes to replay next; the outcomes are to be sent back in the same order. If
        `BudgetSpent` is thrown in instead, the search ends with what is known by then.

    Returns:
        What was found.
    """
    result = PrefixSearch(steps, settings.level)
    live = cost or (lambda prefix: float(steps - prefix))
    try:
        yield from _replay_record(result, settings)
        if not result.ended:
            yield from _find_and_test(result, prior, settings, live, seed)
    except BudgetSpent as error:
        result.ended, result.out_of_budget = str(error), True
    if not result.record_succeeds and result.replays:
        _draw(result, doubted_prior(steps, prior), _FINAL_CURVES, settings, seed)
    return result


def exhaustive(
    steps: int, repeats: int, *, settings: SearchSettings = SearchSettings(), seed: int = 0
) -> Generator[PrefixBatch, Outcomes, PrefixSearch]:
    """Replay every prefix the same number of times: the reference for `search`.

    The arguments, what is yielded and the result are those of `search`; no exact test is made.

    Args:
        steps: T, at least 1.
        repeats: replays of each prefix, the full record included.
        settings: `level` and `workers` of them.
        seed: of the random numbers.
    """
    result = PrefixSearch(steps, settings.level)
    prefixes = [k for _ in range(repeats) for k in range(steps, -1, -1)]
    try:
        for first in range(0, len(prefixes), settings.workers):
            batch = PrefixBatch(tuple(prefixes[first : first + settings.workers]), "search")
            result.add(batch.prefixes, (yield batch))
        result.ended = f"every prefix was replayed {repeats} times"
    except BudgetSpent as error:
        result.ended, result.out_of_budget = str(error), True
    result.record_succeeds = result.counts.get(steps, (0, 0))[0] > 0
    if not result.record_succeeds and result.replays:
        _draw(result, None, _FINAL_CURVES, settings, seed)
    return result


def _replay_record(
    found: PrefixSearch, settings: SearchSettings
) -> Generator[PrefixBatch, Outcomes, None]:
    """Replay the full record, which failed: a success means that the check cannot be trusted."""
    left = settings.record_replays
    while left and not found.record_succeeds:
        batch = PrefixBatch((found.steps,) * min(left, settings.workers), "record")
        found.add(batch.prefixes, (yield batch))
        left -= len(batch.prefixes)
        _note_success_of_record(found)
    if found.steps not in found.counts:
        found.ended = "the full record could not be replayed"


def _note_success_of_record(found: PrefixSearch) -> None:
    """End the search if a replay of the full record succeeded: no curve follows from that."""
    found.record_succeeds = found.counts.get(found.steps, (0, 0))[0] > 0
    if found.record_succeeds:
        found.posterior, found.answers = {}, ()
        found.ended = "a replay of the full record, which failed, succeeded"


def _find_and_test(
    found: PrefixSearch,
    prior: Sequence[float] | None,
    settings: SearchSettings,
    live: Callable[[int], float],
    seed: int,
) -> Generator[PrefixBatch, Outcomes, None]:
    """Find the most probable step, and test it.

    A step is tested early, as the replays of the test tell most about it; if it was the wrong one,
    the search goes on and a second test is made. The two share the level.
    """
    stages = ((_TEST_LEVEL, _FIRST_TEST), (_stop_level(settings.level), 1 - _FIRST_TEST))
    for level, share in stages:
        yield from _narrow(found, prior, settings, live, seed, level)
        prior = doubted_prior(found.steps, prior)
        top, test = found.top, found.confirmation
        passed = test is not None and test.passed and test.step == top
        if isinstance(top, int) and not passed and found.posterior[top] >= _TEST_LEVEL:
            yield from _confirm(found, top, settings, share * settings.alpha)
            if found.record_succeeds:
                return


def _narrow(
    found: PrefixSearch,
    prior: Sequence[float] | None,
    settings: SearchSettings,
    live: Callable[[int], float],
    seed: int,
    level: float,
) -> Generator[PrefixBatch, Outcomes, None]:
    """Replay where it tells most, until a step reaches a level, or the search is at its end."""
    sample, fresh = _draw(found, prior, _SEARCH_CURVES, settings, seed), False
    while True:
        chosen = next_prefixes(sample, live, size=settings.workers, barred=found.barred)
        reason = _reached(found, settings, chosen[0][1] if chosen else 0.0, level)
        if reason is not None:
            needed = _unchecked_places(found, early=level != _TEST_LEVEL)
            if not needed and fresh:
                found.ended = reason
                return
            if not needed:
                # Whether to stop is decided by more curves, drawn from all counts, under a prior
                # that is doubted more: a wrong one costs replays, and not the answer.
                prior = doubted_prior(found.steps, prior)
                sample, fresh = _draw(found, prior, _CHECK_CURVES, settings, seed), True
                continue
            chosen = [(prefix, 0.0) for prefix in needed[: settings.workers]]
        batch = PrefixBatch(tuple(prefix for prefix, _ in chosen), "search")
        outcomes = yield batch
        found.add(batch.prefixes, outcomes)
        pairs = zip(batch.prefixes, outcomes, strict=False)
        sample = sample.reweighted((k, success) for k, success in pairs if success is not None)
        fresh = False
        if sample.effective_size < sample.size / 2:
            sample = _draw(found, prior, _SEARCH_CURVES, settings, seed)
        _note_sample(found, sample, settings)


def _stop_level(level: float) -> float:
    """Where the search stops, and what the stated answers reach together: above the level.

    The margin pays for systems that behave otherwise than the model of the posterior expects, and
    for stopping when the posterior happens to be high.
    """
    return 1 - _MARGIN * (1 - level)


def _reached(
    found: PrefixSearch, settings: SearchSettings, bits: float, level: float
) -> str | None:
    """Say why the search is at its end, if it is, or why a step can be tested."""
    top = found.top
    if top is None:
        return None
    if top == NEVER and found.posterior[top] >= settings.level:
        return "no replay of any prefix succeeded"
    needed = level if isinstance(top, int) else _stop_level(settings.level)
    if found.posterior[top] >= needed:
        return f"one answer reached a posterior probability of {settings.level:g}"
    answers = answer_set(found.posterior, settings.level)
    if neighbouring(answers, _NEIGHBOURS) and bits < _LITTLE_AMONG_NEIGHBOURS:
        return f"{len(answers)} neighbouring steps reached {settings.level:g} together"
    if bits < _LITTLE:
        return "no further replay would tell much"
    return None


def _unchecked_places(found: PrefixSearch, *, early: bool) -> list[int]:
    """List prefixes that have to be replayed before the most probable answer may be taken.

    Args:
        found: what is known.
        early: also those before a step; not needed before its test, which tells more of its loss.

    Expectations of the model alone shall exclude nothing. After a step, a later one may have
    repaired what it lost. Before it, an earlier and larger loss may lie, unless the step lost so
    much that none can be larger.
    """
    top = found.top
    if top == NEVER:
        return untried_places(found)
    first = top + 1 if isinstance(top, int) else 0
    looks = dict.fromkeys(_late_places(first, found.steps), _LATE_LOOKS)
    if not isinstance(top, int) or (early and _loss_above_half(found, top) < _SURE):
        last = top if isinstance(top, int) else found.steps - 1
        looks |= {0: _LOOKS, last // 2: _LOOKS}
    return [
        place
        for place, least in looks.items()
        if found.counts.get(place, (0, 0))[1] < least and place not in found.barred
    ]


def _late_places(first: int, steps: int) -> list[int]:
    """Prefixes after a step, at the thirds of what follows it, where a repair would show."""
    left = steps - first
    return sorted(
        {first + left * part // 3 for part in (1, 2, 3)} - {first, steps}
        | ({steps - 1} if left > 1 else set())
    )


def _loss_above_half(found: PrefixSearch, step: int) -> float:
    """The probability that V falls by more than 0.5 at a step: no other loss can be as large."""
    sample = found.sample
    if sample is None:
        return 0.0
    pairs = zip(sample.row(step), sample.row(step + 1), sample.weights, strict=True)
    return sum(w for before, after, w in pairs if before - after > 0.5) / sum(sample.weights)


def untried_places(found: PrefixSearch) -> list[int]:
    """List prefixes still to be replayed before "never succeeds" may be said.

    At least 14 replays are needed, at the start, in the middle and late: an early success may have
    been luck, and a later step may have opened a chance that the start had not.
    """
    prefixes = sorted({0, found.steps // 2, max(0, found.steps - 1)} - found.barred)
    if not prefixes:
        return []
    least = -(-_NEVER_REPLAYS // (len(prefixes) + 1))
    untried = [k for k in prefixes if found.counts.get(k, (0, 0))[1] < least]
    searched = sum(n for k, (_, n) in found.counts.items() if k < found.steps)
    if not untried and searched < _NEVER_REPLAYS:
        untried = [min(prefixes, key=lambda k: found.counts.get(k, (0, 0))[1])]
    return untried


def _draw(
    found: PrefixSearch,
    prior: Sequence[float] | None,
    size: int,
    settings: SearchSettings,
    seed: int,
) -> CurveSample:
    """Draw curves from the posterior of all counts, and note what they say."""
    sample = sample_curves(
        found.steps, found.counts, prior=prior, size=size, seed=seed + found.replays
    )
    _note_sample(found, sample, settings)
    return sample


def _note_sample(found: PrefixSearch, sample: CurveSample, settings: SearchSettings) -> None:
    found.sample, found.posterior = sample, sample.posterior()
    found.answers = answer_set(found.posterior, _stop_level(settings.level))


# -- the exact test


def _confirm(
    found: PrefixSearch,
    step: int,
    settings: SearchSettings,
    alpha: float,
) -> Generator[PrefixBatch, Outcomes, None]:
    """Compare fresh replays with the steps before `step` kept to such that keep it too."""
    size = _test_size(*_rates_at(found, step), settings.confirm, alpha)
    test = found.confirmation = Confirmation(step, size, alpha)
    while (batch := _next_of_test(test, settings.workers)) is not None:
        outcomes = yield batch
        found.add(batch.prefixes, outcomes)
        _note_success_of_record(found)
        if found.record_succeeds or {step, step + 1} & found.barred:
            return
        for prefix, success in zip(batch.prefixes, outcomes, strict=False):
            if success is not None:
                test.add(prefix, success)
    test.p_value, test.finished = _worst_p(test), True
    test.passed = test.p_value < alpha


def _rates_at(found: PrefixSearch, step: int) -> tuple[float, float]:
    """Estimate V without a step and with it, where it is decisive; a little away from 0 and 1."""
    sample = found.sample
    if sample is None:
        return 0.5, 0.5
    weights = [w * (a == step) for w, a in zip(sample.weights, sample.answers, strict=True)]
    whole = sum(weights)
    means = (sum(map(mul, weights, sample.row(k))) / whole for k in (step, step + 1))
    without, with_step = (min(0.98, max(0.02, value)) for value in means)
    return without, with_step


def _test_size(without: float, with_step: float, most: int, alpha: float) -> int:
    """The least size of both samples with which the test probably passes, at most `most`."""
    for size in range(3, most):
        if boschloo_power(size, without, with_step, alpha) >= _POWER:
            return size
    return most


def _next_of_test(test: Confirmation, workers: int) -> PrefixBatch | None:
    """The next replays of the test; None once the rest cannot change what it shows."""
    if _worst_p(test) < test.alpha or _best_p(test) >= test.alpha:
        return None
    # In turn, so that either side can end the test early.
    sides = [
        [test.step] * (test.size - test.without[1]),
        [test.step + 1] * (test.size - test.with_step[1]),
    ]
    if test.with_step[1] < test.without[1]:
        sides.reverse()
    turns = [k for pair in zip_longest(*sides) for k in pair if k is not None]
    return PrefixBatch(tuple(turns[:workers]), "confirm") if turns else None


def _worst_p(test: Confirmation) -> float:
    """The p-value if all remaining replays contradict the step."""
    left = test.size - test.with_step[1]
    return boschloo_p_value(test.without[0], test.size, test.with_step[0] + left, test.size)


def _best_p(test: Confirmation) -> float:
    """The p-value if all remaining replays support the step."""
    left = test.size - test.without[1]
    return boschloo_p_value(test.without[0] + left, test.size, test.with_step[0], test.size)
