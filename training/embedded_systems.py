"""The embedded tracer on whole systems held out from it, and after adapting to them.

A system of TracerTraj is a domain, a topology and a framework. One of these three is held out at a
time: trained on the others, tried on the one left out, with no task on both sides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentracer.attribution.embedded.fitting.cross_validation import (
    HeldOutResult,
    cross_validate,
    judge,
)
from agentracer.attribution.embedded.fitting.fit import Example, example_of, fit_model
from agentracer.attribution.embedded.model.calibration import Shrinkage
from agentracer.attribution.embedded.model.model_file import Model
from agentracer.lab.bench.rules import baselines
from agentracer.trace import Trace

__all__ = [
    "AXES",
    "adapted",
    "by_origin",
    "held_out",
    "measured_shrinkage",
    "system_folds",
    "trained_on_systems",
]

AXES = ("topology", "framework", "domain")
_ADAPTED_TO = 9
_EXCESS = 0.05
_Apart = dict[str, dict[str, tuple[Model, list[HeldOutResult]]]]


def system_folds(examples: Sequence[Example], traces: Mapping[str, Trace]) -> list[int]:
    """A fold for each framework, so that a model is calibrated on systems left out of its fit."""
    frameworks = [str(traces[example.id].metadata.get("framework")) for example in examples]
    order = sorted(set(frameworks))
    return [order.index(name) for name in frameworks]


def trained_on_systems(
    examples: Sequence[Example], traces: Mapping[str, Trace], *, name: str, shrinkage: Shrinkage
) -> Model:
    """A model of these runs, calibrated on frameworks left out."""
    folds = system_folds(examples, traces)
    folds_or_groups = folds if len(set(folds)) > 1 else None
    return fit_model(examples, name=name, shrinkage=shrinkage, folds=folds_or_groups).model


def held_out(
    examples: Sequence[Example], traces: Mapping[str, Trace]
) -> dict[str, dict[str, tuple[Model, list[HeldOutResult]]]]:
    """For every axis and value: the model trained without it, and its outcomes there."""
    results: dict[str, dict[str, tuple[Model, list[HeldOutResult]]]] = {}
    for axis in AXES:
        place = {e.id: str(traces[e.id].metadata.get(axis)) for e in examples}
        for value in sorted(set(place.values())):
            left_out = [e for e in examples if place[e.id] == value]
            tasks = {e.group for e in left_out}
            seen = [e for e in examples if place[e.id] != value and e.group not in tasks]
            model = trained_on_systems(seen, traces, name=f"without {value}", shrinkage=Shrinkage())
            outcomes = [judge(example, model) for example in left_out]
            results.setdefault(axis, {})[value] = (model, outcomes)
    return results


def measured_shrinkage(apart: _Apart) -> Shrinkage:
    """The weights of the model in runs out of distribution, measured on whole systems left out.

    For the shape on topologies and frameworks, for the content on domains: the largest weight, in
    steps of a twentieth, at which on such runs of each system the mean confidence exceeds the
    accuracy by at most 0.05.
    """
    shape = [
        _out_of_distribution(cell, content=False)
        for a in ("topology", "framework")
        for cell in apart[a].values()
    ]
    content = [_out_of_distribution(cell, content=True) for cell in apart["domain"].values()]
    return Shrinkage(_fitting(shape), _fitting(content))


def with_shrinkage(apart: _Apart, shrinkage: Shrinkage) -> _Apart:
    """The same held-out systems, judged with this shrinkage."""
    results: _Apart = {}
    for axis, values in apart.items():
        for value, (model, outcomes) in values.items():
            calibration = replace(model.calibration, shrinkage=shrinkage)
            changed = replace(model, calibration=calibration)
            rejudged = [judge(outcome.example, changed) for outcome in outcomes]
            results.setdefault(axis, {})[value] = (changed, rejudged)
    return results


def _out_of_distribution(
    cell: tuple[Model, list[HeldOutResult]], *, content: bool
) -> list[HeldOutResult]:
    """The runs of a system that are new by their content, or by their shape alone."""
    model, outcomes = cell
    check = model.calibration.distribution
    new = (o for o in outcomes if o.ranking.out_of_distribution is not None)
    return [o for o in new if content == check.has_new_content(o.example.shape)]


def _fitting(systems: Sequence[Sequence[HeldOutResult]]) -> float:
    weights = (t / 20 for t in range(21))
    fitting = [
        t for t in weights if all(_excess(system, t) <= _EXCESS for system in systems if system)
    ]
    return max(fitting, default=0.0)


def _excess(outcomes: Sequence[HeldOutResult], weight: float) -> float:
    """Mean confidence less accuracy, if outcomes judged by the model alone had this weight."""
    stated = sum(
        weight * o.ranking.confidence + (1 - weight) / len(o.example.rows) for o in outcomes
    )
    return (stated - sum(o.step_correct for o in outcomes)) / len(outcomes)


class Rules:
    """What the trivial rules hit, run by run: read once, as many subsets are compared with it."""

    def __init__(self, traces: Iterable[Trace]) -> None:
        self.traces = {trace.id: trace for trace in traces}
        self.hits = {
            rule.name: {p.id: p.step == p.label_step for p in rule.predictions}
            for rule in baselines(list(self.traces.values()))
            if rule.predictions
        }

    def is_of(self, identity: str, origin: str) -> bool:
        """Whether a run failed in this way; in any, for `both`."""
        return origin in {"both", str(self.traces[identity].metadata.get("origin"))}

    def best(self, ids: Sequence[str]) -> dict[str, Any]:
        """The best rule on these runs, in hindsight; constants are chosen on these very runs."""
        shares = {name: sum(hit[i] for i in ids) / len(ids) for name, hit in self.hits.items()}
        labelled = Counter(self.traces[i].labels[0].step for i in ids)
        shares["best constant step"] = max(labelled.values()) / len(ids)
        name = max(shares, key=lambda rule: shares[rule])
        return {"name": name, "step_accuracy": shares[name]}


def by_origin(
    outcomes: Sequence[HeldOutResult],
    rules: Rules,
    figures: Callable[[Sequence[HeldOutResult]], dict[str, Any]],
) -> dict[str, Any]:
    """Figures of natural and of injected failures apart, with the best rule beside them."""
    results: dict[str, Any] = {}
    for origin in ("natural", "injected", "both"):
        own = [o for o in outcomes if rules.is_of(o.example.id, origin)]
        if own:
            ids = list(dict.fromkeys(o.example.id for o in own))
            results[origin] = {"n": len(ids), **figures(own), "best rule": rules.best(ids)}
    return results


def adapted(
    models: Mapping[str, Model],
    rules: Rules,
    figures: Callable[[Sequence[HeldOutResult]], dict[str, Any]],
) -> dict[str, Any]:
    """Before and after adapting to systems whose topology the model to be adapted never saw.

    Args:
        models: topology -> the model trained without it.
        rules: of all runs.
        figures: of outcomes.
    """
    systems: dict[tuple[str, str, str], list[Trace]] = {}
    for trace in rules.traces.values():
        facts = trace.metadata
        key = (str(facts["domain"]), str(facts["topology"]), str(facts["framework"]))
        systems.setdefault(key, []).append(trace)
    results: list[dict[str, Any]] = []
    natural: list[str] = []
    for place, key in enumerate(sorted(systems)):
        # One framework for each domain and topology, in turn.
        if place % 3 != (place // 3) % 3 or len(results) >= _ADAPTED_TO:
            continue
        runs = systems[key][:100]
        examples = [e for t in runs if (e := example_of(t, by_name=True)) is not None]
        start = models[key[1]]
        before = [judge(example, start) for example in examples]
        after = cross_validate(examples, seeds=[0], start=start)
        system = {"system": " / ".join(key), "n": len(examples)}
        for name, outcomes in (("before", before), ("after", after)):
            system[name] = by_origin(outcomes, rules, figures)
        results.append(system)
        natural += [e.id for e in examples if rules.is_of(e.id, "natural")]
    return {"systems": results, "one rule for all": rules.best(natural)}
