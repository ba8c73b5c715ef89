"""Retrain the weights of the embedded tracer: one command, minutes on two cores.

    python training/embedded.py --whowhen DIR [--tracertraj FILE ...] [--output DIR]

Writes into the output folder (by default that of the package) `in_domain.json`, with
`--tracertraj` also `transfer.json` (trained on no Who&When log), `default.json` (a copy of the
one that ships), `results.json` with every figure, and `MODEL_CARD.md` made from it.

Who&When: the development half alone. Needs numpy and scipy.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from embedded_card import render_card

from agentracer.attribution.embedded.catalogue import MANAGED
from agentracer.attribution.embedded.crossval import (
    OUTER_FOLDS,
    Outcome,
    cross_validate,
    judge,
    shuffled,
    transfer_trust,
)
from agentracer.attribution.embedded.features import FEATURES_VERSION
from agentracer.attribution.embedded.fit import PENALTIES, Example, example_of, fit_model
from agentracer.attribution.embedded.model import Model
from agentracer.bench.comparison import compare
from agentracer.bench.metrics import METRICS, Prediction, score
from agentracer.bench.reliability import reliability
from agentracer.bench.rules import Baseline, baselines
from agentracer.formats import tracertraj, whowhen
from agentracer.trace import Trace

WEIGHTS = Path(__file__).parents[1] / "src/agentracer/attribution/embedded/weights"
SEEDS = range(5)
SHUFFLES = 10
RULE_FEATURE = "rule list"


def main() -> None:
    """Train, evaluate, and write everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whowhen", type=Path, required=True, help="the development half")
    parser.add_argument("--tracertraj", type=Path, nargs="*", default=[], help="our own data")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    asked = parser.parse_args()
    started = time.perf_counter()

    logs = whowhen.load_directory(asked.whowhen)
    made = [trace for path in asked.tracertraj for trace in tracertraj.load(path)]
    examples = examples_of(logs)
    ours = examples_of([t for t in made if t.metadata.get("split") != "test"])

    say(f"{len(examples)} Who&When logs, {len(ours)} runs of TracerTraj")
    results: dict[str, Any] = {"features": FEATURES_VERSION, "data": data_of(logs, made)}
    # The rule list saw both kinds of system: with it as a feature, neither would be strange to it.
    bare = [without(example, RULE_FEATURE) for example in examples]
    trust, across = transfer_trust(bare)
    results["strange_trust"] = trust
    results["other kind of system"] = figures_of(across)
    say(f"trust in strange runs: {trust}")

    outcomes = cross_validate(examples, seeds=SEEDS, strange_trust=trust)
    results["cross-validation"] = evaluate(logs, outcomes)
    say("cross-validated")
    results["without the rule list"] = evaluate(logs, cross_validate(bare, seeds=SEEDS))
    results["permutation test"] = permutation_test(logs, examples)
    say("permutation test done")

    models = {"in_domain": trained(examples + ours, "in-domain-1", trust)}
    if ours:
        models["transfer"] = trained(ours, "transfer-1", trust)
        judged = [judge(example, models["transfer"]) for example in examples]
        results["transfer"] = evaluate(logs, judged)
        results["transfer, own test split"] = own_test(made, models)
    results["procedure"] = procedure(models["in_domain"])
    write(asked.output, models, results, shipped=better(results))
    say(f"done in {time.perf_counter() - started:.0f} s")


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


def trained(examples: Sequence[Example], name: str, trust: float) -> Model:
    """The final model of a set of examples."""
    model = fit_model(examples, name=name, strange_trust=trust).model
    return replace(model, trained_on={"ids": [example.id for example in examples]})


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


def own_test(made: Sequence[Trace], models: dict[str, Model]) -> dict[str, Any]:
    """Every model on the held-out split of our own data, natural and injected failures apart."""
    held_out = [trace for trace in made if trace.metadata.get("split") == "test"]
    found: dict[str, Any] = {}
    for origin in sorted({str(trace.metadata.get("origin")) for trace in held_out}):
        traces = [t for t in held_out if str(t.metadata.get("origin")) == origin]
        examples = examples_of(traces)
        found[origin] = {
            "n": len(examples),
            **{name: figures_of([judge(e, m) for e in examples]) for name, m in models.items()},
            "rules": {rule.name: rates(rule) for rule in baselines(traces)},
        }
    return found


def chance_ece(outcomes: Sequence[Outcome]) -> float:
    """The ECE that perfect calibration would show on so few runs: mean of 200 simulations."""
    draw = random.Random(0)
    stated = predictions_of([o for o in outcomes if o.seed == outcomes[0].seed])
    found = []
    for _ in range(200):
        played = [
            replace(p, label_step=p.step if draw.random() < p.confidence else -1) for p in stated
        ]
        found.append(reliability(played).ece)
    return sum(found) / len(found)


def procedure(model: Model) -> dict[str, Any]:
    """What was done, for the card."""
    return {
        "seeds": list(SEEDS),
        "outer_folds": OUTER_FOLDS,
        "penalties": list(PENALTIES),
        "shuffles": SHUFFLES,
        "temperature": round(model.calibration.temperature, 3),
        "set_mass": round(model.calibration.set_mass, 3),
        "weights": sum(abs(weight) > 1e-5 for weight in model.weights.values()),
    }


def better(results: dict[str, Any]) -> str:
    """The weights to ship: those that do better on held-out systems of our own."""
    own = results.get("transfer, own test split", {}).get("natural")
    if not own:
        return "in_domain"
    return max(("in_domain", "transfer"), key=lambda name: own[name]["step_accuracy"]["value"])


def write(output: Path, models: dict[str, Model], results: dict[str, Any], shipped: str) -> None:
    """Write models, results and card."""
    output.mkdir(parents=True, exist_ok=True)
    results["shipped"] = shipped
    plain = json.dumps(results, sort_keys=True)
    rounded = json.loads(plain, parse_float=lambda text: round(float(text), 4))
    for name, model in models.items():
        model.save(output / f"{name}.json")
    models[shipped].save(output / "default.json")
    text = json.dumps(rounded, indent=1)
    (output / "results.json").write_text(text + "\n", encoding="utf-8")
    (output / "MODEL_CARD.md").write_text(render_card(rounded), encoding="utf-8")


if __name__ == "__main__":
    main()
