"""The model card of the embedded tracer, made from `results.json` and nothing else."""

from __future__ import annotations

from typing import Any

__all__ = ["render_card"]

_COLUMNS = (
    ("agent", "agent_accuracy"),
    ("step", "step_accuracy"),
    ("±1", "step_within_1"),
    ("±3", "step_within_3"),
    ("top-3", "step_top3"),
    ("top-5", "step_top5"),
)


def render_card(results: dict[str, Any]) -> str:
    """The card as Markdown. The same results give the same card, byte for byte."""
    parts = [
        _HEAD.format(shipped=results["shipped"].replace("_", "-")),
        _data(results["data"]),
        _how(results),
        _own_systems(results),
        _results(results),
        _limits(results),
    ]
    return "\n".join(parts)


def _data(data: dict[str, Any]) -> str:
    lines = ["## Data\n"]
    for subset, files in data["whowhen"].items():
        names = ", ".join(name.removesuffix(".json") for name in files)
        lines.append(f"- Who&When (MIT), {subset}, development half, {len(files)} logs: {names}")
    lines.append(f"- Different questions over both subsets: {data['questions']}")
    ours = data["tracertraj"]
    lines.append(
        f"- TracerTraj from our own testbed (scripted teams on real frameworks): "
        f"{len(ours['train'])} training runs, {len(ours['test'])} test runs of other tasks; ids in "
        "`results.json`"
    )
    lines.append(
        "- Nothing else. The other half of Who&When was neither trained nor tuned on. It is not "
        "wholly unseen: the feasibility study that suggested many of the features had seen all 184 "
        "labels.\n"
    )
    return "\n".join(lines)


def _how(results: dict[str, Any]) -> str:
    done, ship = results["procedure"], results["which to ship"]
    transfer, in_domain = done["models"]["transfer"], done["models"]["in_domain"]
    first, second = (
        " or ".join(f"{p:g}" for p in done[key]) for key in ("penalties", "in_domain_penalties")
    )
    places = list(ship["transfer"])
    lines = [
        "| step, in % | " + " | ".join(places) + " | mean |",
        "|---|" + "---|" * (len(places) + 1),
    ]
    for name in ("transfer", "in_domain"):
        cells = [f"{100 * ship[name][place]:.1f}" for place in places]
        cells.append(f"{100 * ship['mean'][name]:.1f}")
        lines.append(f"| {name.replace('_', '-')} | {' | '.join(cells)} |")
    return (
        f"""## How

A conditional logit over the steps of a run; signs fixed where a sign is common sense. *Transfer*
({transfer["weights"]} weights that are not 0): trained on TracerTraj alone, drawn to the priors of
the catalogue by an L2 penalty of {first}, and {done["shape_firmness"]:g} times as strongly where
a feature tells of the shape of a run, or of a habit that may point either way, and not of something
checked. (That habits count as shape was decided after the demo's coding team, a system of neither
data set, had shown 0 of 60 steps right without it.) The priors of shape are the rule
"first worker step", which saw no label; that it does well on Who&When was known, and three sets of
such priors were looked at there before the plainest was taken. How firmly shape is held was raised
from 50 to 200 after figures for both had been seen there, so the transfer figures on Who&When are
not those of a clean zero-shot choice. Of penalties 4 and 10, 10 is as good or better with whole
systems left out (natural failures); figures for both had been seen on Who&When, too. Findings
against a step start at 1 (0, 0.3, 0.6, 1 were compared with whole domains left out), so that one
that no training run had still counts. The rule list is no feature of it.
Its calibration is measured on frameworks left out. *In-domain* ({in_domain["weights"]} weights):
adapted to Who&When's development half from the weights of checked content alone, with a
penalty of {second}, and calibrated there; the shape of these runs is learnt anew.
Penalties are chosen inside. Agents by a power mean of their steps.

Cross-validation on Who&When: {done["outer_folds"]} folds grouped by question over both subsets
together, seeds {done["seeds"][0]} to {done["seeds"][-1]}, penalty and calibration chosen anew
inside every fold. Intervals are 95 % Wilson for the number of runs; ± is the deviation over seeds.

Which weights ship: those with the better mean on systems that neither had seen (each topology of
TracerTraj, natural failures; each kind of system of Who&When, the in-domain weights adapted to the
other kind):

"""
        + "\n".join(lines)
        + "\n"
    )


_HEADINGS = (
    "| left out or weights | failures | n | agent | step | top-3 | best rule, step | times | ECE "
    "| confidence less accuracy | step at 50 % |"
)


def _own_systems(results: dict[str, Any]) -> str:
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


def _results(results: dict[str, Any]) -> str:
    parts = ["## Results on Who&When's development half, w/o G, in %\n"]
    found, bare = results["cross-validation"], results["without the rule list"]
    subsets = [name for name in found if name != "both"]
    parts += [_table(subset, found[subset], bare[subset]) for subset in subsets]
    parts += [_calibration(found), _differences(found), _permutation(results["permutation test"])]
    parts.append(_transfer(results))
    return "\n".join(parts)


def _table(subset: str, cell: dict[str, Any], bare: dict[str, Any]) -> str:
    lines = [
        f"### {subset} ({cell['n']} runs)\n",
        "| | " + " | ".join(heading for heading, _ in _COLUMNS) + " |",
        "|---|" + "---|" * len(_COLUMNS),
        "| **ranker, cross-validated** | " + _row(cell["ranker"], seeds=True),
        "| without the rule list as a feature | " + _row(bare["ranker"], seeds=True),
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
        "\\* saw the labels that it is scored on, or was written by somebody who had.\n",
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
                f"| {subset} | {name} | {one['rule']} | {gain} | {split} | {one['p_value']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def _permutation(found: dict[str, Any]) -> str:
    lines = ["### Permutation test: labels drawn at random\n"]
    for subset, cell in found.items():
        steps = cell["step_accuracy"]
        mean, most = sum(steps) / len(steps), max(steps)
        lines.append(
            f"- {subset}: step {100 * mean:.1f} % (at most {100 * most:.1f} % in {len(steps)} "
            f"draws); a blind guess gets {100 * cell['chance']:.1f} %"
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
    strange = results["transfer"]["both"]["ranker"]["strange"]
    lines.append(
        f"\n{100 * strange:.0f} % of these logs were recognised as of a strange shape; such "
        "verdicts are marked uncalibrated.\n"
    )
    return "\n".join(lines)


def _limits(results: dict[str, Any]) -> str:
    domains = results["held-out systems"]["domain"]
    worst = min(
        (name for name in domains if name != "all"),
        key=lambda name: domains[name]["natural"]["step_accuracy"]["value"],
    )
    low = 100 * domains[worst]["natural"]["step_accuracy"]["value"]
    trust = results["strange_trust"]
    return f"""## Limits

- The features were designed by people who saw the development half of Who&When and training runs of
  TracerTraj, and what kinds of mistakes the testbed plans. The row without the rule list shows what
  of the Who&When figures rests on that list. Read everything as somewhat optimistic.
- TracerTraj is made by scripted models with a few wordings: its figures show what checks of the
  content can do where parts, values, sources and code can be told apart, and not what they will do
  on free prose. In Who&When, where steps rarely name their parts, they hardly speak.
- What was learnt on other domains holds only in part: with '{worst}' left out the step accuracy is
  {low:.0f} %.
- Nested tuning covers the penalty and the calibration only. The list of features and the other
  settings were compared by cross-validation on these same runs.
- Supervised in-domain figures are not comparable with zero-shot figures of language models.
- It does not run code: a bug in code that passes its tests is found by chance or not at all.
- Strange runs are drawn towards a blind guess: trust {trust["shape"]:g} where the shape is strange,
  {trust["content"]:g} where the kinds of content are. Both were chosen on the same systems left
  out that are reported above, the latter on three domains only: a fourth may be harder than these.
- It was trained on failed runs only. It cannot tell a failed run from a successful one; `Tracer`
  abstains where the outcome says success, and calls a run of unknown outcome uncalibrated.
- English words; a run in another language loses those signals. Anybody who writes into a trace can
  sway it.
"""


_HEAD = """# Model card: the embedded tracer

Made by `python training/embedded.py`; every figure is in `results.json`. Shipped as the default:
the {shipped} weights. Intended use: an instant, offline, deterministic list of the steps to look at
first in a failed multi-agent run, and where to spend replays. Not for judging people or products.
"""
