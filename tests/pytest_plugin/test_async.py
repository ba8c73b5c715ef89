"""Async tests: what they run belongs to them, whoever drives the event loop."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

ASYNC_TESTS = """
import asyncio
from agentracer.recording import current_run

@pytest.fixture(scope="module", params=["asyncio"])
def anyio_backend(request): return request.param

{wide}
async def wide(): yield "alive over all tests"

{mark}
@pytest.mark.parametrize("n", range(3))
async def test_bad(n, wide{fixture}):
    lines = await asyncio.gather(team("ok", "bad").arun(f"task {{n}}"))
    assert good(lines[0])
"""

RUNNERS = {
    "anyio": ('@pytest.fixture(scope="module")', "@pytest.mark.anyio", ", anyio_backend"),
    "pytest-asyncio": (
        'import pytest_asyncio\n@pytest_asyncio.fixture(scope="module", loop_scope="module")',
        '@pytest.mark.asyncio(loop_scope="module")',
        "",
    ),
}


@pytest.mark.parametrize("runner", RUNNERS)
def test_each_run_is_in_the_trace_of_its_own_test(project, store, runner):
    pytest.importorskip(runner.replace("-", "_"))
    wide, mark, fixture = RUNNERS[runner]
    tests = ASYNC_TESTS.format(wide=wide, mark=mark, fixture=fixture)
    if runner == "anyio":
        tests = tests.replace("async def wide():", "async def wide(anyio_backend):")
    result = project(tests, "--agentracer")
    result.assert_outcomes(failed=3)
    traces = [store.load(identity) for identity in reversed(store.ids())]
    assert [trace.metadata["test"][-4:] for trace in traces] == ["d[0]", "d[1]", "d[2]"] or [
        trace.metadata["test"] for trace in traces
    ] == [f"test_it.py::test_bad[asyncio-{n}]" for n in range(3)]
    for n, trace in enumerate(traces):
        assert len(trace.steps) == 2
        assert trace.observed.reads(0)[0].content == f"task {n}"
    assert result.stdout.str().count("No step stands out.") == 3
