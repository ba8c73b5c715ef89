"""Benchmarks of failure attribution: strict scores with intervals, trivial rules beside them."""

from agentracer.lab.bench import tracertraj, whowhen
from agentracer.lab.bench.evaluation import BenchmarkReport, SubsetReport
from agentracer.lab.bench.metrics import Prediction, Scores, score
from agentracer.lab.bench.output import markdown, write_folder
from agentracer.lab.bench.report import as_dict, render
from agentracer.lab.bench.whowhen import run, score_predictions

__all__ = [
    "BenchmarkReport",
    "Prediction",
    "Scores",
    "SubsetReport",
    "as_dict",
    "markdown",
    "render",
    "run",
    "score",
    "score_predictions",
    "tracertraj",
    "whowhen",
    "write_folder",
]
