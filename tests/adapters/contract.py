"""What the constructs of several frameworks have to do in the same way, and how steps are found.

A test module imports the tests, and defines `build` (the construct), `world`, and the fixtures
`record_run` and `replay_run`: see `langgraph_contract`.
"""

from __future__ import annotations

from agentracer.replay import Override


def step_of(trace, agent, *, calling=None, saying=None):
    """The first model call of an agent that asks for a tool, or says something."""
    return next(
        step
        for step in trace.steps
        if step.agent == agent
        and step.kind == "llm"
        and (calling is None or any(call.name == calling for call in step.tool_calls))
        and (saying is None or saying in step.content)
    )


def test_correcting_tool_arguments_really_runs_the_tool_with_them(
    build, world, record_run, replay_run
):
    trace = record_run(build, world)
    target = step_of(trace, "solver", calling="add")
    again = replay_run(trace, build, world, Override(step=target.index, arguments={"a": 3, "b": 4}))
    assert again.outcome.success is True
    assert world.tool_runs == [(3, 4)]
    assert "planner" not in world.callers
    assert world.callers.count("solver") == 1


def test_correcting_a_tool_result_does_not_run_the_tool(build, world, record_run, replay_run):
    trace = record_run(build, world)
    target = step_of(trace, "solver", calling="add")
    again = replay_run(trace, build, world, Override(step=target.index, result="7"))
    assert again.outcome.success is True
    assert world.tool_runs == []
