"""What the methods cost, counted without a model."""

import pytest
from rich.console import Console

from agentracer.attribution import Tracer
from agentracer.attribution.judge import LanguageModelBackend
from agentracer.attribution.language_models.counting import CountingModel
from agentracer.attribution.methods import METHODS
from agentracer.formats import whowhen
from agentracer.lab.bench import cost

TEXT_METHODS = sorted(set(METHODS) - {"prefill"})


def counting(**options):
    return LanguageModelBackend(CountingModel(**options))


@pytest.mark.slow
def test_step_by_step_prefills_at_least_five_times_less_than_the_naive_loop(whowhen_logs):
    """On the development half; the naive loop of the benchmark's authors sends every prefix."""
    found = {
        (one.method, one.subset): one
        for one in cost.run(whowhen_logs, counting(), ["all-at-once", "step-by-step"])
    }
    for subset in ("Algorithm-Generated", "Hand-Crafted"):
        step, whole = found["step-by-step", subset], found["all-at-once", subset]
        assert step.failed == whole.failed == 0
        assert step.saved >= 5
        assert step.usage.prefilled_tokens < 1.5 * whole.usage.prefilled_tokens


def test_every_method_is_counted_and_printed(whowhen_logs):
    costs = cost.run(whowhen_logs / "Algorithm-Generated", counting(), TEXT_METHODS)
    assert {one.method for one in costs} == set(TEXT_METHODS)
    assert all(one.usage.model_calls >= one.runs for one in costs)
    console = Console(record=True, width=160)
    console.print(cost.render(costs, model="counting"))
    assert "step-by-step" in console.export_text()
    assert {row["subset"] for row in cost.as_dict(costs)} == {"Algorithm-Generated"}


def test_the_longest_logs_are_attributed_with_small_windows_that_are_told(whowhen_logs):
    traces = whowhen.load_directory(whowhen_logs / "Hand-Crafted")
    longest = sorted(traces, key=lambda trace: sum(map(len, map(str, trace.steps))))[-3:]
    for context in (4_096, 8_192, 32_768):
        tracer = Tracer(counting(context=context))
        for trace in longest:
            verdict = tracer.attribute(trace)
            told = " ".join(verdict.notes)
            assert "overlapping windows" in told
            assert f"{len(trace.steps) - 1}" in told
            assert verdict.provenance.usage.model_calls > 1
