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
        _how(results["procedure"]),
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
    if ours["train"]:
        counts = f"{len(ours['train'])} training runs, {len(ours['test'])} test runs"
        lines.append(f"- TracerTraj from our own testbed: {counts}; ids in `results.json`")
    else:
        lines.append("- TracerTraj from our own testbed: none yet")
    lines.append(
        "- Nothing else. The other half of Who&When was neither trained nor tuned on. It is not "
        "wholly unseen: the feasibility study that suggested many of the features had seen all 184 "
        "labels.\n"
    )
    return "\n".join(lines)


def _how(done: dict[str, Any]) -> str:
    return f"""## How

A conditional logit over the steps of a run with {done["weights"]} weights that are not 0, signs
fixed where a sign is common sense, drawn to 0 (or to a guess, for signals too rare to be measured)
by an L2 penalty of {" or ".join(f"{p:g}" for p in done["penalties"])}, chosen inside. Agents by a
power mean of their steps. Temperature {done["temperature"]}, 80 % set at mass {done["set_mass"]}.

Cross-validation: {done["outer_folds"]} folds grouped by question over both subsets together,
seeds {done["seeds"][0]} to {done["seeds"][-1]}, penalty and calibration chosen anew inside every
fold. Intervals are 95 % Wilson for the number of runs; ± is the deviation over seeds.
"""


def _results(results: dict[str, Any]) -> str:
    parts = ["## Results on Who&When's development half, w/o G, in %\n"]
    found, bare = results["cross-validation"], results["without the rule list"]
    subsets = [name for name in found if name != "both"]
    parts += [_table(subset, found[subset], bare[subset]) for subset in subsets]
    parts += [_calibration(found), _differences(found), _permutation(results["permutation test"])]
    if "transfer" in results:
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
    lines = ["### Transfer weights (no Who&When log seen)\n"]
    for subset, cell in results["transfer"].items():
        if subset != "both":
            lines.append(f"- {subset}: " + _row(cell["ranker"], seeds=False))
    for origin, cell in results["transfer, own test split"].items():
        lines += [
            f"- own test split, {origin}, {name}: " + _row(cell[name], seeds=False)
            for name in ("in_domain", "transfer")
        ]
    return "\n".join(lines) + "\n"


def _limits(results: dict[str, Any]) -> str:
    across = results["other kind of system"]
    return f"""## Limits

- The features and the rule list were designed by people who saw these logs and their labels. The
  row without the rule list shows what of the figures rests on that list; the rest of the design is
  still seen. Read everything as somewhat optimistic.
- Nested tuning covers the penalty and the calibration only. The list of features, the two penalties
  on offer, the balance between kinds of runs and the power of the agent head were settled after
  comparing some forty variants by cross-validation on these same logs.
- Supervised in-domain figures are not comparable with zero-shot figures of language models.
- It reads behaviour and checks sums, code and copied figures; it does not know whether a step is
  right. Replay does.
- On systems of another kind than those it was trained on (peers against managed, each way) the step
  accuracy was {100 * across["step_accuracy"]["value"]:.1f} %. Such runs are recognised by their
  shape ({100 * across["strange"]:.0f} % of them were), the verdict says uncalibrated, and
  confidence is drawn towards a blind guess (trust {results["strange_trust"]:g}).
- It was trained on failed runs only. It cannot tell a failed run from a successful one; `Tracer`
  abstains where the outcome says success, and calls a run of unknown outcome uncalibrated.
- English words; a run in another language loses those signals. Anybody who writes into a trace can
  sway it.
- Guessed weights, not measured here (too rare in these logs): wrong sums, miscopied figures,
  values that change, invented arguments, failed calls, errors, code that does not parse.
"""


_HEAD = """# Model card: the embedded tracer

Made by `python training/embedded.py`; every figure is in `results.json`. Shipped as the default:
the {shipped} weights. Intended use: an instant, offline, deterministic list of the steps to look at
first in a failed multi-agent run, and where to spend replays. Not for judging people or products.
"""
