"""Count calls and tokens per run of the judge methods, on a folder of logs.

Tokens that a prefix cache saves are counted apart: `read` is what a naive loop would prefill,
sending every prompt from its beginning, and `prefilled` what is really computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from agentracer.attribution.judge import LanguageModelBackend
from agentracer.errors import AgentracerError
from agentracer.formats import whowhen
from agentracer.trace import Trace
from agentracer.usage import Usage

__all__ = ["MethodCost", "as_dict", "measure", "render", "run"]


@dataclass(frozen=True, kw_only=True)
class MethodCost:
    """The cost of one method over some runs.

    Attributes:
        method: its name.
        subset: of the logs.
        runs: logs.
        failed: runs that ended in an error.
        usage: calls and tokens of all of them together.
        seconds: wall time.
    """

    method: str
    subset: str
    runs: int
    failed: int
    usage: Usage
    seconds: float

    @property
    def saved(self) -> float:
        """How many times fewer tokens are prefilled than a naive loop would."""
        return self.usage.input_tokens / max(self.usage.prefilled_tokens, 1)


def run(
    directory: Path | str,
    backend: LanguageModelBackend,
    methods: Sequence[str],
    *,
    ground_truth: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[MethodCost]:
    """Attribute every log below a folder with every method, and count.

    Raises:
        FormatError: a log cannot be read.
        ValueError: there is no such method.
    """
    groups: dict[str, list[Trace]] = {}
    for trace in whowhen.load_directory(directory):
        groups.setdefault(str(trace.metadata["subset"]), []).append(trace)
    jobs = [(method, subset) for method in methods for subset in sorted(groups)]
    costs = []
    for done, (method, subset) in enumerate(jobs, start=1):
        judge = backend.with_options(method=method)
        costs.append(measure(groups[subset], judge, subset=subset, ground_truth=ground_truth))
        if progress is not None:
            progress(done, len(jobs))
    return costs


def measure(
    traces: Sequence[Trace],
    backend: LanguageModelBackend,
    *,
    subset: str = "",
    ground_truth: bool = False,
) -> MethodCost:
    """Attribute runs with one backend, and count."""
    started, failed, before = time.perf_counter(), 0, backend.usage
    for trace in traces:
        truth = trace.ground_truth if ground_truth else None
        judgement = backend.attribute_batch([(trace.observed, truth)])[0]
        failed += isinstance(judgement, AgentracerError)
    return MethodCost(
        method=backend.method,
        subset=subset,
        runs=len(traces),
        failed=failed,
        usage=backend.usage - before,
        seconds=time.perf_counter() - started,
    )


def as_dict(costs: Sequence[MethodCost]) -> list[dict[str, Any]]:
    """The costs as JSON data, per run."""
    return [
        {
            "method": cost.method,
            "subset": cost.subset,
            "runs": cost.runs,
            "failed": cost.failed,
            "calls_per_run": cost.usage.model_calls / cost.runs,
            "read_tokens_per_run": cost.usage.input_tokens / cost.runs,
            "prefilled_tokens_per_run": cost.usage.prefilled_tokens / cost.runs,
            "output_tokens_per_run": cost.usage.output_tokens / cost.runs,
            "times_fewer_prefilled": cost.saved,
            "seconds_per_run": cost.seconds / cost.runs,
        }
        for cost in costs
    ]


def render(costs: Sequence[MethodCost], *, model: str = "") -> RenderableType:
    """A table for `rich.console.Console.print`; figures are means per run."""
    table = Table(title=Text(f"{model} per run".strip()), title_justify="left")
    for name in ("subset", "method"):
        table.add_column(name)
    for name in ("runs", "calls", "tokens read", "prefilled", "times fewer", "written"):
        table.add_column(name, justify="right")
    for cost in costs:
        runs = f"{cost.runs}" + (f" ({cost.failed} failed)" if cost.failed else "")
        table.add_row(
            Text(cost.subset),
            Text(cost.method),
            runs,
            f"{cost.usage.model_calls / cost.runs:.1f}",
            f"{cost.usage.input_tokens / cost.runs:,.0f}",
            f"{cost.usage.prefilled_tokens / cost.runs:,.0f}",
            f"{cost.saved:.1f}",
            f"{cost.usage.output_tokens / cost.runs:,.0f}",
        )
    return table
