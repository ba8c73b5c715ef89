"""Benchmarks of failure attribution: strict scores with intervals, trivial rules beside them."""

from agentracer.bench.metrics import Prediction, Rate, Scores, score, wilson
from agentracer.bench.report import as_dict, render
from agentracer.bench.whowhen import Report, run

__all__ = ["Prediction", "Rate", "Report", "Scores", "as_dict", "render", "run", "score", "wilson"]
