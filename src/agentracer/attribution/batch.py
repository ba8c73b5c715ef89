"""Attribute many runs: in batches or threads, streamed, each failure kept to its own run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from agentracer.errors import AgentracerError
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["AttributeBatch", "BatchItem", "Progress", "attribute_all", "iterate_in_thread"]

Progress = Callable[[int, int | None], None] | Literal[True] | None
AttributeBatch = Callable[[Sequence[Trace]], list[Verdict | AgentracerError]]
"""Attributes some runs, and returns one result for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """The result of one run among many.

    Attributes:
        index: its position in the input.
        trace: the run.
        verdict: None where it failed.
        error: None where it did not.
    """

    index: int
    trace: Trace
    verdict: Verdict | None = None
    error: AgentracerError | None = None


def attribute_all(
    attribute: AttributeBatch,
    traces: Iterable[Trace],
    *,
    width: int,
    batched: bool,
    progress: Progress = None,
) -> Iterator[BatchItem]:
    """Attribute runs, and yield each result as soon as it is there. Reads `traces` as needed.

    Args:
        attribute: attributes a batch.
        traces: the runs.
        width: runs in a batch, or threads at a time.
        batched: call `attribute` with `width` runs at a time; otherwise with single runs in
            `width` threads.
        progress: called with the number done and the number of all (None if unknown); True draws a
            bar on standard error.
    """
    total = len(traces) if isinstance(traces, Sized) else None
    run = _in_threads if width > 1 and not batched else _in_batches
    with _progress_callback(progress, total) as report:
        for done, attribution in enumerate(run(attribute, traces, width), start=1):
            report(done, total)
            yield attribution


async def iterate_in_thread(results: Iterator[BatchItem]) -> AsyncIterator[BatchItem]:
    """Yield the results of a blocking iterator without blocking the event loop."""
    end = object()
    try:
        while (item := await asyncio.to_thread(next, results, end)) is not end:
            assert isinstance(item, BatchItem)  # noqa: S101 - for the type checker
            yield item
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            # A cancelled task leaves its thread inside the iterator, which then ends by itself.
            with suppress(ValueError):
                close()


def _attribution(index: int, trace: Trace, result: Verdict | AgentracerError) -> BatchItem:
    if isinstance(result, AgentracerError):
        return BatchItem(index=index, trace=trace, error=result)
    return BatchItem(index=index, trace=trace, verdict=result)


def _in_batches(
    attribute: AttributeBatch, traces: Iterable[Trace], width: int
) -> Iterator[BatchItem]:
    numbered = enumerate(traces)
    while batch := list(islice(numbered, width)):
        results = attribute([trace for _, trace in batch])
        for (index, trace), result in zip(batch, results, strict=True):
            yield _attribution(index, trace, result)


def _in_threads(
    attribute: AttributeBatch, traces: Iterable[Trace], width: int
) -> Iterator[BatchItem]:
    numbered = enumerate(traces)
    running: dict[Future[list[Verdict | AgentracerError]], tuple[int, Trace]] = {}
    pool = ThreadPoolExecutor(width, thread_name_prefix="agentracer-attribute")
    try:
        while True:
            for index, trace in islice(numbered, width - len(running)):
                running[pool.submit(attribute, [trace])] = (index, trace)
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            # Runs that finish at the same time are yielded in the order of the input.
            for future in sorted(finished, key=lambda future: running[future][0]):
                index, trace = running.pop(future)
                yield _attribution(index, trace, future.result()[0])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _progress_callback(
    progress: Progress, total: int | None
) -> Iterator[Callable[[int, int | None], None]]:
    if progress is None:
        yield lambda _done, _total: None
    elif progress is not True:
        yield progress
    else:
        from rich.console import Console
        from rich.progress import Progress as ProgressBar

        with ProgressBar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("attributing", total=total)
            yield lambda done, _: bar.update(task, completed=done)
