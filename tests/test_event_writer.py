"""Events are written by a thread while the host runs an event loop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from agentracer import event_writer
from agentracer.event_writer import EventWriter


class Sink:
    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.lines: list[bytes] = []

    def append(self, line: bytes) -> None:
        self.lines.append(line)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def new_thread(monkeypatch):
    monkeypatch.setattr(event_writer, "_thread", event_writer._Thread())


def write(sink, *lines):
    async def main():
        writer = EventWriter(lambda: sink)
        for line in lines:
            writer.append(line)
        await asyncio.sleep(0)
        return writer

    return asyncio.run(main())


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_on_an_event_loop_a_thread_writes():
    sink = Sink()
    write(sink, b"one", b"two")
    wait_for(lambda: len(sink.lines) == 2)
    assert sink.lines == [b"one", b"two"]


@pytest.mark.usefixtures("internal_errors")
def test_where_no_thread_can_be_started_nothing_is_raised_and_the_next_line_tries_again(
    monkeypatch,
):
    real, calls = event_writer.start_new_thread, []

    def refuse_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("can't start new thread")
        return real(*arguments)

    monkeypatch.setattr(event_writer, "start_new_thread", refuse_once)
    sink = Sink()
    write(sink, b"one", b"two")
    wait_for(lambda: len(sink.lines) == 2)
    assert sink.lines == [b"one", b"two"]
    assert len(calls) == 2
