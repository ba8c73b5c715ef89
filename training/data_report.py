"""Statistics of training data, printed before training.

They show lengths, positions of the labels, and the scores of trivial rules: where a constant step
is often right, a model learns to answer that step.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from agentracer.attribution.language_models import chat
from agentracer.lab.bench.rules import baselines
from agentracer.trace import Trace
from training.corpus import Loaded, tasks
from training.data import Example

__all__ = ["data_report", "print_report"]


def data_report(loaded: Loaded, prompts: Sequence[Example], tokenizer: Any) -> dict[str, Any]:
    """Return statistics of loaded data and of its prompts, as JSON data."""
    tokens = [len(chat.encode(tokenizer, one.prompt).ids) for one in prompts]
    return {
        "train": _of_traces(loaded.train),
        "test": _of_traces(loaded.test),
        "left out": dict(loaded.skipped),
        "prompts": len(prompts),
        "prompts without a decisive step": sum(one.step is None for one in prompts),
        "prompts that are windows": sum("/" in one.id for one in prompts),
        "prompt tokens": _spread(tokens),
    }


def _of_traces(traces: Sequence[Trace]) -> dict[str, Any]:
    lengths = [len(trace.steps) for trace in traces]
    labels = [trace.labels[0].step for trace in traces]
    tenths = Counter(
        min(10 * label // length, 9) for label, length in zip(labels, lengths, strict=True)
    )
    return {
        "traces": len(traces),
        "tasks": len({task for trace in traces for task in tasks(trace)}),
        "steps": _spread(lengths),
        "labelled step": _spread(labels),
        "labels by tenth of the run": [tenths[tenth] for tenth in range(10)],
        "trivial rules (agent, step)": {
            one.name: tuple(
                round(one.scores.rates[f"{kind}_accuracy"].value, 3) for kind in ("agent", "step")
            )
            for one in baselines(traces)
        },
    }


def _spread(numbers: Sequence[int]) -> dict[str, float]:
    ordered = sorted(numbers)
    return {
        "mean": round(statistics.mean(ordered), 1),
        "median": statistics.median(ordered),
        "95 %": ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)],
        "max": ordered[-1],
    }


def print_report(report: dict[str, Any], depth: int = 0) -> None:
    """Print statistics as an indented list."""
    for key, value in report.items():
        if isinstance(value, dict):
            plain = not any(isinstance(inner, dict) for inner in value.values())
            if plain and len(value) <= 4:
                text = ", ".join(f"{name} {inner}" for name, inner in value.items())
                print(f"{'  ' * depth}{key}: {text}")
            else:
                print(f"{'  ' * depth}{key}:")
                print_report(value, depth + 1)
        else:
            print(f"{'  ' * depth}{key}: {value}")
