"""Print many traces to a terminal, one line each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from agentracer.report import formatting
from agentracer.report.terminal.console_writer import flat, outcome_of, plain
from agentracer.trace import Trace

__all__ = ["TraceRow", "print_traces"]

_SIZE = 4
_PIPE_WIDTH = 160


@dataclasses.dataclass(frozen=True, slots=True)
class TraceRow:
    """One line of `agentracer list`: the facts of a trace that a store has without reading it all.

    Attributes:
        id: the trace.
        started_at: seconds since the epoch, if known.
        framework: the framework that ran it, if known.
        steps: number of steps.
        outcome: in the words of `formatting.outcome`.
        task: the task of the system.
        size: of its file, such as `1.4 MB`; empty where there is none.
    """

    id: str
    started_at: float | None
    framework: str | None
    steps: int
    outcome: str
    task: str
    size: str = ""

    @classmethod
    def of(cls, trace: Trace) -> TraceRow:
        """Return the row of a trace that is in memory."""
        return cls(
            id=trace.id,
            started_at=trace.started_at,
            framework=trace.observed.framework,
            steps=len(trace.steps),
            outcome=formatting.run_outcome(trace),
            task=trace.task,
        )


def print_traces(rows: Iterable[TraceRow], console: Console) -> None:
    """Print a table of traces.

    Args:
        rows: the traces, in the order to print them.
        console: where to.
    """
    lines = [_cells(row) for row in rows]
    if not lines:
        console.print(plain("no traces", "dim"))
        return
    names = ["id", "when", "framework", "steps", "size", "outcome", "task"]
    lines.insert(0, [plain(name, "dim") for name in names])
    # A pipe has no width of its own that the task would have to give way to.
    width = console.width if console.is_terminal else _PIPE_WIDTH
    widths = [max(line[column].cell_len for line in lines) + 2 for column in range(len(names))]
    if not any(line[_SIZE].plain for line in lines[1:]):
        sized: list[list[Any]] = [names, widths, *lines]
        for column in sized:
            del column[_SIZE]  # traces that are in no store
    if width - sum(widths[:-1]) < 24:
        columns: list[list[Any]] = [names, widths, *lines]
        for column in columns:
            del column[2]  # the framework is the least important column
    room = max(12, width - sum(widths[:-1]))
    for line in lines:
        line[-1].truncate(room, overflow="ellipsis")
        for cell, name, wide in zip(line[:-1], names, widths, strict=False):
            gap = wide - 2 - cell.cell_len
            cell.pad_left(gap) if name in ("steps", "size") else cell.pad_right(gap)
        console.print(Text("  ").join(line), no_wrap=True, crop=False, overflow="ignore")


def _cells(row: TraceRow) -> list[Text]:
    return [
        plain(row.id, "bold"),
        plain(formatting.timestamp(row.started_at)),
        plain(row.framework or ""),
        plain(f"{row.steps:,}"),
        plain(row.size),
        outcome_of(row.outcome.split(":")[0]),
        plain(flat(row.task[:400])),
    ]
