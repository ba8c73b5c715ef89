"""What is handed to a pool of threads belongs to the run that handed it over."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import agentracer
from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.kit.threads import carry_variable, install_pool_threads
from agentracer.recording import current_run

own = contextvars.ContextVar("own", default=None)
users = contextvars.ContextVar("users", default=None)


@pytest.fixture
def patches():
    patches = Patches("threads")
    install_pool_threads(patches)
    yield patches
    patches.undo()


def test_work_handed_to_a_pool_belongs_to_the_record_block(patches):
    with agentracer.record() as run, ThreadPoolExecutor(2) as pool:
        assert pool.submit(current_run).result() is run
        assert list(pool.map(lambda _: current_run(), range(3))) == [run] * 3
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_run).result() is None


def test_work_handed_to_the_pool_of_an_event_loop_belongs_to_the_record_block(patches):
    async def main():
        async with agentracer.record() as run:
            found = await asyncio.get_running_loop().run_in_executor(None, current_run)
        return run, found

    run, found = asyncio.run(main())
    assert found is run


def test_a_thread_of_the_pool_keeps_nothing_of_it(patches):
    with ThreadPoolExecutor(1) as pool:
        with agentracer.record() as run:
            assert pool.submit(current_run).result() is run
        assert pool.submit(current_run).result() is None


def test_only_variables_of_ours_are_carried(patches):
    carry_variable(own, patches)
    tokens = own.set("ours"), users.set("theirs")
    try:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(own.get).result() == "ours"
            assert pool.submit(users.get).result() is None
    finally:
        own.reset(tokens[0])
        users.reset(tokens[1])


def test_a_thread_that_the_program_starts_itself_is_left_alone(patches):
    found = []
    with agentracer.record():
        thread = threading.Thread(target=lambda: found.append(current_run()))
        thread.start()
        thread.join()
    assert found == [None]


def test_results_arguments_and_errors_are_those_of_the_work(patches):
    def work(value, *, raises=False):
        if raises:
            raise KeyError(value)
        return value

    with agentracer.record(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(work, 1).result() == 1
        assert isinstance(pool.submit(work, 2, raises=True).exception(), KeyError)


def test_undone_the_pool_is_the_very_same():
    original = ThreadPoolExecutor.submit
    agentracer.instrument()
    agentracer.instrument()
    assert ThreadPoolExecutor.submit is not original
    agentracer.uninstrument()
    assert ThreadPoolExecutor.submit is original


def test_what_goes_on_after_the_block_belongs_to_it_no_more():
    async def main():
        async with agentracer.record() as run:
            inside = current_run()
            left = asyncio.Event()

            async def later():
                await left.wait()
                return current_run()

            task = asyncio.create_task(later())
        left.set()
        return run, inside, await task

    run, inside, after = asyncio.run(main())
    assert inside is run
    assert after is None


def test_a_step_that_has_not_ended_when_its_run_ends_is_named_unfinished():
    with agentracer.record() as run:
        ended = run.recorder.begin_step("a")
        run.recorder.end_step(ended, content="done")
        run.recorder.begin_step("b")
    assert [step.attributes.get("ending") for step in run.trace.steps] == [None, "unfinished"]
