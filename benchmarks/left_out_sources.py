"""Step accuracy with whole sources left out: candidates for the default weights beside rules.

    python benchmarks/left_out_sources.py --whowhen DIR --traces FILE [FILE ...]

Each source (a folder of Who&When, a file of traces) is judged by models that were fitted to the
other sources alone, by the shipped `transfer` weights, which saw none of them, and by rules that
see no label. Prints hits of the first step and of the first three, with 95 % intervals. Fitting
needs numpy and scipy.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agentracer.attribution.embedded.explanation import decisive_step
from agentracer.attribution.embedded.fitting.fit import Example, example_of, fit_path, scores_of
from agentracer.attribution.embedded.model.features import MANAGED, SHAPE, Features
from agentracer.attribution.embedded.model.model_file import shipped_model
from agentracer.attribution.embedded.model.run_context import Role, RunContext
from agentracer.formats import whowhen
from agentracer.statistics import wilson
from agentracer.trace import Trace

PENALTIES = (10.0, 0.3)
CONTENT_SCALE = 1.0
POSITION = frozenset(
    feature.name
    for feature in SHAPE
    if feature.name.startswith(
        ("worker_turn", "position", "step_number", "last_", "own_first", "only_few", "instruction_",
         "deliberation_", "rule_list")
    )
)  # fmt: skip
"""Features of the place of a step in its run."""


@dataclass(frozen=True)
class Run:
    """A labelled run.

    Attributes:
        example: its features and label.
        found: the step with a contradiction, if there is one.
        context: what its steps are to each other.
    """

    example: Example
    found: int | None
    context: RunContext


Order = Callable[[Run], Sequence[int]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whowhen", type=Path, required=True, help="the development half")
    parser.add_argument("--traces", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    sources = {name: runs_of(traces) for name, traces in traces_of(args).items()}
    for name, runs in sources.items():
        others = [run.example for other, rs in sources.items() if other != name for run in rs]
        print(f"\n{name}: {len(runs)} runs")
        for label, order in {**candidates(others), **RULES}.items():
            print(f"  {label:46}{row(runs, order)}")


def traces_of(args: argparse.Namespace) -> dict[str, list[Trace]]:
    """The sources by name."""
    folders = sorted(path for path in args.whowhen.iterdir() if path.is_dir())
    sources = {folder.name: list(whowhen.load_directory(folder)) for folder in folders}
    for path in args.traces:
        lines = path.read_text(encoding="utf-8").splitlines()
        sources[path.stem] = [Trace.model_validate_json(line) for line in lines if line]
    return sources


def runs_of(traces: Sequence[Trace]) -> list[Run]:
    """The labelled runs among the traces."""
    runs = []
    for trace in traces:
        example = example_of(trace)
        if example is not None:
            features = Features(trace.observed)
            runs.append(Run(example, decisive_step(features), features.context))
    return runs


def candidates(others: Sequence[Example]) -> dict[str, Order]:
    """The models, as far as they are fitted, to the other sources alone."""
    shipped = shipped_model("transfer").weights
    shape = frozenset(feature.name for feature in SHAPE)
    orders = {
        "shipped weights": by_weights(shipped),
        "shipped weights, no position": by_weights(dropped(shipped, POSITION)),
        "shipped weights, no shape": by_weights(dropped(shipped, shape)),
    }
    for label, names in (
        ("", frozenset[str]()),
        (", no position", POSITION),
        (", no shape", shape),
    ):
        seen = [without(example, names) for example in others]
        for penalty, weights in fit_path(seen, PENALTIES, None, CONTENT_SCALE).items():
            name = f"fitted to the others{label}, penalty {penalty:g}"
            orders[name] = by_weights(dropped(weights, names))
    first = {
        f"findings first, then {name}": findings_first(order) for name, order in orders.items()
    }
    return {**orders, **{name: first[name] for name in list(first)[:2]}}


def without(example: Example, names: frozenset[str]) -> Example:
    """An example without some features, and their copies for managed runs."""
    rows = [
        {n: v for n, v in row.items() if n.removeprefix(MANAGED) not in names}
        for row in example.rows
    ]
    return replace(example, rows=rows)


def dropped(weights: Mapping[str, float], names: frozenset[str]) -> dict[str, float]:
    """Weights without those of some features."""
    return {n: w for n, w in weights.items() if n.removeprefix(MANAGED) not in names}


def by_weights(weights: Mapping[str, float]) -> Order:
    """The steps of a run by their score, the earlier of equals first."""

    def order(run: Run) -> list[int]:
        scores = scores_of(run.example, dict(weights))
        return sorted(range(len(scores)), key=lambda index: (-scores[index], index))

    return order


def findings_first(rest: Order) -> Order:
    """The step with a contradiction, then another order."""

    def order(run: Run) -> list[int]:
        ranked = list(rest(run))
        return ranked if run.found is None else [run.found, *(i for i in ranked if i != run.found)]

    return order


def by_rule(choose: Callable[[RunContext], int | None]) -> Order:
    """The step that a rule names, then the others in order."""

    def order(run: Run) -> list[int]:
        first = choose(run.context) or 0
        return [first, *(i for i in range(len(run.context)) if i != first)]

    return order


def _workers(context: RunContext) -> list[int]:
    return [index for index, role in enumerate(context.roles) if role is Role.WORKER]


RULES: dict[str, Order] = {
    "rule: first step": by_rule(lambda _: 0),
    "rule: second step": by_rule(lambda context: min(1, len(context) - 1)),
    "rule: last step": by_rule(lambda context: len(context) - 1),
    "rule: last but one": by_rule(lambda context: max(len(context) - 2, 0)),
    "rule: first worker step": by_rule(lambda context: next(iter(_workers(context)), None)),
    "rule: last worker step": by_rule(lambda context: next(reversed(_workers(context)), None)),
    "rule: first code or call": by_rule(
        lambda context: next((i for i, code in enumerate(context.signals.code) if code), None)
    ),
    "rule: longest step": by_rule(
        lambda context: max(range(len(context)), key=lambda i: context.facts.steps[i].size)
    ),
}
"""Rules that saw no label, fixed before anything was measured."""


def row(runs: Sequence[Run], order: Order) -> str:
    """Hits of the first step and of the first three, with intervals, in percent."""
    orders = [(list(order(run)), run.example.step) for run in runs]
    cells = []
    for top in (1, 3):
        hits = sum(step in ranked[:top] for ranked, step in orders)
        low, high = wilson(hits, len(runs))
        cells.append(f"{100 * hits / len(runs):5.1f} [{100 * low:3.0f}, {100 * high:3.0f}]")
    return "  top 3: ".join(cells)


if __name__ == "__main__":
    main()
