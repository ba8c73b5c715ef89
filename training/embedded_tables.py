"""The tables of the model card: systems of TracerTraj left out, and Who&When."""

from __future__ import annotations

from typing import Any

__all__ = ["on_whowhen", "own_systems"]

_COLUMNS = (
    ("agent", "agent_accuracy"),
    ("step", "step_accuracy"),
    ("±1", "step_within_1"),
    ("±3", "step_within_3"),
    ("top-3", "step_top3"),
    ("top-5", "step_top5"),
)


_HEADINGS = (
    "| left out or weights | failures | n | agent | step | top-3 | best rule, step | times | ECE "
    "| confidence less accuracy | step at 50 % |"
)


def own_systems(results: dict[str, Any]) -> str:
    lines = [
        "## Results on TracerTraj, whole systems left out, in %\n",
        "Trained without the topology (framework, domain) in question and without any of its",
        "tasks. The best rule is the best of all in hindsight, on the same runs.\n",
        _HEADINGS,
        "|---" * 11 + "|",
    ]
    for axis, values in results["held-out systems"].items():
        for value, origins in values.items():
            name = f"{axis}, all" if value == "all" else f"{axis} {value}"
            lines += [_own_row(name, origin, cell) for origin, cell in origins.items()]
    title = "\nTest split (tasks held out, systems seen):\n"
    lines += [title, _HEADINGS, "|---" * 11 + "|"]
    for name, origins in results["own test split"].items():
        shown = name.replace("_", "-")
        lines += [_own_row(shown, origin, cell) for origin, cell in origins.items()]
    return "\n".join(lines) + "\n\n" + _adapted(results["adapted"])


def _own_row(name: str, origin: str, cell: dict[str, Any]) -> str:
    step, rule = cell["step_accuracy"], cell["best rule"]
    ends = f"[{100 * step['low']:.0f}, {100 * step['high']:.0f}]"
    return (
        f"| {name} | {origin} | {cell['n']} | {100 * cell['agent_accuracy']['value']:.1f} "
        f"| {100 * step['value']:.1f} {ends} | {100 * cell['step_top3']['value']:.1f} "
        f"| {rule['name']} {100 * rule['step_accuracy']:.1f} "
        f"| {step['value'] / max(rule['step_accuracy'], 1e-9):.1f} | {cell['ece']:.3f} "
        f"| {cell['confidence'] - step['value']:+.2f} "
        f"| {100 * cell['accuracy_at_half_coverage']:.1f} |"
    )


def _adapted(found: dict[str, Any]) -> str:
    systems, rule = found["systems"], found["one rule for all"]
    lines = [
        "### Before and after `agentracer adapt`, natural failures, step in %\n",
        "The model to be adapted never saw the topology; adapted to at most 100 labelled runs of",
        "the system, 5 folds grouped by task. The same held-out runs in every column.\n",
        "| system | labelled runs | natural | before | after | best rule | times |",
        "|---|---|---|---|---|---|---|",
    ]
    sums = [0.0, 0.0, 0.0]
    total = 0
    for one in systems:
        before, after = one["before"]["natural"], one["after"]["natural"]
        values = [
            before["step_accuracy"]["value"],
            after["step_accuracy"]["value"],
            after["best rule"]["step_accuracy"],
        ]
        sums = [old + value * after["n"] for old, value in zip(sums, values, strict=True)]
        total += after["n"]
        lines.append(_adapted_row(one["system"], one["n"], after["n"], values))
    means = [value / total for value in sums]
    lines.append(_adapted_row("**all**", sum(one["n"] for one in systems), total, means))
    times = means[1] / max(rule["step_accuracy"], 1e-9)
    lines.append(
        "\nThe best rule is chosen for each system in hindsight. The best one rule for all of "
        f"these runs, '{rule['name']}', is right in {100 * rule['step_accuracy']:.1f} %; after "
        f"adapting the tracer is right {times:.1f} times as often."
    )
    return "\n".join(lines) + "\n"


def _adapted_row(name: str, runs: int, natural: int, values: list[float]) -> str:
    before, after, rule = values
    times = after / max(rule, 1e-9)
    shown = " | ".join(f"{100 * value:.1f}" for value in (before, after, rule))
    return f"| {name} | {runs} | {natural} | {shown} | {times:.1f} |"


def on_whowhen(results: dict[str, Any]) -> str:
    parts = ["## Results on Who&When's development half, w/o G, in %\n"]
    found = results["cross-validation"]
    others = {
        "without the rule list as a feature": results["without the rule list"],
        "content held like shape": results["content held like shape"],
    }
    for subset in (name for name in found if name != "both"):
        rows = {name: other[subset]["ranker"] for name, other in others.items()}
        parts.append(_table(subset, found[subset], rows))
    parts += [_calibration(found), _differences(found), _permutation(results["permutation test"])]
    parts.append(_transfer(results))
    return "\n".join(parts)


def _table(subset: str, cell: dict[str, Any], others: dict[str, Any]) -> str:
    lines = [
        f"### {subset} ({cell['n']} runs)\n",
        "| | " + " | ".join(heading for heading, _ in _COLUMNS) + " |",
        "|---|" + "---|" * len(_COLUMNS),
        "| **ranker, cross-validated** | " + _row(cell["ranker"], seeds=True),
        *(f"| {name} | " + _row(other, seeds=True) for name, other in others.items()),
    ]
    for name, rule in cell["rules"].items():
        lines.append(f"| {name}{' *' if rule['fitted'] else ''} | " + _row(rule, seeds=False))
    return "\n".join(lines) + "\n"


def _row(cell: dict[str, Any], *, seeds: bool) -> str:
    shown = []
    for _, metric in _COLUMNS:
        rate = cell[metric]
        spread = f" ±{100 * rate['sd_seeds']:.1f}" if seeds else ""
        ends = f"[{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"
        shown.append(f"{100 * rate['value']:.1f}{spread} {ends}")
    return " | ".join(shown) + " |"


def _calibration(found: dict[str, Any]) -> str:
    lines = [
        "\\* saw the labels that it is scored on, or was written with them in view.\n",
        "### Calibration (held-out folds)\n",
        "| | ECE, pooled | by seed | by chance | confidence | step at 50 % | 80 % set | size |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for subset, cell in found.items():
        one = cell["ranker"]
        lines.append(
            f"| {subset} | {one['ece']:.3f} | {one['ece_mean_of_seeds']:.3f} "
            f"| {one['ece_by_chance']:.3f} "
            f"| {one['confidence']:.2f} | {100 * one['accuracy_at_half_coverage']:.1f} "
            f"| {100 * one['set_coverage']:.0f} | {one['set_median_size']} |"
        )
    lines.append(
        "\nBy seed: what one pass over these runs shows. By chance: what perfect calibration would "
        "show on so few runs.\n"
    )
    return "\n".join(lines)


def _differences(found: dict[str, Any]) -> str:
    lines = [
        "### Paired differences: ranker less the best rule, in points\n",
        "| subset | figure | best rule | difference | runs better / worse | sign test p |",
        "|---|---|---|---|---|---|",
    ]
    for subset, cell in found.items():
        for name, one in cell.get("differences", {}).items():
            gain = f"{100 * one['value']:+.1f} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"
            split = f"{one['better']} / {one['worse']}"
            lines.append(
                f"| {subset} | {name} | {one['rule']} | {gain} | {split} | {one['p_value']:.2g} |"
            )
    return "\n".join(lines) + "\n"


def _permutation(found: dict[str, Any]) -> str:
    lines = ["### Permutation test: labels drawn at random\n"]
    for subset, cell in found.items():
        steps = cell["step_accuracy"]
        mean, most = sum(steps) / len(steps), max(steps)
        lines.append(
            f"- {subset}: step {100 * mean:.1f} % (at most {100 * most:.1f} % in {len(steps)} "
            f"draws); a uniform guess gets {100 * cell['chance']:.1f} %"
        )
    return "\n".join(lines) + "\n"


def _transfer(results: dict[str, Any]) -> str:
    lines = [
        "### Transfer weights, zero-shot (no Who&When log seen)\n",
        "| | " + " | ".join(heading for heading, _ in _COLUMNS) + " | confidence | ECE |",
        "|---|" + "---|" * (len(_COLUMNS) + 2),
    ]
    for subset, cell in results["transfer"].items():
        one = cell["ranker"]
        lines.append(
            f"| {subset} | {_row(one, seeds=False)} {one['confidence']:.2f} | {one['ece']:.3f} |"
        )
    new = results["transfer"]["both"]["ranker"]["out_of_distribution"]
    lines.append(
        f"\n{100 * new:.0f} % of these logs were out of distribution; such verdicts are marked "
        "uncalibrated.\n"
    )
    return "\n".join(lines)
