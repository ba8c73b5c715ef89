"""Score a tracer on a folder of Who&When logs (arXiv 2505.00212).

Its two subsets, Algorithm-Generated and Hand-Crafted, are different tasks and never pooled.
"""

from __future__ import annotations

import time
from pathlib import Path

from agentracer.attribution import Tracer
from agentracer.formats import whowhen
from agentracer.lab.bench.evaluation import BenchmarkReport, Progress, SubsetReport, evaluate
from agentracer.lab.bench.predictions import report_of_predictions
from agentracer.trace import Trace

__all__ = ["BenchmarkReport", "SubsetReport", "run", "score_predictions"]

NAME = "Who&When"


def run(
    directory: Path | str,
    tracer: Tracer | None = None,
    *,
    scorer: str = "strict",
    progress: Progress | None = None,
) -> BenchmarkReport:
    """Attribute every log below a folder and score the verdicts.

    Args:
        directory: a subset's folder, or one with subsets as folders in it.
        tracer: the embedded one by default. Make it with `ground_truth=True` for w/ G.
        scorer: `strict`, or `official` for the substring test of the benchmark's authors.
        progress: called after each log with the number done and the number of all.

    Raises:
        FormatError: a log cannot be read, or a subset has no labelled log.
        BackendError: the tracer's backend failed.
        ValueError: the tracer lists fewer than 5 candidates, or there is no such scorer.
    """
    return evaluate(
        whowhen.load_directory(directory),
        tracer or Tracer(),
        benchmark=NAME,
        source=directory,
        subset_of=_subset,
        scorer=scorer,
        progress=progress,
    )


def score_predictions(
    directory: Path | str, predictions: Path | str, *, scorer: str = "strict"
) -> BenchmarkReport:
    """Score predictions that were made elsewhere; see `predictions`.

    Raises:
        FormatError: a log or the file of predictions cannot be read, or they do not fit.
        ValueError: there is no such scorer.
    """
    started = time.perf_counter()
    traces = whowhen.load_directory(directory)
    return report_of_predictions(
        traces,
        predictions,
        benchmark=NAME,
        source=directory,
        subset_of=_subset,
        scorer=scorer,
        started=started,
    )


def _subset(trace: Trace) -> str:
    return str(trace.metadata["subset"])
