"""How late an event reaches the disk on a busy event loop, and whether memory grows with runs.

Parts of `capture.py`. The delay is that of each single event: from the moment at which it is
recorded on the loop until the thread has written it. Memory is what the process holds (resident
size, after a collection) while real LangGraph runs come and go, a share of them streams that their
reader leaves after the first item.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import agentracer
from agentracer.event_writer import EventWriter, write_pending
from agentracer.recorder import RunRecorder
from agentracer.store import Journal

CONCURRENT_RUNS = 100
STEPS = 20
PAUSE = 0.05  # seconds that a run waits in each step, as for a fast model
TEXT = "lorem ipsum dolor " * 110  # 2 kB
ABANDONED = 4  # one of so many runs is a stream that is left


def delays_on_a_loop() -> list[float]:
    """Milliseconds from recording to disk of each event of 100 concurrent runs, sorted."""
    with _timed() as delays:
        asyncio.run(_many_runs())
        write_pending()
    return sorted(delays)


async def _many_runs() -> None:
    await asyncio.gather(*(_run(number) for number in range(CONCURRENT_RUNS)))
    await asyncio.sleep(0.2)


async def _run(number: int) -> None:
    async with agentracer.record(f"run {number}") as run:
        recorder: RunRecorder = run.recorder
        for turn in range(STEPS):
            reads = [recorder.message("user", f"turn {turn} of run {number}: {TEXT}")]
            step = recorder.begin_step("agent", reads=reads)
            await asyncio.sleep(PAUSE)
            recorder.end_step(step, content=f"{turn} {TEXT}")


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Note when each line is recorded, and when it has been written."""
    recorded: dict[int, float] = {}  # by the identity of the line, which lives until it is written
    delays: list[float] = []
    append, write = EventWriter.append, Journal.append

    def noted_append(writer: EventWriter, line: bytes) -> None:
        recorded[id(line)] = time.perf_counter()
        append(writer, line)

    def noted_write(journal: Journal, line: bytes) -> Any:
        result = write(journal, line)
        delays.append((time.perf_counter() - recorded.pop(id(line))) * 1e3)
        return result

    with (
        mock.patch.object(EventWriter, "append", noted_append),
        mock.patch.object(Journal, "append", noted_write),
    ):
        yield delays


def memory_by_runs(runs: int, every: int) -> list[tuple[int, float]]:
    """Resident size in MB after each `every` runs of a small LangGraph graph.

    Args:
        runs: how many.
        every: after how many the size is taken; the traces are removed then.
    """
    run, stream = _graph()
    sizes = []
    agentracer.instrument("langgraph")
    try:
        for number in range(1, runs + 1):
            (stream if number % ABANDONED == 0 else run)()
            if number % every == 0:
                gc.collect()
                sizes.append((number, _resident()))
                _remove_traces()
    finally:
        agentracer.uninstrument()
    return sizes


def _graph() -> tuple[Callable[[], None], Callable[[], None]]:
    """Two ways to use a graph of two nodes: to its end, and a stream that is left."""
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langgraph.graph import MessagesState, StateGraph

    def answer(state: MessagesState) -> dict[str, Any]:
        model = GenericFakeChatModel(messages=iter([AIMessage("An answer of some words. " * 8)]))
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("first", answer)
    builder.add_node("second", answer)
    builder.set_entry_point("first")
    builder.add_edge("first", "second")
    graph = builder.compile()
    question: Any = {"messages": [("user", "a question")]}

    def run() -> None:
        graph.invoke(question)

    def stream() -> None:
        for _ in graph.stream(question):
            break

    return run, stream


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _remove_traces() -> None:
    for path in (agentracer.Store().home / "traces").glob("*.jsonl"):
        path.unlink(missing_ok=True)
