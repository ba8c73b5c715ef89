"""Benchmarks of failure attribution: strict scores with intervals, trivial rules beside them."""

from agentracer.bench import tracertraj, whowhen
from agentracer.bench.evaluation import Report, SubsetReport
from agentracer.bench.metrics import Prediction, Rate, Scores, score, wilson
from agentracer.bench.output import markdown, write_folder
from agentracer.bench.report import as_dict, render
from agentracer.bench.whowhen import run, score_predictions

__all__ = [
    "Prediction",
    "Rate",
    "Report",
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
    "wilson",
    "write_folder",
]
