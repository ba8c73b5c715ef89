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
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from embedded_card import render_card
from embedded_systems import (
    Rules,
    adapted,
    by_origin,
    held_out,
    honest_trust,
    trained_on_systems,
    with_trust,
)

from agentracer.attribution.embedded.catalogue import MANAGED, SHAPE_FIRMNESS, firmness
from agentracer.attribution.embedded.crossval import (
    OUTER_FOLDS,
    Outcome,
    cross_validate,
    judge,
    shuffled,
)
from agentracer.attribution.embedded.features import FEATURES_VERSION
from agentracer.attribution.embedded.fit import (
    PENALTIES,
    Example,
    example_of,
    fit_model,
)
from agentracer.attribution.embedded.model import DEFAULT, Model
from agentracer.bench.comparison import compare
from agentracer.bench.metrics import METRICS, Prediction, score
from agentracer.bench.reliability import reliability
from agentracer.bench.rules import Baseline, baselines
from agentracer.formats import tracertraj, whowhen
from agentracer.trace import Trace

WEIGHTS = Path(__file__).parents[1] / "src/agentracer/attribution/embedded/weights"
SEEDS = range(5)
SHUFFLES = 10
IN_DOMAIN_PENALTIES = (2.0, 4.0)
RULE_FEATURE = "rule list"


def main() -> None:
    """Train, evaluate, and write everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whowhen", type=Path, required=True, help="the development half")
    parser.add_argument("--tracertraj", type=Path, nargs="+", required=True, help="our own data")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    asked = parser.parse_args()
    started = time.perf_counter()

    logs = whowhen.load_directory(asked.whowhen)
    made = {trace.id: trace for path in asked.tracertraj for trace in tracertraj.load(path)}
    examples = examples_of(logs)
    # The rule list was written with labels of Who&When in view: transfer must not know it.
    ours = [without(example, RULE_FEATURE) for example in examples_of(list(made.values()))]
    train = [e for e in ours if made[e.id].metadata.get("split") != "test"]
    test = [e for e in ours if made[e.id].metadata.get("split") == "test"]
    say(f"{len(examples)} Who&When logs, {len(ours)} runs of TracerTraj")

    results: dict[str, Any] = {"features": FEATURES_VERSION}
    results["data"] = data_of(logs, list(made.values()))
    apart = held_out(ours, made)
    trust = honest_trust(apart)
    results["strange_trust"] = asdict(trust)
    say(f"trust in strange runs: {trust}")
    apart = with_trust(apart, trust)
    rules = Rules(made.values())
    say(f"rules read after {time.perf_counter() - started:.0f} s")
    results["held-out systems"] = {
        axis: {
            **{value: by_origin(said, rules, figures_of) for value, (_, said) in values.items()},
            "all": by_origin([o for _, said in values.values() for o in said], rules, figures_of),
        }
        for axis, values in apart.items()
    }
    say(f"held-out systems done after {time.perf_counter() - started:.0f} s")
    without_topology = {value: model for value, (model, _) in apart["topology"].items()}
    results["adapted"] = adapted(without_topology, rules, figures_of)
    say(f"adapted after {time.perf_counter() - started:.0f} s")

    transfer = trained_on_systems(train, made, name="transfer-3", trust=trust)
    transfer = replace(transfer, trained_on={"ids": [example.id for example in train]})
    results["transfer"] = evaluate(logs, [judge(example, transfer) for example in examples])

    bare = [without(example, RULE_FEATURE) for example in examples]
    in_domain_way: dict[str, Any] = {
        "seeds": SEEDS,
        "start": content_of(transfer),
        "trust": trust,
        "penalties": IN_DOMAIN_PENALTIES,
    }
    seen = cross_validate(examples, **in_domain_way)
    results["cross-validation"] = evaluate(logs, seen)
    say(f"cross-validated after {time.perf_counter() - started:.0f} s")
    alone = cross_validate(bare, **in_domain_way)
    results["without the rule list"] = evaluate(logs, alone)
    results["permutation test"] = permutation_test(logs, examples)
    in_domain = fit_model(
        examples,
        name="in-domain-3",
        start=content_of(transfer),
        trust=trust,
        penalties=IN_DOMAIN_PENALTIES,
    ).model
    known = [example.id for example in [*train, *examples]]
    in_domain = replace(in_domain, trained_on={"ids": known})
    models = {"in_domain": in_domain, "transfer": transfer}
    results["own test split"] = {
        name: by_origin([judge(e, model) for e in test], rules, figures_of)
        for name, model in models.items()
    }
    results["which to ship"] = which_to_ship(examples, ours, made, without_topology)
    results["procedure"] = procedure(models)
    write(asked.output, models, results, shipped=results["which to ship"]["better"])
    say(f"done in {time.perf_counter() - started:.0f} s")


def which_to_ship(
    examples: Sequence[Example],
    ours: Sequence[Example],
    made: Mapping[str, Trace],
    without_topology: Mapping[str, Model],
) -> dict[str, Any]:
    """Step accuracy of both ways of training on systems that were held out from both.

    Each topology of our own data, judged by a model trained on the others, with and without
    Who&When; and each kind of system of Who&When, judged with and without those of the other kind.
    """
    found: dict[str, Any] = {"transfer": {}, "in_domain": {}}
    for topology, model in without_topology.items():
        left_out = [e for e in ours if made[e.id].metadata.get("topology") == topology]
        natural = [e for e in left_out if made[e.id].metadata.get("origin") == "natural"]
        also = fit_model(
            examples, name="also", start=content_of(model), penalties=IN_DOMAIN_PENALTIES
        ).model
        found["transfer"][topology] = accuracy(natural, model)
        found["in_domain"][topology] = accuracy(natural, also)
    whole = fit_model(
        [e for e in ours if made[e.id].metadata.get("split") != "test"], name="whole"
    ).model
    for kind in sorted({example.kind for example in examples}):
        others = [example for example in examples if example.kind != kind]
        mine = [example for example in examples if example.kind == kind]
        also = fit_model(
            others, name="also", start=content_of(whole), penalties=IN_DOMAIN_PENALTIES
        ).model
        found["transfer"][f"Who&When, {kind}"] = accuracy(mine, whole)
        found["in_domain"][f"Who&When, {kind}"] = accuracy(mine, also)
    means = {name: sum(values.values()) / len(values) for name, values in found.items()}
    return {**found, "mean": means, "better": max(means, key=lambda name: means[name])}


def content_of(model: Model) -> Model:
    """A model that knows only what was checked: the shape of other systems is learnt anew."""
    kept = {name: weight for name, weight in model.weights.items() if firmness(name) == 1}
    return replace(model, weights=kept)


def accuracy(examples: Sequence[Example], model: Model) -> float:
    """Share of runs whose labelled step comes first."""
    return sum(judge(example, model).step_correct for example in examples) / len(examples)


def say(text: str) -> None:
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


def data_of(logs: Sequence[Trace], made: Sequence[Trace]) -> dict[str, Any]:
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
            "train": [t.id for t in made if t.metadata.get("split") != "test"],
            "test": [t.id for t in made if t.metadata.get("split") == "test"],
        },
    }


def evaluate(logs: Sequence[Trace], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Figures by subset: of the ranker, of the rules, and their paired differences."""
    found: dict[str, Any] = {}
    for subset in sorted({str(trace.metadata["subset"]) for trace in logs}):
        traces = [trace for trace in logs if trace.metadata["subset"] == subset]
        ids = {trace.id for trace in traces}
        mine = [outcome for outcome in outcomes if outcome.example.id in ids]
        rules = baselines(traces)
        found[subset] = {
            "n": len(traces),
            "ranker": figures_of(mine),
            "rules": {rule.name: {"fitted": rule.fitted, **rates(rule)} for rule in rules},
            "differences": differences(traces, mine, rules),
        }
    found["both"] = {"ranker": figures_of(outcomes)}
    return found


def predictions_of(outcomes: Sequence[Outcome]) -> list[Prediction]:
    """Outcomes as the benchmark scores them."""
    return [
        Prediction(
            id=o.example.id,
            file="",
            agent=o.agent,
            step=o.step,
            candidates=tuple((o.example.speakers[i], i) for i in o.ranking.order[:5]),
            label_agent=o.example.agent,
            label_step=o.example.step,
            confidence=o.ranking.confidence,
        )
        for o in outcomes
    ]


def figures_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Means over seeds, their spread, intervals for the number of runs, and calibration."""
    if not outcomes:
        return {}
    seeds = sorted({outcome.seed for outcome in outcomes})
    by_seed = [predictions_of([o for o in outcomes if o.seed == seed]) for seed in seeds]
    scores = [score(predictions) for predictions in by_seed]
    found: dict[str, Any] = {}
    for metric in METRICS:
        values = [one.rates[metric].value for one in scores]
        mean = sum(values) / len(values)
        spread = (sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)) ** 0.5
        low, high = replace(scores[0].rates[metric], hits=mean * scores[0].n).interval
        found[metric] = {"value": mean, "sd_seeds": spread, "low": low, "high": high}
    pooled = reliability([p for predictions in by_seed for p in predictions])
    half = next(point.accuracy for point in pooled.curve if point.coverage == 0.5)
    found["ece"] = pooled.ece
    found["ece_mean_of_seeds"] = sum(reliability(p).ece for p in by_seed) / len(by_seed)
    found["ece_by_chance"] = chance_ece(outcomes)
    found["confidence"] = pooled.mean_confidence
    found["accuracy_at_half_coverage"] = half
    found["set_coverage"] = sum(o.example.step in o.ranking.likely for o in outcomes) / len(
        outcomes
    )
    sizes = sorted(len(o.ranking.likely) for o in outcomes)
    found["set_median_size"] = sizes[len(sizes) // 2]
    found["strange"] = sum(o.ranking.strange is not None for o in outcomes) / len(outcomes)
    return found


def rates(rule: Baseline) -> dict[str, Any]:
    """The figures of a rule."""
    return {
        metric: {"value": rate.value, "low": rate.interval[0], "high": rate.interval[1]}
        for metric, rate in rule.scores.rates.items()
    }


def differences(
    traces: Sequence[Trace], outcomes: Sequence[Outcome], rules: Sequence[Baseline]
) -> dict[str, Any]:
    """Ranker less the best rule, run by run: of all rules, and of those that saw no labels."""
    by_run: dict[str, list[Prediction]] = {trace.id: [] for trace in traces}
    for prediction in predictions_of(outcomes):
        by_run[prediction.id].append(prediction)
    found: dict[str, Any] = {}
    for metric in ("agent_accuracy", "step_accuracy", "step_top3", "step_top5"):
        test = METRICS[metric]
        mine = [sum(map(test, said)) / len(said) for said in by_run.values()]
        for which, allowed in (
            ("any rule", rules),
            ("no label", [r for r in rules if not r.fitted]),
        ):
            best = max(
                (rule for rule in allowed if rule.predictions),
                key=lambda rule: rule.scores.rates[metric].value,
            )
            theirs = [float(test(prediction)) for prediction in best.predictions]
            against = asdict(compare(mine, theirs))
            found[f"{metric} against {which}"] = {"rule": best.name, **against}
    return found


def permutation_test(logs: Sequence[Trace], examples: Sequence[Example]) -> dict[str, Any]:
    """What cross-validation reaches when the labels are drawn at random: chance, if all is well."""
    subset = {trace.id: str(trace.metadata["subset"]) for trace in logs}
    found: dict[str, Any] = {}
    for number in range(SHUFFLES):
        drawn = shuffled(examples, number)
        outcomes = cross_validate(drawn, seeds=[number])
        for name in sorted(set(subset.values())):
            mine = [o for o in outcomes if subset[o.example.id] == name]
            cell = found.setdefault(name, {"step_accuracy": [], "step_top3": [], "chance": 0.0})
            cell["step_accuracy"].append(sum(o.step_correct for o in mine) / len(mine))
            cell["step_top3"].append(sum(o.rank < 3 for o in mine) / len(mine))
            cell["chance"] = sum(1 / len(o.example.rows) for o in mine) / len(mine)
    return found


def chance_ece(outcomes: Sequence[Outcome]) -> float:
    """The ECE that perfect calibration would show on so many runs: a mean of simulations."""
    draw = random.Random(0)
    stated = predictions_of([o for o in outcomes if o.seed == outcomes[0].seed])
    found = []
    for _ in range(max(20_000 // len(stated), 5)):
        played = [
            replace(p, label_step=p.step if draw.random() < p.confidence else -1) for p in stated
        ]
        found.append(reliability(played).ece)
    return sum(found) / len(found)


def procedure(models: Mapping[str, Model]) -> dict[str, Any]:
    """What was done, for the card."""
    return {
        "seeds": list(SEEDS),
        "outer_folds": OUTER_FOLDS,
        "penalties": list(PENALTIES),
        "in_domain_penalties": list(IN_DOMAIN_PENALTIES),
        "shape_firmness": SHAPE_FIRMNESS,
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
        say(f"{shipped} did better than {DEFAULT}: change DEFAULT in the package's model.py")
    plain = json.dumps(results, sort_keys=True)
    rounded = json.loads(plain, parse_float=lambda text: round(float(text), 4))
    for name, model in models.items():
        model.save(output / f"{name}.json")
    text = json.dumps(rounded, indent=1)
    (output / "results.json").write_text(text + "\n", encoding="utf-8")
    (output / "MODEL_CARD.md").write_text(render_card(rounded), encoding="utf-8")


if __name__ == "__main__":
    main()
