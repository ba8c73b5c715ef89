"""`on_failure`: the callback gets trace and verdict, and cannot harm anybody."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

import pytest

import agentracer
from agentracer import failures


@pytest.fixture
def calls():
    """A registered callback that notes what it is given."""
    seen = []
    registration = agentracer.on_failure(lambda trace, verdict: seen.append((trace, verdict)))
    yield seen
    registration.remove()


def run(*, fails):
    with agentracer.record("t") as run:
        step = run.recorder.begin_step("alice")
        run.recorder.end_step(step, content="I wrote the bug")
        if fails:
            run.fail()
    return run


def test_a_failed_run_arrives_with_its_verdict_which_is_also_stored(calls):
    failed = run(fails=True)
    assert agentracer.flush()
    ((trace, verdict),) = calls
    assert trace.id == failed.id
    assert (verdict.agent, verdict.step) == ("alice", 0)
    assert agentracer.Store().load_verdict(failed.id) == verdict


def test_other_runs_do_not(calls):
    run(fails=False)
    with agentracer.record("t", check=lambda _: True):
        pass
    assert agentracer.flush()
    assert calls == []


def test_an_exception_is_a_failed_run(calls):
    with pytest.raises(ZeroDivisionError), agentracer.record("t"):
        1 / 0  # noqa: B018
    assert agentracer.flush()
    assert len(calls) == 1


def test_the_tracer_can_be_chosen(calls):
    class Mine:
        def attribute(self, trace):
            return agentracer.Tracer().attribute(trace).model_copy(update={"reason": "mine"})

    reasons = []
    registration = agentracer.on_failure(lambda t, v: reasons.append(v.reason), tracer=Mine())
    run(fails=True)
    assert agentracer.flush()
    registration.remove()
    assert reasons == ["mine"]


def test_a_callback_that_raises_is_logged_and_the_others_are_called(calls, caplog):
    registration = agentracer.on_failure(lambda trace, verdict: 1 / 0)
    run(fails=True)
    assert agentracer.flush()
    registration.remove()
    assert len(calls) == 1
    assert "an on_failure callback raised" in caplog.text


def test_a_callback_that_hangs_holds_up_neither_host_nor_other_callbacks(calls):
    release = threading.Event()
    registration = agentracer.on_failure(lambda trace, verdict: release.wait(30))
    started = time.perf_counter()
    for _ in range(3):
        run(fails=True)
    assert time.perf_counter() - started < 1
    assert agentracer.flush(0.5) is False, "one callback still hangs"
    assert len(calls) == 3
    registration.remove()
    release.set()
    assert agentracer.flush()


def test_hanging_callbacks_are_bounded(monkeypatch, caplog):
    monkeypatch.setattr(failures, "MAX_CALLBACKS", 2)
    release = threading.Event()
    registration = agentracer.on_failure(lambda trace, verdict: release.wait(30))
    for _ in range(4):
        run(fails=True)
    deadline = time.monotonic() + 20
    while "one is not called" not in caplog.text and time.monotonic() < deadline:
        agentracer.flush(0.1)
    registration.remove()
    release.set()
    assert agentracer.flush()
    assert "one is not called" in caplog.text


def test_a_removed_callback_is_not_called():
    seen = []
    registration = agentracer.on_failure(lambda trace, verdict: seen.append(1))
    registration.remove()
    registration.remove()
    run(fails=True)
    assert agentracer.flush()
    assert seen == []


def test_a_program_that_ends_with_its_failure_still_gets_its_callback(home):
    code = """
        import agentracer
        agentracer.on_failure(lambda trace, verdict: print("blamed", verdict.agent, flush=True))
        with agentracer.record("t") as run:
            run.recorder.end_step(run.recorder.begin_step("alice"), content="x")
            raise SystemError("the end")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert result.stdout == "blamed alice\n"
    assert "SystemError: the end" in result.stderr
    assert result.returncode == 1


def test_a_callback_that_hangs_does_not_keep_the_program_from_ending(home):
    code = """
        import agentracer, threading
        agentracer.on_failure(lambda trace, verdict: threading.Event().wait())
        with agentracer.record("t") as run:
            run.recorder.end_step(run.recorder.begin_step("alice"), content="x")
            run.fail()
    """
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=30)
    assert time.perf_counter() - started < 10


async def later(trace, verdict):
    """An async callback."""


@pytest.mark.parametrize(
    ("callback", "says"), [("print", "cannot be called"), (later, "async function")]
)
def test_a_callback_that_would_never_run_is_refused(callback, says):
    with pytest.raises(TypeError, match=says):
        agentracer.on_failure(callback)
