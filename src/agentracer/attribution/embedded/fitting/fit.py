"""Fit the ranker: labelled runs in, a `Model` out. Needs numpy and scipy; ranking does not.

The loss is that of a conditional logit over the steps of each run, and half as much that of the
summed probability of the labelled agent's steps: agents are labelled more reliably than steps. A
penalty draws the weights to their start (the priors of the catalogue, or those of a model to be
adapted); signs are kept. How strong the penalty is, is chosen by an inner cross-validation, and the
model is calibrated on its held-out predictions.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from agentracer.attribution.embedded.fitting.calibration import (
    HeldOut,
    fit_calibration,
    fit_distribution,
)
from agentracer.attribution.embedded.model.calibration import Shrinkage
from agentracer.attribution.embedded.model.catalogue import (
    CATALOGUE,
    CONTENT_PENALTY_SCALE,
    bounds,
    feature_of,
    penalty_scale,
    prior,
)
from agentracer.attribution.embedded.model.features import MANAGED, Features, Row
from agentracer.attribution.embedded.model.model_file import Model
from agentracer.attribution.embedded.model.ranker import score, system_row
from agentracer.attribution.embedded.text.system_conventions import without_thought_mark
from agentracer.errors import MissingExtra
from agentracer.trace import Trace

__all__ = ["Example", "Fitted", "example_of", "fit_model", "folds_of", "scores_of"]

PENALTIES = (10.0,)
"""Tried for a model that starts from the catalogue: one, as 4 was no better on systems left out."""

ADAPTING_PENALTIES = (0.5, 2.0, 8.0, 32.0)
"""Tried for a model that starts from another; the strongest nearly keeps the weights."""

_AGENT_LOSS = 0.5
_LEAST_VARIANCE = 0.01  # rarer features are held as if they had this
_USUAL_VARIANCE = 0.1  # of a feature that every third step has
_MANAGED_KIND, _PEERS_KIND = "managed", "peers"
_INNER_FOLDS = 4
_ITERATIONS = 300


@dataclass(frozen=True)
class Example:
    """A labelled run, as a fit needs it.

    Attributes:
        id: of the trace.
        rows: the features of its steps, copies for managed runs included.
        speakers: agent of each step.
        step: that is labelled.
        agent: that is labelled.
        group: runs of one group (of one question) are never split between fit and test.
        kind: runs of one kind (managed or not) are balanced against those of the other.
        shape: see `Features.shape`.
        weight: how much it counts in a fit.
    """

    id: str
    rows: list[Row]
    speakers: list[str]
    step: int
    agent: str
    group: str
    kind: str
    shape: dict[str, float]
    weight: float = 1.0


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes:
        model: the model.
        penalty: that was chosen for it.
        held_out: the scores that models which had not seen them gave to the examples.
    """

    model: Model
    penalty: float
    held_out: list[HeldOut]


def example_of(trace: Trace, *, by_name: bool = False) -> Example | None:
    """Turn a trace into an example; None if it has no label, or not the labelled step.

    Args:
        trace: with a label.
        by_name: let the model know the agents by their names; for adapting to one system.
    """
    if not trace.labels or trace.labels[0].step >= len(trace.steps):
        return None
    features = Features(trace.observed)
    rows = [features.full_row(index) for index in range(len(features))]
    if by_name:
        rows = [row | system_row(features, index) for index, row in enumerate(rows)]
    label = trace.labels[0]
    return Example(
        id=trace.id,
        rows=rows,
        speakers=[step.agent for step in trace.steps],
        step=label.step,
        agent=without_thought_mark(label.agent),
        group=" ".join(trace.task.split()),
        kind=_MANAGED_KIND if features.context.managed else _PEERS_KIND,
        shape=features.shape(),
    )


def fit_model(
    examples: Sequence[Example],
    *,
    name: str,
    seed: int = 0,
    start: Model | None = None,
    shrinkage: Shrinkage | None = None,
    folds: Sequence[int] | None = None,
    penalties: Sequence[float] | None = None,
    content_scale: float = CONTENT_PENALTY_SCALE,
) -> Fitted:
    """Choose a penalty, calibrate on the held-out scores of that choice, and fit on everything.

    Args:
        examples: labelled runs.
        name: of the model.
        seed: of the inner folds.
        start: the model to adapt; without it, a new one is made.
        shrinkage: see `Calibration`.
        folds: the inner fold of each example, to leave whole systems out; by default folds of
            groups. Runs of one group are never on both sides, whatever the folds.
        penalties: strengths to choose from.
        content_scale: the part of the penalty that holds checked content where a model is adapted.

    Raises:
        MissingExtra: numpy or scipy is not installed.
        ValueError: fewer than two groups of examples, or a feature that is not in the catalogue.
    """
    folds = folds_of(examples, seed, _INNER_FOLDS) if folds is None else folds
    penalties = penalties or (ADAPTING_PENALTIES if start else PENALTIES)
    trials: dict[float, list[HeldOut | None]] = {p: [None] * len(examples) for p in penalties}
    for fold in sorted(set(folds)):
        left_out = {i: e for i, (e, f) in enumerate(zip(examples, folds, strict=True)) if f == fold}
        groups = {example.group for example in left_out.values()}
        seen = [
            e for e, f in zip(examples, folds, strict=True) if f != fold and e.group not in groups
        ]
        for penalty, weights in fit_path(seen, penalties, start, content_scale).items():
            for position, example in left_out.items():
                scores = scores_of(example, weights)
                trials[penalty][position] = HeldOut(scores, example.step)
    tried = {penalty: [r for r in runs if r is not None] for penalty, runs in trials.items()}
    loss = {penalty: _balanced_loss(examples, runs) for penalty, runs in tried.items()}
    best = min(loss, key=lambda penalty: (loss[penalty], -penalty))
    distribution = fit_distribution([e.shape for e in examples], [e.group for e in examples])
    model = Model(
        name=name,
        weights=fit_path(examples, [best], start, content_scale)[best],
        calibration=fit_calibration(tried[best], distribution=distribution, shrinkage=shrinkage),
    )
    return Fitted(model, best, tried[best])


def folds_of(examples: Sequence[Example], seed: int, count: int) -> list[int]:
    """A fold for each example; examples of one group share theirs.

    Raises:
        ValueError: fewer than two groups.
    """
    groups = sorted({example.group for example in examples})
    if len(groups) < 2:
        raise ValueError("cross-validation needs labelled runs of at least two different tasks")
    random.Random(seed).shuffle(groups)  # noqa: S311 - folds, not secrets
    place = {group: position % min(count, len(groups)) for position, group in enumerate(groups)}
    return [place[example.group] for example in examples]


def scores_of(example: Example, weights: dict[str, float]) -> list[float]:
    """The score of every step of an example."""
    return [score(row, weights) for row in example.rows]


def _balanced_loss(examples: Sequence[Example], held_out: Sequence[HeldOut]) -> float:
    total = 0.0
    for weight, run in zip(_balance(examples), held_out, strict=True):
        top = max(run.scores)
        normalizer = math.fsum(math.exp(value - top) for value in run.scores)
        total += weight * (math.log(normalizer) - (run.scores[run.step] - top))
    return total


def _balance(examples: Sequence[Example]) -> list[float]:
    """Weights of the runs that balance their kinds half-way, by the square root of their counts."""
    counts = Counter(example.kind for example in examples)
    most = max(counts.values())
    return [e.weight * math.sqrt(most / counts[e.kind]) for e in examples]


def fit_path(
    examples: Sequence[Example],
    penalties: Iterable[float],
    start: Model | None = None,
    content_scale: float = CONTENT_PENALTY_SCALE,
) -> dict[float, dict[str, float]]:
    """Fit the weights at several strengths of the penalty, from the strongest on.

    Returns:
        Penalty -> the weights fitted with it.

    Raises:
        MissingExtra: numpy or scipy is not installed.
        ValueError: an example has a feature that is not in the catalogue.
    """
    np, sparse, optimize = _libraries()
    names = _names(examples, start)
    runs = _runs_of(np, sparse, examples, names)
    begin = np.array([start.weights.get(n, 0.0) if start else prior(n) for n in names])
    limits = [_around(bounds(name), value) for name, value in zip(names, begin, strict=True)]
    scale = np.array([penalty_scale(name) for name in names])
    if (
        start
    ):  # its shape weights are of its own kind of system, and free to move to that of another
        scale = np.where(scale > 1, 1.0, content_scale) * _variance(np, runs) ** 0.5
    loss = _loss_of(np, runs, begin, scale)
    fitted, at = {}, begin
    for penalty in sorted(penalties, reverse=True):
        at = optimize.minimize(
            loss,
            at,
            args=(penalty,),
            jac=True,
            method="L-BFGS-B",
            bounds=limits,
            options={"maxiter": _ITERATIONS},
        ).x
        fitted[penalty] = {name: float(weight) for name, weight in zip(names, at, strict=True)}
    return fitted


def _libraries() -> tuple[Any, Any, Any]:
    try:
        return tuple(map(import_module, ("numpy", "scipy.sparse", "scipy.optimize")))  # type: ignore[return-value]
    except ImportError as error:
        raise MissingExtra("adapt", needed_for="fitting the embedded tracer") from error


def _names(examples: Iterable[Example], start: Model | None) -> list[str]:
    """The features to fit, in order.

    Raises:
        ValueError: an example has a feature that is not in the catalogue.
    """
    names = {name for example in examples for row in example.rows for name in row}
    for name in names:
        feature_of(name)
    names |= set(start.weights) if start else set(CATALOGUE) | {MANAGED + n for n in CATALOGUE}
    return sorted(names)


def _around(
    limits: tuple[float | None, float | None], value: float
) -> tuple[float | None, float | None]:
    """Limits that hold the start, so that rounding in a file does not make it infeasible."""
    low, high = limits
    return (
        None if low is None else min(low, float(value)),
        None if high is None else max(high, float(value)),
    )


@dataclass(frozen=True)
class _Runs:
    """The steps of all examples, one below the other, as arrays.

    Attributes:
        matrix: features of every step, sparse; (steps, features).
        first: where each run starts; (runs,).
        run: which run each step is of; (steps,).
        hit: 1 for labelled steps, else 0; (steps,).
        of_agent: whether the step is of the labelled agent; (steps,).
        weight: how much each run counts; (runs,).
    """

    matrix: Any
    first: Any
    run: Any
    hit: Any
    of_agent: Any
    weight: Any


def _runs_of(np: Any, sparse: Any, examples: Sequence[Example], names: Sequence[str]) -> _Runs:
    place = {name: position for position, name in enumerate(names)}
    starts = np.cumsum([0] + [len(example.rows) for example in examples])
    values: list[float] = []
    columns: list[int] = []
    ends = [0]
    hit, of_agent = np.zeros(int(starts[-1])), np.zeros(int(starts[-1]))
    for begin_row, example in zip(starts, examples, strict=False):
        for offset, row in enumerate(example.rows):
            values.extend(row.values())
            columns.extend(place[name] for name in row)
            ends.append(len(values))
            of_agent[begin_row + offset] = example.speakers[offset] == example.agent
        hit[begin_row + example.step] = 1.0
    return _Runs(
        matrix=sparse.csr_matrix((values, columns, ends), shape=(int(starts[-1]), len(names))),
        first=starts[:-1],
        run=np.repeat(np.arange(len(examples)), np.diff(starts)),
        hit=hit,
        of_agent=of_agent,
        weight=np.array(_balance(examples)),
    )


def _variance(np: Any, runs: _Runs) -> Any:
    """How much each feature varies between the steps of a run, in units of `_USUAL_VARIANCE`.

    Scaled by it, the penalty holds a feature of 0 or 1 and one that is a small fraction alike.
    """
    sizes = np.bincount(runs.run)
    of_run = np.repeat(1 / sizes, sizes) / len(sizes)
    squares = runs.matrix.multiply(runs.matrix).T @ of_run
    one_run = type(runs.matrix)((1 / sizes[runs.run], (runs.run, np.arange(len(runs.run)))))
    means = one_run @ runs.matrix
    variance = squares - np.asarray(means.multiply(means).mean(axis=0)).ravel()
    return np.maximum(variance, _LEAST_VARIANCE) / _USUAL_VARIANCE


def _loss_of(
    np: Any, runs: _Runs, begin: Any, scale: Any
) -> Callable[[Any, float], tuple[float, Any]]:
    """The loss and its gradient as a function of the weights and the penalty."""
    transposed = runs.matrix.T.tocsr()
    first, run, weight, own, hit = runs.first, runs.run, runs.weight, runs.of_agent, runs.hit
    agent_weight = weight * _AGENT_LOSS * (np.add.reduceat(own, first) > 0)

    def loss(weights: Any, penalty: float) -> tuple[float, Any]:
        scores = runs.matrix @ weights
        raised = np.exp(scores - np.maximum.reduceat(scores, first)[run])
        share = raised / np.add.reduceat(raised, first)[run]
        of_agent = np.maximum(np.add.reduceat(share * own, first), 1e-12)
        moved = weights - begin
        value = (
            -float((weight[run] * hit * np.log(share + 1e-300)).sum())
            - float((agent_weight * np.log(of_agent)).sum())
            + 0.5 * penalty * float(moved @ (scale * moved))
        )
        slope = weight[run] * (share - hit)
        slope = slope + agent_weight[run] * (share - share * own / of_agent[run])
        return value, transposed @ slope + penalty * scale * moved

    return loss
