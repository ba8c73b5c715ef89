"""The data set card: what was collected, counted from the rows themselves.

Trivial rules are part of it: a data set in which a constant step or the busiest agent is often
right measures little else (of the paper's public rows, "always Engineer" names 72 % of the agents).
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentracer._version import __version__
from agentracer.lab.collect.collection import Collection

__all__ = ["card", "trivial_rules"]

Row = Mapping[str, Any]


def trivial_rules(rows: Sequence[Row]) -> dict[str, float]:
    """How often rules are right that read nothing: shares of the rows, by rule."""
    if not rows:
        return {}
    steps = [int(row["mistake_step"]) for row in rows]
    lengths = [len(row["history"]) for row in rows]
    names = [[entry["name"] for entry in row["history"]] for row in rows]
    agents = [row["mistake_agent"] for row in rows]
    constant, times = Counter(steps).most_common(1)[0]
    name, named = Counter(agents).most_common(1)[0]
    deciles = Counter(round(10 * s / max(1, n - 1)) for s, n in zip(steps, lengths, strict=True))
    n = len(rows)
    busiest = [Counter(spoke).most_common(1)[0][0] for spoke in names]
    return {
        f"step: always {constant} (the best constant)": times / n,
        "step: first": steps.count(0) / n,
        "step: last": sum(s == k - 1 for s, k in zip(steps, lengths, strict=True)) / n,
        "step: at random": sum(1 / k for k in lengths) / n,
        "step: most frequent tenth of the run": deciles.most_common(1)[0][1] / n,
        f"agent: always {name} (the best constant)": named / n,
        "agent: most active": sum(a == b for a, b in zip(agents, busiest, strict=True)) / n,
        "agent: first to speak": sum(a == s[0] for a, s in zip(agents, names, strict=True)) / n,
        "agent: at random": sum(1 / len(set(spoke)) for spoke in names) / n,
    }


def card(
    rows: Sequence[Row],
    results: Sequence[Mapping[str, Any]],
    collected: Collection,
    facts: Mapping[str, Any],
) -> str:
    """The text of the card."""
    sections = [
        _header(rows),
        _how(facts, collected),
        _composition(rows, results),
        _steps(rows),
        _kinds(rows),
        _rules(rows),
        _FIELDS,
        _LIMITS,
    ]
    return "\n\n".join(sections) + "\n"


def _header(rows: Sequence[Row]) -> str:
    size = "n<1K" if len(rows) < 1_000 else "1K<n<10K" if len(rows) < 10_000 else "10K<n<100K"
    return (
        "---\nlanguage: en\nlicense: apache-2.0\ntask_categories: [text-classification]\n"
        f"tags: [multi-agent, failure-attribution, synthetic]\nsize_categories: [{size}]\n"
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train.jsonl\n"
        "  - split: test\n    path: test.jsonl\n---\n\n# TracerTraj (testbed)\n\n"
        "Failed runs of multi-agent systems, each with the agent and the step that made it fail."
    )


def _how(facts: Mapping[str, Any], collected: Collection) -> str:
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(collected.outcomes.items()))
    settings = ", ".join(f"{key} {value}" for key, value in sorted(facts.items()))
    return (
        "## How it was made\n\n"
        f"`agentracer collect` {__version__} ({settings}). The systems are real ones of the "
        "frameworks named, with real tools; the model behind them is *scripted* (a seeded policy "
        "with planned mistakes), so this is a synthetic data set.\n\n"
        f"Runs: {outcomes}. *Natural* failures are labelled by counterfactual replay: the earliest "
        "step whose correction makes the run succeed, where a control without the correction does "
        "not. Failures of which no single step is decisive are in `undecided.jsonl`, without "
        f"labels. Left out as duplicates: {collected.duplicates}. The mistake is known by "
        f"construction, too: of {collected.audited} failures, the label (or its absence) agrees "
        f"with that in {collected.agreeing}."
    )


def _composition(rows: Sequence[Row], results: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "## Composition\n",
        "| domain | framework | topology | runs | failed | labelled train | test | injected |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    groups = Counter((r["domain"], r["framework"], r["topology"]) for r in results)
    for group in sorted(groups):
        of = [r for r in results if (r["domain"], r["framework"], r["topology"]) == group]
        failed = sum(r["outcome"] in ("failure", "undecided") for r in of)
        mine = [r for r in rows if (r["domain"], r["framework"], r["topology"]) == group]
        split = Counter(row["split"] for row in mine)
        injected = sum(row["origin"] == "injected" for row in mine)
        lines.append(
            f"| {' | '.join(group)} | {len(of)} | {failed} | {split['train']} | {split['test']} "
            f"| {injected} |"
        )
    split = Counter(row["split"] for row in rows)
    tasks = len({row["question_ID"] for row in rows})
    lines.append(
        f"\n{len(rows)} rows ({split['train']} train, {split['test']} test) about {tasks} tasks. "
        "A task is in one split only."
    )
    return "\n".join(lines)


def _steps(rows: Sequence[Row]) -> str:
    if not rows:
        return "## Lengths\n\nNo rows."
    lengths = sorted(len(row["history"]) for row in rows)
    steps = sorted(int(row["mistake_step"]) for row in rows)
    return (
        "## Lengths\n\n"
        f"Steps of a run: mean {statistics.mean(lengths):.1f}, median "
        f"{statistics.median(lengths):g}, {lengths[0]} to {lengths[-1]}. Decisive step: mean "
        f"{statistics.mean(steps):.1f}, median {statistics.median(steps):g}, {steps[0]} to "
        f"{steps[-1]} (0-based)."
    )


_RARE = 0.005  # of all rows: kinds of mistakes below that are counted together


def _kinds(rows: Sequence[Row]) -> str:
    kinds = Counter(
        f"{row['origin']}: {row['operator'] or row['mistake_kind'] or 'unknown'}" for row in rows
    )
    lines = ["## Mistakes\n", "| mistake | rows |", "|---|---:|"]
    common = [(kind, n) for kind, n in kinds.most_common() if n >= _RARE * len(rows)]
    lines += [f"| {kind} | {count} |" for kind, count in common]
    rest = len(rows) - sum(count for _, count in common)
    if rest:
        lines.append(f"| {len(kinds) - len(common)} kinds below {_RARE:.1%} each | {rest} |")
    return "\n".join(lines)


def _rules(rows: Sequence[Row]) -> str:
    return "\n".join(["## What trivial rules score\n", *_table(rows)])


def _table(rows: Sequence[Row]) -> Iterator[str]:
    parts = {
        "all": rows,
        "natural": [row for row in rows if row["origin"] == "natural"],
        "injected": [row for row in rows if row["origin"] == "injected"],
    }
    yield "| rows | rule | right |"
    yield "|---|---|---:|"
    for name, part in parts.items():
        for rule, share in trivial_rules(part).items():
            yield f"| {name} ({len(part)}) | {rule} | {100 * share:.1f} % |"


_FIELDS = """\
## Fields

`question_ID, question, ground_truth, history, mistake_agent, mistake_step, mistake_reason` as in
the public TracerTraj (`history`: role, name, content; `mistake_step`: 0-based text). Beyond them:
`domain, framework, topology, origin` (natural or injected), `operator` (what was injected),
`pattern` and `mistake_kind` (how the scripted model went wrong; not an input for attribution),
`verification` (replays with and without the correction, which steps were tried), `split`, and
`trace`, the whole run in agentracer's schema, with what every step read."""

_LIMITS = """\
## Limits

The language is that of a script: a few wordings, lines of a fixed form. A model that is trained on
these rows alone learns this script. Use them to test pipelines and to pretrain on structure, hold
out by domain and framework, and report numbers on human-labelled runs (Who&When) apart. Questions
from GSM8K (MIT) and MBPP+ (Apache-2.0) keep the licences of their sources."""
