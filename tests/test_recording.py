"""`record()`: what a run is, how it ends, and that the host never notices."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

import agentracer
from agentracer import current_run, record
from agentracer._guard import guard, swallowed
from agentracer.cli import cli
from agentracer.store import Journal, Store
from tests.hostile import hostile_values


class NoTruth:
    """As numpy's arrays: neither true nor false."""

    def __bool__(self):
        raise ValueError("ambiguous")


def write(run, text, agent="a"):
    step = run.recorder.begin_step(agent)
    run.recorder.end_step(step, content=text)


def test_without_a_check_success_is_unknown():
    with record("t") as run:
        run.result = "42"
    assert run.trace.outcome.success is None
    assert run.trace.outcome.answer == "42"


@pytest.mark.parametrize(
    ("check", "success"),
    [
        (lambda result: result == 4, True),
        (lambda result: result == 5, False),
        (lambda result: [], False),
        (lambda result: None, None),
        (lambda result: {}["missing"], None),
        (lambda result: NoTruth(), None),
    ],
)
def test_the_check_decides(check, success):
    with record("t", check=check) as run:
        run.result = 4
    assert run.trace.outcome.success is success


def test_a_check_may_be_an_assertion():
    def check(result):
        assert result == 5, "not five"

    with record(check=check) as run:
        run.result = 4
    assert run.trace.outcome.success is False
    assert "not five" in run.trace.outcome.error.message


def test_a_check_that_breaks_is_reported_and_harms_nobody(caplog):
    with record(check=lambda result: 1 / 0) as run:
        pass
    assert run.trace.outcome.success is None
    assert "ZeroDivisionError" in caplog.text


def test_what_the_user_says_counts_more_than_the_check():
    with record(check=lambda _: True) as run:
        run.fail("I know better")
    assert run.trace.outcome.success is False
    with record(check=lambda _: False) as run:
        run.succeed()
    assert run.trace.outcome.success is True


def test_an_exception_fails_the_run_and_is_raised_on_unchanged():
    error = ValueError("boom")
    with (
        pytest.raises(ValueError, match="boom") as caught,
        record("t", check=lambda _: True) as run,
    ):
        raise error
    assert caught.value is error
    outcome = run.trace.outcome
    assert (outcome.success, outcome.ending, outcome.error.type) == (False, "raised", "ValueError")


@pytest.mark.parametrize(
    ("error", "ending"),
    [(KeyboardInterrupt(), "cancelled"), (asyncio.CancelledError(), "cancelled"),
     (GeneratorExit(), "abandoned"), (SystemExit(0), "finished")],
)  # fmt: skip
def test_being_stopped_is_no_failure(error, ending):
    with pytest.raises(type(error)), record("t") as run:
        raise error
    assert (run.trace.outcome.success, run.trace.outcome.ending) == (None, ending)


def test_async_blocks_take_async_checks():
    async def check(result):
        await asyncio.sleep(0)
        return result == 1

    async def scenario():
        async with record(check=check) as run:
            run.result = 1
        return run

    assert asyncio.run(scenario()).trace.outcome.success is True


def test_an_async_check_in_a_plain_block_is_refused_with_the_remedy(caplog):
    async def check(result):
        return True

    with record(check=check) as run:
        pass
    assert run.trace.outcome.success is None
    assert "async with record" in caplog.text


def test_blocks_nest_and_the_inner_run_knows_the_outer_one():
    with record("outer") as outer:
        assert current_run() is outer
        with record("inner") as inner:
            assert current_run() is inner
        assert current_run() is outer
    assert current_run() is None
    assert inner.trace.parent == outer.id
    assert outer.trace.parent is None


def test_runs_in_gathered_tasks_stay_apart():
    async def one(number):
        async with record(f"task {number}") as run:
            for step in range(5):
                assert current_run() is run
                write(run, f"{number}.{step}")
                await asyncio.sleep(0.001 * (number % 3))
        return number, run

    async def scenario():
        return await asyncio.gather(*(one(number) for number in range(50)))

    for number, run in asyncio.run(scenario()):
        assert [s.content for s in run.trace.steps] == [f"{number}.{step}" for step in range(5)]


def test_runs_in_threads_stay_apart():
    def one(number):
        with record(f"thread {number}") as run:
            for step in range(20):
                write(run, f"{number}.{step}")
        return number, run

    with ThreadPoolExecutor(8) as pool:
        for number, run in pool.map(one, range(24)):
            assert [s.content for s in run.trace.steps] == [f"{number}.{k}" for k in range(20)]


def test_threads_may_write_one_run():
    with record("shared") as run:
        threads = [
            threading.Thread(target=lambda n=n: [write(run, f"{n}.{k}") for k in range(50)])
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    trace = run.trace
    assert len(trace.steps) == 400
    assert len({step.content for step in trace.steps}) == 400


def test_a_block_may_be_left_in_another_context_than_it_was_entered_in():
    def generator():
        with record("held open across a yield") as run:
            yield run

    held = generator()
    run = asyncio.run(_next(held))
    held.close()
    assert run.trace.outcome.ending == "abandoned"


async def _next(generator):
    return next(generator)


@pytest.mark.parametrize("value", hostile_values().values(), ids=hostile_values())
def test_hostile_values_reach_the_store_and_never_the_host(value):
    before = swallowed()
    with record("t", ground_truth=value, metadata={"x": value}) as run:
        reads = [run.recorder.message("user", value), run.recorder.message("tool", [value])]
        run.recorder.agent("a", tools=[{"name": "f", "parameters": value}])
        step = run.recorder.begin_step("a", reads=reads, model={"parameters": value})
        run.recorder.end_step(step, content=value, attributes={"x": value})
        run.recorder.tool_call(step, id="1", name="f", arguments=value, result=value)
        run.result = value
    trace = run.trace
    assert len(trace.steps) == 1
    assert trace.dropped == {}
    assert swallowed() == before


def test_a_huge_text_is_cut_with_its_length():
    with record("t") as run:
        write(run, "y" * 50_000_000)
    content = run.trace.steps[0].content
    assert len(content) < 1_100_000
    assert "of 50000000 characters" in content


@pytest.mark.usefixtures("internal_errors")
def test_our_own_errors_are_counted_and_reported_once(caplog):
    with caplog.at_level(logging.WARNING), record("t"):
        for _ in range(3):
            with guard("test.place"):
                raise RuntimeError("ours")
    with record("again"):
        pass
    warnings = [r for r in caplog.records if "could not record everything" in r.message]
    assert len(warnings) <= 1, "one warning in a process, not one a run"
    assert swallowed()["test.place"] == 3


def test_a_guard_lets_cancellation_through():
    with pytest.raises(KeyboardInterrupt), guard("test.cancel"):
        raise KeyboardInterrupt


def test_nothing_is_written_outside_the_store(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with record("t") as run:
        write(run, "x")
    assert [path.name for path in tmp_path.iterdir()] == [home.name]
    assert Store().ids() == [run.id]


def test_no_socket_is_opened(monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("agentracer opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    with record("t", check=lambda _: False) as run:
        write(run, "x")
    verdict = agentracer.Tracer().attribute(run.trace)
    assert verdict.step == 0


@pytest.mark.parametrize("argument", ["check", "answer"])
def test_what_cannot_be_called_is_refused_with_a_remedy(argument):
    with pytest.raises(
        TypeError, match=rf"record\({argument}=\.\.\.\).*cannot be called\n  remedy"
    ):
        agentracer.record(**{argument: "text"})


def test_the_answer_function_is_given_the_frameworks_result():
    with agentracer.record(answer=lambda result: result["draft"]) as run:
        run.framework_ended({"draft": "the answer"}, "something else")
    assert run.trace.outcome.answer == "the answer"


def test_an_answer_function_that_raises_costs_the_answer_only(caplog):
    with agentracer.record(answer=lambda result: result["missing"]) as run:
        run.framework_ended({}, "the framework's")
    assert run.trace.outcome.answer == "the framework's"
    assert "the answer function of run" in caplog.text


def test_a_block_without_steps_says_once_that_nothing_is_captured(monkeypatch, caplog):
    monkeypatch.setattr("agentracer.recording._captures", False)
    for _ in range(2):
        with agentracer.record("a task"):
            pass
    assert caplog.text.count("Call agentracer.instrument() before the system runs") == 1


def test_a_block_with_steps_needs_no_hint(monkeypatch, caplog):
    monkeypatch.setattr("agentracer.recording._captures", False)
    with agentracer.record("a task") as run:
        run.recorder.begin_step("somebody")
    assert caplog.text == ""


def test_on_an_event_loop_events_are_written_by_a_thread_and_are_there_soon(home, monkeypatch):
    writers = set()
    write = Journal.append

    def noting(self, line):
        writers.add(threading.get_ident())
        write(self, line)

    monkeypatch.setattr(Journal, "append", noting)

    async def main():
        async with agentracer.record("a task") as run:
            run.recorder.end_step(run.recorder.begin_step("agent"), content="done")
        await asyncio.sleep(0.5)
        return run, (home / "traces" / f"{run.id}.jsonl").read_bytes().count(b"\n")

    run, lines = asyncio.run(main())
    assert lines == 4
    assert threading.get_ident() not in writers
    assert run.trace.steps[0].content == "done"


def test_in_synchronous_code_an_event_is_on_disk_before_the_host_goes_on(home):
    with agentracer.record("a task") as run:
        path = home / "traces" / f"{run.id}.jsonl"
        run.recorder.begin_step("agent")
        assert path.read_bytes().count(b"\n") == 2


def test_a_store_that_is_read_right_after_a_loop_has_what_happened_on_it():
    async def main():
        async with agentracer.record("a task") as run:
            run.recorder.begin_step("agent")
        return run.id

    assert len(agentracer.Store().load(asyncio.run(main())).steps) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_that_records_nothing_leaves_no_trace(home):
    with agentracer.record("forked") as run:
        child = os.fork()
        if child == 0:
            run.finish()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert agentracer.Store().ids() == [run.id]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_run_that_a_fork_left_is_shown_as_such():
    with agentracer.record("forked") as run:
        child = os.fork()
        if child == 0:
            run.recorder.begin_step("agent")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    left = next(trace_id for trace_id in agentracer.Store().ids() if trace_id != run.id)
    for command in (["list"], ["show", left]):
        printed = CliRunner().invoke(cli, command).output
        assert "left by a fork" in " ".join(printed.split())
    assert agentracer.Store().load(left).parent == run.id


def test_a_run_that_is_discarded_leaves_no_trace():
    with agentracer.record("a task") as run:
        run.recorder.begin_step("agent")
    run.discard()
    assert agentracer.Store().ids() == []
