"""Infer the success curve of a run, and its decisive step, from counts of replays.

The curve V(0)..V(T) is modelled as a hidden Markov chain over a grid of success rates. Between two
prefixes the rate mostly stays as it is; it may fall (where the prior expects it), rise, or, in a
second regime, decline a little with every step. Replays of prefix k are Bernoulli draws with rate
V(k), and the run as recorded failed, so V(T) = 0. Curves are drawn from the exact posterior
(forward filtering, backward sampling) and the definition of the decisive step is applied to each of
them, so that the probability of "step t" is the share of the drawn curves of which step t is
decisive.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from math import exp, log
from operator import mul
from typing import Final, Literal, TypeAlias

from agentracer.replay.success_curve.definition import MIN_LOSS, MIN_SHARE

__all__ = ["NEVER", "NO_SINGLE_STEP", "Answer", "Counts", "CurveSample", "sample_curves"]

NO_SINGLE_STEP: Final = "no single step"
NEVER: Final = "never succeeds"

Answer: TypeAlias = int | Literal["no single step", "never succeeds"]
"""What a search finds: the decisive step, or one of the two other ends."""

Counts: TypeAlias = Mapping[int, tuple[int, int]]
"""Prefix length -> (successes, replays)."""

GRID: Final = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Success rates that a prefix can have."""

_LEAST_RATE = 0.004  # a rate of 0 or 1 on the grid stands for rates this close to it
_RATES = tuple(min(1 - _LEAST_RATE, max(_LEAST_RATE, rate)) for rate in GRID)
_SIZE = len(GRID)
_STATES = range(_SIZE)
_TABLE = 499  # curves that differ in the rates that a state stands for

# Expectations before any replay, fixed on simulated systems (`benchmarks/proof.py`).
_HOPELESS = 0.3  # share of runs whose start never succeeds
_FALLS = 1.3  # falls along a run
_RISES = 0.4  # rises along a run
_FALL_TO_ZERO = 0.5  # share of falls after which the run never succeeds
_DECLINES = 0.12  # share of runs that decline slowly
_DECLINE_STEPS = 0.5  # share of the steps of such a run that lower the rate
UNIFORM_SHARE: Final = 0.25
"""The least part of the prior over steps that is uniform, whatever a tracer says."""
DOUBTED_SHARE: Final = 0.5
"""The same where an answer is taken: the prior decides where to look more than what is found."""


Moves: TypeAlias = tuple[tuple[tuple[int, float], ...], ...]
"""Where the drawn curves change: `moves[k]` holds each curve i of which V(k) is not V(k + 1), with
its V(k). Curves are flat in most places, so this is far less than all their values."""


@dataclass(frozen=True, slots=True)
class CurveSample:
    """Curves drawn from the posterior.

    Attributes:
        moves: the curves, k = 0..T-1, with V(T) = 0.
        answers: of each curve, what the definition says.
        evidence: natural logarithm of the probability of all counts under the model.
        weights: of the curves. They are 1 where the curves were drawn from all counts; see
            `reweighted`.
    """

    moves: Moves
    answers: tuple[Answer, ...]
    evidence: float
    weights: tuple[float, ...]

    @property
    def size(self) -> int:
        """How many curves were drawn."""
        return len(self.answers)

    @property
    def effective_size(self) -> float:
        """How many curves of equal weight tell as much (Kish)."""
        return sum(self.weights) ** 2 / sum(weight * weight for weight in self.weights)

    @property
    def rates(self) -> tuple[tuple[float, ...], ...]:
        """The curves point by point: `rates[k][i]` is V(k) in the i-th curve, k = 0..T."""
        return tuple(self.row(k) for k in range(len(self.moves) + 1))

    def row(self, prefix: int) -> tuple[float, ...]:
        """Return V(prefix) of each curve."""
        row = [0.0] * self.size
        for k in range(len(self.moves) - 1, prefix - 1, -1):
            for curve, rate in self.moves[k]:
                row[curve] = rate
        return tuple(row)

    def posterior(self) -> dict[Answer, float]:
        """Compute the probability of each answer, most probable first; those at 0 are left out."""
        sums: dict[Answer, float] = defaultdict(float)
        for answer, weight in zip(self.answers, self.weights, strict=True):
            sums[answer] += weight
        total = sum(self.weights)
        ordered = sorted(sums.items(), key=lambda item: -item[1])
        return {answer: weight / total for answer, weight in ordered if weight > 0.0}

    def reweighted(self, outcomes: Iterable[tuple[int, bool]]) -> CurveSample:
        """Take further replays into account without drawing new curves.

        Args:
            outcomes: of each replay, the prefix and whether it succeeded.

        Returns:
            The same curves with other weights; the fewer of them are left with some weight
            (`effective_size`), the less such a sample is worth.
        """
        weights = self.weights
        for prefix, success in outcomes:
            rates = [min(1 - _LEAST_RATE, max(_LEAST_RATE, rate)) for rate in self.row(prefix)]
            chances = rates if success else [1 - rate for rate in rates]
            weights = tuple(map(mul, weights, chances))
        scale = len(weights) / sum(weights)
        return replace(self, weights=tuple(weight * scale for weight in weights))


def sample_curves(
    steps: int,
    counts: Counts,
    *,
    prior: Sequence[float] | None = None,
    size: int = 400,
    seed: int = 0,
) -> CurveSample:
    """Draw success curves from the posterior.

    Args:
        steps: T, at least 1.
        counts: successes and replays of each prefix that was tried, of 0..T.
        prior: how likely each step is to be the decisive one, before any replay; it is scaled to
            sum to 1, and at least `UNIFORM_SHARE` of it are uniform. None: uniform.
        size: how many curves.
        seed: of the random numbers; the same arguments give the same curves.

    Raises:
        ValueError: `steps` is below 1, or `prior` has another length.
    """
    if steps < 1:
        raise ValueError(f"a success curve needs at least one step, not {steps}")
    falls = [_FALLS * share for share in mixed_prior(steps, prior)]
    likelihoods = [_likelihood(*counts.get(k, (0, 0))) for k in range(steps + 1)]
    jumps = [_jump_columns(round(min(0.9, fall), 3), round(_RISES / steps, 4)) for fall in falls]
    declines = [_decline_columns()] * steps
    regimes = [(1 - _DECLINES, jumps), (_DECLINES, declines)]
    filtered = [_forward(likelihoods, columns) for _, columns in regimes]
    logs = [log(share) + f.evidence for (share, _), f in zip(regimes, filtered, strict=True)]
    best = max(logs)
    weights = [exp(value - best) for value in logs]
    evidence = best + log(sum(weights))
    rng = random.Random(seed)  # noqa: S311 - no secrets
    first = sum(rng.choices((1, 0), weights, k=size)) if size else 0
    moves: list[list[tuple[int, float]]] = [[] for _ in range(steps)]
    start = 0
    for f, (_, columns), n in zip(filtered, regimes, (first, size - first), strict=True):
        if n:
            _backward(f.messages, columns, range(start, start + n), moves, rng)
        start += n
    frozen = tuple(map(tuple, moves))
    return CurveSample(frozen, tuple(_answers(frozen, size)), evidence, (1.0,) * size)


def mixed_prior(
    steps: int, prior: Sequence[float] | None, share: float = UNIFORM_SHARE
) -> list[float]:
    """Scale a prior over steps to sum to 1, at least so large a share of it uniform.

    What every step has in common is uniform already; only what is missing of it is mixed in.

    Raises:
        ValueError: its length is not `steps`, or a share is negative.
    """
    if prior is None:
        return [1 / steps] * steps
    if len(prior) != steps or any(value < 0 for value in prior):
        raise ValueError(f"the prior needs {steps} shares of at least 0, not {list(prior)!r}")
    total = sum(prior)
    if total <= 0:
        return [1 / steps] * steps
    uniform = steps * min(prior) / total
    mixed = max(0.0, (share - uniform) / (1 - uniform)) if uniform < 1 else 0.0
    return [mixed / steps + (1 - mixed) * value / total for value in prior]


def doubted_prior(steps: int, prior: Sequence[float] | None) -> list[float] | None:
    """Return the prior by which answers are taken: half of it, at least, is uniform."""
    return None if prior is None else mixed_prior(steps, prior, DOUBTED_SHARE)


# -- the chain


Column: TypeAlias = tuple[float, ...]
"""Probability of coming to one state from each state: `columns[j][i]` is P(i -> j)."""


@cache
def _initial() -> Column:
    rest = (1 - _HOPELESS) / (_SIZE - 1)
    return (_HOPELESS, *([rest] * (_SIZE - 1)))


@cache
def _likelihood(successes: int, replays: int) -> Column | None:
    if not replays:
        return None
    return tuple(r**successes * (1 - r) ** (replays - successes) for r in _RATES)


@cache
def _jump_columns(fall: float, rise: float) -> tuple[Column, ...]:
    """Transitions that mostly stay, fall with one probability and rise with another."""
    rows = []
    for i in range(_SIZE):
        row = [0.0] * _SIZE
        down = fall if i else 0.0
        up = rise if i < _SIZE - 1 else 0.0
        row[i] = 1 - down - up
        for j in range(i):
            row[j] += down * (1 - _FALL_TO_ZERO) / i
        row[0] += down * _FALL_TO_ZERO
        for j in range(i + 1, _SIZE):
            row[j] += up / (_SIZE - 1 - i)
        rows.append(row)
    return tuple(zip(*rows, strict=True))


@cache
def _decline_columns() -> tuple[Column, ...]:
    """Transitions that lower the rate a little, or leave it."""
    rows = []
    for i in range(_SIZE):
        row = [0.0] * _SIZE
        row[i] = 1.0 if i == 0 else 1 - _DECLINE_STEPS
        for j, share in ((i - 1, 0.6), (i - 2, 0.4)):
            if i:
                row[max(0, j)] += _DECLINE_STEPS * share
        rows.append(row)
    return tuple(zip(*rows, strict=True))


@dataclass(frozen=True, slots=True)
class _Filtered:
    messages: list[Column]
    evidence: float


def _forward(
    likelihoods: Sequence[Column | None], columns: Sequence[tuple[Column, ...]]
) -> _Filtered:
    """Compute P(V(k), counts of 0..k) for each k, scaled; the last has V(T) = 0."""
    evidence = 0.0
    message: Column = _initial()
    messages = []
    for k, likelihood in enumerate(likelihoods):
        if k:
            message = tuple(sum(map(mul, message, column)) for column in columns[k - 1])
        if likelihood is not None:
            message = tuple(map(mul, message, likelihood))
        if k == len(likelihoods) - 1:
            message = (message[0], *([0.0] * (_SIZE - 1)))
        total = sum(message)
        if total <= 0.0:  # the decline regime cannot come down to 0 in so few steps
            return _Filtered([], -1e9)
        evidence += log(total)
        message = tuple(value / total for value in message)
        messages.append(message)
    return _Filtered(messages, evidence)


def _backward(
    messages: Sequence[Column],
    columns: Sequence[tuple[Column, ...]],
    curves: range,
    moves: Sequence[list[tuple[int, float]]],
    rng: random.Random,
) -> None:
    """Draw curves from V(T) = 0 back to V(0), and add to `moves` where they change."""
    groups = {0: list(curves)}
    for k in range(len(messages) - 2, -1, -1):
        moved: list[tuple[int, int]] = []
        for state, members in groups.items():
            if not members:
                continue
            weights = list(map(mul, messages[k], columns[k][state]))
            stay = weights[state] / sum(weights)
            weights[state] = 0.0
            leaving = _take_some(members, 1.0 - stay, rng)
            if leaving:
                targets = rng.choices(_STATES, weights, k=len(leaving))
                moved += zip(leaving, targets, strict=True)
        table = _rates_of_curves()
        for curve, state in moved:
            moves[k].append((curve, table[curve % _TABLE][state]))
            groups.setdefault(state, []).append(curve)


@cache
def _rates_of_curves() -> tuple[Column, ...]:
    """Rates that stand for the states of the grid, other ones in each curve.

    A state stands for all rates that are nearest to it. Were it one rate, losses that are almost
    alike would be exactly alike, and the definition would decide between them with certainty. The
    rate 0 stays 0: there nothing succeeds.
    """
    rng = random.Random(0)  # noqa: S311 - no secrets
    edges = [0.0, *((low + high) / 2 for low, high in pairwise(GRID)), 1.0]
    cells = list(pairwise(edges))[1:]
    return tuple((0.0, *(rng.uniform(low, high) for low, high in cells)) for _ in range(_TABLE))


def _take_some(members: list[int], share: float, rng: random.Random) -> list[int]:
    """Remove each member with probability `share`; returns those removed.

    The gaps between them are geometric, so that the cost is that of the members removed.
    """
    if share >= 1.0:
        taken = members[:]
        members.clear()
        return taken
    if share <= 1e-12 or not members:
        return []
    scale = log(1.0 - share)
    positions = []
    position = int(log(1.0 - rng.random()) / scale)
    while position < len(members):
        positions.append(position)
        position += 1 + int(log(1.0 - rng.random()) / scale)
    taken = [members[position] for position in positions]
    for position in reversed(positions):
        members[position] = members[-1]
        members.pop()
    return taken


def _answers(moves: Moves, size: int) -> list[Answer]:
    """Apply `definition.decisive_step` to all curves at once, from the last step to the first."""
    best = [0.0] * size
    largest = [0.0] * size
    where = [0] * size
    for k in range(len(moves) - 1, -1, -1):
        for i, rate in moves[k]:
            if rate > best[i]:
                loss = rate - best[i]
                best[i] = rate
                if loss >= largest[i] - 1e-9:
                    largest[i], where[i] = loss, k
    return [
        NEVER
        if total == 0.0
        else step
        if loss >= max(MIN_LOSS, MIN_SHARE * total) - 1e-9
        else NO_SINGLE_STEP
        for total, loss, step in zip(best, largest, where, strict=True)
    ]
