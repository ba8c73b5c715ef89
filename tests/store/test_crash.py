"""What survives when processes die, fork, and share a store."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import agentracer
from agentracer.store import Store

WRITER = textwrap.dedent(
    """
    import itertools, sys
    import agentracer

    with agentracer.record("count") as run:
        print(run.id, flush=True)
        reads = []
        for number in itertools.count():
            step = run.recorder.begin_step("counter", reads=reads)
            run.recorder.end_step(step, content=f"{number} " + "x" * 500)
            reads.append(run.recorder.message("assistant", f"said {number}"))
            print(number, flush=True)
    """
)


def start(home, code=WRITER):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "AGENTRACER_HOME": str(home)},
    )


@pytest.mark.slow
def test_sigkill_at_any_moment_loses_nothing_that_was_recorded(home):
    chance = random.Random(0)
    for _ in range(20):
        process = start(home)
        trace_id = process.stdout.readline().strip()
        time.sleep(chance.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        told = [line for line in process.stdout.read().split("\n")[:-1] if line]
        process.wait()
        trace = Store(home).load(trace_id)
        finished = [step for step in trace.steps if step.ended_at is not None]
        assert len(finished) >= len(told)
        assert [step.content.split()[0] for step in finished] == [
            str(number) for number in range(len(finished))
        ]
        assert set(trace.dropped) <= {"torn"}
        assert trace.dropped.get("torn", 0) <= 1
        assert trace.outcome.ending == "unfinished"


def test_two_processes_write_one_store(home):
    code = WRITER.replace("itertools.count()", "range(100)")
    processes = [start(home, code) for _ in range(2)]
    ids = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    for trace_id in ids:
        trace = Store(home).load(trace_id)
        assert [len(trace.steps), trace.dropped] == [100, {}]
    assert len(Store(home).ids()) == 2


def test_a_store_is_salted_once_however_many_start_at_once(home):
    code = "from agentracer.store import Store; print(Store().salt().hex())"
    processes = [start(home, code) for _ in range(4)]
    assert len({process.communicate()[0] for process in processes}) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_after_a_fork_parent_and_child_go_on_in_traces_of_their_own(home):
    with agentracer.record("forked") as run:
        read = run.recorder.message("user", "before")
        step = run.recorder.begin_step("parent", reads=[read])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run.recorder.end_step(step, content="not mine")
                again = run.recorder.message("user", "before")
                own = run.recorder.begin_step("child", reads=[again])
                run.recorder.end_step(own, content="from the child")
                run.finish()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        run.recorder.end_step(step, content="from the parent")
    store = Store(home)
    (other,) = set(store.ids()) - {run.id}
    mine, childs = run.trace, store.load(other)
    assert [s.content for s in mine.steps] == ["from the parent"]
    assert [s.content for s in childs.steps] == ["from the child"]
    assert childs.observed.reads(0)[0].content == "before"
    assert childs.parent == run.id
    assert mine.dropped == childs.dropped == {}
