"""Retrain the weights of the embedded tracer: one command, minutes on two cores.

    python training/embedded.py --whowhen DIR --tracertraj FILE [FILE ...] [--output DIR]

Writes into the output folder (by default that of the package) `transfer.json` (trained on no
Who&When log), `in_domain.json` (the same, adapted to Who&When's development half), `results.json`
with every figure, and `MODEL_CARD.md` made from it. Says so if the better ones are not the default.

Who&When: the development half alone. Needs numpy and scipy.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, this is no package

from agentracer.attribution.embedded.fitting.cross_validation import (
    OUTER_FOLDS,
    cross_validate,
    judge,
)
from agentracer.attribution.embedded.fitting.fit import (
    PENALTIES,
    Example,
    example_of,
    fit_model,
)
from agentracer.attribution.embedded.model.catalogue import (
    CONTENT_PENALTY_SCALE,
    SHAPE_PENALTY_SCALE,
    penalty_scale,
)
from agentracer.attribution.embedded.model.features import FEATURES_VERSION, MANAGED, RULE_LIST
from agentracer.attribution.embedded.model.model_file import DEFAULT, Model
from agentracer.formats import tracertraj, whowhen
from agentracer.trace import Trace
from training.embedded_card import render_card
from training.embedded_figures import SHUFFLES, evaluate, figures_of, permutation_test
from training.embedded_systems import (
    Rules,
    adapted,
    by_origin,
    held_out,
    measured_shrinkage,
    trained_on_systems,
    with_shrinkage,
)

WEIGHTS = Path(__file__).parents[1] / "src/agentracer/attribution/embedded/weights"
SEEDS = range(10)
IN_DOMAIN_PENALTIES = (4.0, 10.0)
RULE_FEATURE = RULE_LIST.name


def main() -> None:
    """Train, evaluate, and write everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whowhen", type=Path, required=True, help="the development half")
    parser.add_argument("--tracertraj", type=Path, nargs="+", required=True, help="our own data")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    started = time.perf_counter()

    logs = whowhen.load_directory(args.whowhen)
    own_traces = {trace.id: trace for path in args.tracertraj for trace in tracertraj.load(path)}
    examples = examples_of(logs)
    # The rule list was written with labels of Who&When in view: transfer must not know it.
    own_examples = [
        without(example, RULE_FEATURE) for example in examples_of(list(own_traces.values()))
    ]
    train = [e for e in own_examples if own_traces[e.id].metadata.get("split") != "test"]
    test = [e for e in own_examples if own_traces[e.id].metadata.get("split") == "test"]
    log_progress(f"{len(examples)} Who&When logs, {len(own_examples)} runs of TracerTraj")

    results: dict[str, Any] = {"features": FEATURES_VERSION}
    results["data"] = data_of(logs, list(own_traces.values()))
    held_out_systems = held_out(own_examples, own_traces)
    shrinkage = measured_shrinkage(held_out_systems)
    results["shrinkage"] = asdict(shrinkage)
    log_progress(f"shrinkage out of distribution: {shrinkage}")
    held_out_systems = with_shrinkage(held_out_systems, shrinkage)
    rules = Rules(own_traces.values())
    log_progress(f"rules read after {time.perf_counter() - started:.0f} s")
    results["held-out systems"] = {
        axis: {
            **{
                value: by_origin(outcomes, rules, figures_of)
                for value, (_, outcomes) in values.items()
            },
            "all": by_origin(
                [o for _, outcomes in values.values() for o in outcomes], rules, figures_of
            ),
        }
        for axis, values in held_out_systems.items()
    }
    log_progress(f"held-out systems done after {time.perf_counter() - started:.0f} s")
    without_topology = {value: model for value, (model, _) in held_out_systems["topology"].items()}
    results["adapted"] = adapted(without_topology, rules, figures_of)
    log_progress(f"adapted after {time.perf_counter() - started:.0f} s")

    transfer = trained_on_systems(train, own_traces, name="transfer-6", shrinkage=shrinkage)
    transfer = replace(transfer, trained_on={"ids": [example.id for example in train]})
    results["transfer"] = evaluate(logs, [judge(example, transfer) for example in examples])

    bare = [without(example, RULE_FEATURE) for example in examples]
    in_domain_way: dict[str, Any] = {
        "seeds": SEEDS,
        "start": content_of(transfer),
        "shrinkage": shrinkage,
        "penalties": IN_DOMAIN_PENALTIES,
    }
    seen = cross_validate(examples, **in_domain_way)
    results["cross-validation"] = evaluate(logs, seen)
    log_progress(f"cross-validated after {time.perf_counter() - started:.0f} s")
    alone = cross_validate(bare, **in_domain_way)
    results["without the rule list"] = evaluate(logs, alone)
    tight = cross_validate(examples, **in_domain_way, content_scale=1.0)
    results["content held like shape"] = evaluate(logs, tight)
    results["permutation test"] = permutation_test(logs, examples)
    in_domain = fit_model(
        examples,
        name="in-domain-6",
        start=content_of(transfer),
        shrinkage=shrinkage,
        penalties=IN_DOMAIN_PENALTIES,
    ).model
    trained_ids = [example.id for example in [*train, *examples]]
    in_domain = replace(in_domain, trained_on={"ids": trained_ids})
    models = {"in_domain": in_domain, "transfer": transfer}
    results["own test split"] = {
        name: by_origin([judge(e, model) for e in test], rules, figures_of)
        for name, model in models.items()
    }
    results["which to ship"] = which_to_ship(examples, own_examples, own_traces, without_topology)
    results["procedure"] = procedure(models)
    write(args.output, models, results, shipped=results["which to ship"]["better"])
    log_progress(f"done in {time.perf_counter() - started:.0f} s")


def which_to_ship(
    examples: Sequence[Example],
    own_examples: Sequence[Example],
    own_traces: Mapping[str, Trace],
    without_topology: Mapping[str, Model],
) -> dict[str, Any]:
    """Step accuracy of both ways of training, on systems that were held out from both.

    Each topology of our own data, judged by a model trained on the others, with and without
    Who&When; and each kind of system of Who&When, judged with and without those of the other kind.
    """
    accuracies: dict[str, Any] = {"transfer": {}, "in_domain": {}}
    for topology, model in without_topology.items():
        left_out = [
            e for e in own_examples if own_traces[e.id].metadata.get("topology") == topology
        ]
        natural = [e for e in left_out if own_traces[e.id].metadata.get("origin") == "natural"]
        with_whowhen = fit_model(
            examples, name="also", start=content_of(model), penalties=IN_DOMAIN_PENALTIES
        ).model
        accuracies["transfer"][topology] = accuracy(natural, model)
        accuracies["in_domain"][topology] = accuracy(natural, with_whowhen)
    transfer = fit_model(
        [e for e in own_examples if own_traces[e.id].metadata.get("split") != "test"], name="whole"
    ).model
    for kind in sorted({example.kind for example in examples}):
        others = [example for example in examples if example.kind != kind]
        examples_of_kind = [example for example in examples if example.kind == kind]
        with_whowhen = fit_model(
            others, name="also", start=content_of(transfer), penalties=IN_DOMAIN_PENALTIES
        ).model
        accuracies["transfer"][f"Who&When, {kind}"] = accuracy(examples_of_kind, transfer)
        accuracies["in_domain"][f"Who&When, {kind}"] = accuracy(examples_of_kind, with_whowhen)
    means = {name: sum(values.values()) / len(values) for name, values in accuracies.items()}
    return {**accuracies, "mean": means, "better": max(means, key=lambda name: means[name])}


def content_of(model: Model) -> Model:
    """The model with its weights of checked content alone; its shape weights are fitted anew."""
    kept = {name: weight for name, weight in model.weights.items() if penalty_scale(name) == 1}
    return replace(model, weights=kept)


def accuracy(examples: Sequence[Example], model: Model) -> float:
    """Share of runs whose labelled step comes first."""
    return sum(judge(example, model).step_correct for example in examples) / len(examples)


def log_progress(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def examples_of(traces: Sequence[Trace]) -> list[Example]:
    """The labelled traces as examples."""
    return [example for trace in traces if (example := example_of(trace)) is not None]


def without(example: Example, feature: str) -> Example:
    """An example that lacks one feature."""
    dropped = {feature, MANAGED + feature}
    rows = [{k: v for k, v in row.items() if k not in dropped} for row in example.rows]
    return replace(example, rows=rows)


def data_of(logs: Sequence[Trace], own_traces: Sequence[Trace]) -> dict[str, Any]:
    """What was trained on, by id."""
    subsets = sorted({str(trace.metadata["subset"]) for trace in logs})
    files = {
        subset: [str(t.metadata["file"]) for t in logs if t.metadata["subset"] == subset]
        for subset in subsets
    }
    return {
        "whowhen": files,
        "questions": len({" ".join(trace.task.split()) for trace in logs}),
        "tracertraj": {
            "train": [t.id for t in own_traces if t.metadata.get("split") != "test"],
            "test": [t.id for t in own_traces if t.metadata.get("split") == "test"],
        },
    }


def procedure(models: Mapping[str, Model]) -> dict[str, Any]:
    """What was done, for the card."""
    return {
        "seeds": list(SEEDS),
        "outer_folds": OUTER_FOLDS,
        "penalties": list(PENALTIES),
        "in_domain_penalties": list(IN_DOMAIN_PENALTIES),
        "shape_penalty_scale": SHAPE_PENALTY_SCALE,
        "content_penalty_scale": CONTENT_PENALTY_SCALE,
        "shuffles": SHUFFLES,
        "models": {
            name: {
                "temperature": round(model.calibration.temperature, 3),
                "set_mass": round(model.calibration.set_mass, 3),
                "weights": sum(abs(weight) > 1e-5 for weight in model.weights.values()),
            }
            for name, model in models.items()
        },
    }


def write(output: Path, models: Mapping[str, Model], results: dict[str, Any], shipped: str) -> None:
    """Write models, results and card."""
    output.mkdir(parents=True, exist_ok=True)
    results["shipped"] = DEFAULT
    if shipped != DEFAULT:
        log_progress(
            f"{shipped} did better than {DEFAULT}: change DEFAULT in the package's model_file.py"
        )
    plain = json.dumps(results, sort_keys=True)
    rounded = json.loads(plain, parse_float=lambda text: round(float(text), 4))
    for name, model in models.items():
        model.save(output / f"{name}.json")
    text = json.dumps(rounded, indent=1)
    (output / "results.json").write_text(text + "\n", encoding="utf-8")
    (output / "MODEL_CARD.md").write_text(render_card(rounded), encoding="utf-8")


if __name__ == "__main__":
    main()
