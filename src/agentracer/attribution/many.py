"""Many runs: side by side, streamed, and one that fails costs only itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from agentracer.errors import AgentracerError
from agentracer.trace import Trace
from agentracer.verdict import Verdict

if TYPE_CHECKING:
    from agentracer.attribution.tracer import Tracer

__all__ = ["Attribution", "Progress", "attributed", "in_thread"]

Progress = Callable[[int, int | None], None] | Literal[True] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What came of one run of many.

    Attributes:
        index: its position among those that were handed in.
        trace: the run.
        verdict: None where it failed.
        error: None where it did not.
    """

    index: int
    trace: Trace
    verdict: Verdict | None = None
    error: AgentracerError | None = None


def attributed(
    tracer: Tracer, traces: Iterable[Trace], progress: Progress
) -> Iterator[Attribution]:
    """See `Tracer.attribute_many`."""
    total = len(traces) if isinstance(traces, Sized) else None
    backend = tracer.backend
    width: int = tracer.concurrency or getattr(backend, "batch", None) or 1
    together = hasattr(backend, "attribute_batch") and not getattr(backend, "remote", False)
    results = _batches if together else _threads if width > 1 else _one_by_one
    with _shown(progress, total) as show:
        for done, one in enumerate(results(tracer, traces, width), start=1):
            show(done, total)
            yield one


async def in_thread(results: Iterator[Attribution]) -> AsyncIterator[Attribution]:
    """Results of a blocking iterator, without blocking the event loop."""
    end = object()
    try:
        while (one := await asyncio.to_thread(next, results, end)) is not end:
            assert isinstance(one, Attribution)  # noqa: S101 - for the type checker
            yield one
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            # A cancelled task leaves its thread inside the iterator, which then ends by itself.
            with suppress(ValueError):
                close()


def _attribution(index: int, trace: Trace, came: Verdict | AgentracerError) -> Attribution:
    if isinstance(came, AgentracerError):
        return Attribution(index=index, trace=trace, error=came)
    return Attribution(index=index, trace=trace, verdict=came)


def _one_by_one(tracer: Tracer, traces: Iterable[Trace], _: int) -> Iterator[Attribution]:
    for index, trace in enumerate(traces):
        yield _attribution(index, trace, tracer.attribute_batch([trace])[0])


def _batches(tracer: Tracer, traces: Iterable[Trace], width: int) -> Iterator[Attribution]:
    numbered = enumerate(traces)
    while batch := list(islice(numbered, width)):
        came = tracer.attribute_batch([trace for _, trace in batch])
        for (index, trace), one in zip(batch, came, strict=True):
            yield _attribution(index, trace, one)


def _threads(tracer: Tracer, traces: Iterable[Trace], width: int) -> Iterator[Attribution]:
    numbered = enumerate(traces)
    running: dict[Future[list[Verdict | AgentracerError]], tuple[int, Trace]] = {}
    pool = ThreadPoolExecutor(width, thread_name_prefix="agentracer-attribute")
    try:
        while True:
            for index, trace in islice(numbered, width - len(running)):
                running[pool.submit(tracer.attribute_batch, [trace])] = (index, trace)
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            # Those that are done at the same time come in order: less to wonder about.
            for future in sorted(finished, key=lambda one: running[one][0]):
                index, trace = running.pop(future)
                yield _attribution(index, trace, future.result()[0])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _shown(progress: Progress, total: int | None) -> Iterator[Callable[[int, int | None], None]]:
    if progress is None:
        yield lambda _done, _total: None
    elif progress is not True:
        yield progress
    else:
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("attributing", total=total)
            yield lambda done, _: bar.update(task, completed=done)
