"""Each natural team runs end to end against an HTTP server, is recorded, and is checked."""

from __future__ import annotations

import os

import pytest
from tests.lab.natural.plain_model import PlainModel

from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.systems import SYSTEMS, replay_system, run_once
from agentracer.lab.natural.tasks import load_code_tasks, load_plans, load_tasks
from agentracer.lab.natural.tools import calculate, read_document, run_code, search_documents
from agentracer.lab.testbed.server import ModelServer
from agentracer.store import Store

TASKS = {"word": "word-cat-food", "document": "doc-picnic-bread"}
ANSWERS = {"word": "The answer is 5.", "document": "Ayumi brings it."}
MODULES = {
    "langgraph": "langgraph",
    "autogen": "autogen_agentchat",
    "camel": "camel",
    "python": "openai",
}
AGENTS = {
    "langgraph-pipeline": {"planner", "expert", "writer"},
    "langgraph-supervisor": {"supervisor", "expert"},
    "langgraph-review": {"author", "reviewer"},
    "autogen-selector": {"expert", "writer"},
    "autogen-critic": {"expert", "critic"},
    "autogen-magentic-one": {"MagenticOneOrchestrator", "expert"},
    "camel-workforce": {"task_agent", "coordinator_agent", "expert"},
    "camel-role-playing": {"Mathematics Tutor", "Parent"},
    "python-functions": {"expert", "checker", "writer"},
}


@pytest.fixture
def play(tmp_path):
    """Runs a system on a task with a model of its own; returns the trace."""

    def run(name, task, model):
        pytest.importorskip(MODULES[SYSTEMS[name].framework])
        with ModelServer(model) as server:
            endpoint = Endpoint(server.base_url, "plain", max_tokens=64, seed=7)
            return run_once(SYSTEMS[name], load_tasks()[task], endpoint, Store(tmp_path / "store"))

    return run


def sample(kind):
    """A task of a kind and a right answer to it."""
    if kind == "code":
        task = load_code_tasks()[0]
        return task.id, f"```python\n{task.solution}```"
    if kind == "plan":
        return load_plans()[0].id, load_plans()[0].plan
    return TASKS[kind], ANSWERS[kind]


def test_every_system_is_described_by_this_page():
    assert set(AGENTS) == set(SYSTEMS)
    assert sum(len(system.kinds) for system in SYSTEMS.values()) >= 12


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_a_team_that_ends_with_the_right_answer_succeeds(play, name):
    task, answer = sample(SYSTEMS[name].kinds[0])
    request = {"request": "How many boxes?"}
    model = PlainModel(answer, "ask_expert", request)  # a tool that only the supervisor has
    trace = play(name, task, model)
    assert trace.outcome.success is True, trace.outcome
    assert len(trace.steps) >= 2
    agents = {step.agent.rpartition("/")[2] for step in trace.steps}
    assert AGENTS[name] <= agents
    limits = [
        request.body.get("max_tokens") or request.body.get("max_completion_tokens")
        for request in model.requests
    ]
    assert set(limits) == {64}
    assert {request.body.get("seed") for request in model.requests} == {7}
    assert {request.body.get("temperature") for request in model.requests} == {0.7}


@pytest.mark.parametrize("name", ["langgraph-pipeline", "autogen-selector", "python-functions"])
def test_a_team_that_ends_with_a_wrong_answer_fails(play, name):
    trace = play(name, "word-cat-food", PlainModel("The answer is 50."))
    assert trace.outcome.success is False


@pytest.mark.parametrize(
    "name", ["langgraph-pipeline", "autogen-selector", "camel-role-playing", "python-functions"]
)
def test_tools_are_offered_and_their_results_are_recorded(play, name):
    model = PlainModel("The answer is 5.", "calculate", {"expression": "40 * 1.5 / 12"})
    trace = play(name, "word-cat-food", model)
    calls = [call for step in trace.steps for call in step.tool_calls]
    assert "5" in [
        str(call.result).removesuffix(".0") for call in calls if call.name == "calculate"
    ]


def test_a_run_that_raises_is_a_failed_run_with_the_error(play):
    trace = play("langgraph-pipeline", "word-cat-food", PlainModel("...", break_after=1))
    assert trace.outcome.success is False
    assert "out of order" in trace.to_json()


def test_a_task_of_another_kind_is_refused():
    endpoint = Endpoint("http://127.0.0.1:9/v1", "none")
    with pytest.raises(ValueError, match="not meant for plan-errands"):
        run_once(SYSTEMS["autogen-selector"], load_tasks()["plan-errands"], endpoint)


def test_replays_send_no_seed(tmp_path):
    pytest.importorskip("openai")
    task, model = load_tasks()["word-cat-food"], PlainModel("Answer: 5")
    with ModelServer(model) as server:
        endpoint = Endpoint(server.base_url, "plain", seed=7)
        system = replay_system(SYSTEMS["python-functions"], task, endpoint, Store(tmp_path))
        assert system.check(system.fresh_run()) is True
    assert all("seed" not in request.body for request in model.requests)


def test_the_tools_say_what_they_found():
    assert float(calculate("(12 + 3) * 4")) == 60
    assert "Cannot calculate" in calculate("import os")
    assert search_documents("ferry to Gull Island").startswith("ferry-island:")
    assert search_documents("zzz") == "No document has these words."
    assert "Departures" in read_document("ferry-island")
    assert "search_documents" in read_document("nothing")
    assert run_code("print(6 * 7)") == "42"
    assert "ZeroDivisionError" in run_code("1 / 0")


@pytest.mark.real_model
def test_a_real_model_runs_a_team_and_is_recorded(tmp_path):
    base_url = os.environ.get("AGENTRACER_TEST_BASE_URL")
    if not base_url:
        pytest.skip("AGENTRACER_TEST_BASE_URL is not set")
    model = os.environ.get("AGENTRACER_TEST_MODEL", "default")
    endpoint = Endpoint(base_url, model, max_tokens=200)
    task = load_tasks()["word-library-fine"]
    trace = run_once(SYSTEMS["python-functions"], task, endpoint, Store(tmp_path))
    assert isinstance(trace.outcome.success, bool)
    assert [step.agent for step in trace.steps][-2:] == ["checker", "writer"]
