"""The MaAS adapter, on a stand-in of the same shape (`maas_standin`): no checkout was at hand."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import types
from pathlib import Path

import pytest

import agentracer
from agentracer._guard import swallowed
from agentracer.adapters.maas import adapter
from agentracer.errors import ReplayDiverged
from agentracer.replay import Override, arerun
from agentracer.replay.policy import ToolPolicy
from agentracer.store import Store

STANDIN = Path(__file__).parent / "maas_standin"
GRAPH = "maas.ext.maas.scripts.optimized.MATH.train.graph"
OTHER_GRAPH = "maas.ext.maas.scripts.optimized.GSM8K.train.graph"
PROBLEM = "3 and 4, then times ten"
ADVICE = "ADVICE: {4} is not 5"
RIGHT = "The sum is 7"


@pytest.fixture
def maas(monkeypatch):
    """The stand-in can be imported; nothing of it has been."""
    monkeypatch.syspath_prepend(str(STANDIN))
    yield
    adapter.uninstall()
    for name in [name for name in sys.modules if name.partition(".")[0] == "maas"]:
        del sys.modules[name]


@pytest.fixture
def world(maas, monkeypatch):
    """Captured before anything of the package is imported, as `instrument()` does it."""
    before = swallowed()
    adapter.install()
    world = World()
    # A checkout always has torch loaded. The controller's log-probs are its tensors.
    fake = types.SimpleNamespace(tensor=world.controller_module.LogProb)
    monkeypatch.setitem(sys.modules, "torch", fake)
    yield world
    assert swallowed() == before


class World:
    """The stand-in's modules, and a model whose answers depend on the request only."""

    def __init__(self):
        base = importlib.import_module("maas.provider.base_llm").BaseLLM
        self.graph = importlib.import_module(GRAPH)
        self.operators = self.graph.operator
        self.controller_module = importlib.import_module("maas.ext.maas.models.controller")
        self.controller = self.controller_module.MultiLayerController()
        prompts = self.prompts = []

        class ScriptedLLM(base):
            async def acompletion_text(self, messages, **_options):
                prompts.append(messages)
                await asyncio.sleep(0)
                return answer("\n".join(message["content"] for message in messages))

        self.llm_class = ScriptedLLM

    def workflow(self):
        llm = self.llm_class()
        return self.graph.Workflow("MATH", llm, "MATH", self.controller)

    def run(self, problem=PROBLEM):
        return asyncio.run(self.workflow()(problem))

    def record(self, problem=PROBLEM):
        async def scenario():
            async with agentracer.record(check=is_right) as run:
                await self.workflow()(problem)
            return run.trace

        return asyncio.run(scenario())

    def rerun(self, trace, override=None):
        self.forget()
        again = arerun(
            trace, lambda: self.workflow()(trace.task), override=override, check=is_right
        )
        return asyncio.run(again)

    def forget(self):
        self.prompts.clear()
        self.operators.executed.clear()
        self.controller.sampled.clear()


def answer(text):
    """Adds wrongly, unless it is told better; votes for the majority; computes; reports."""
    if "Vote" in text:
        options = dict(re.findall(r"([A-H]): (.*)", text))
        return max(options, key=lambda letter: list(options.values()).count(options[letter]))
    if "expression" in text:
        total = re.search(r"sum is (\d+)", text).group(1)
        return f"Here it is:\n```python\n{total} * 10\n```"
    if "Report" in text:
        return f"ANSWER {re.search(r'-?[0-9]+', text.partition('Report')[2]).group()}"
    if "explode" in text:
        raise ConnectionError("the model is away")
    one, other = (int(number) for number in re.findall(r"\d", text.partition("Add.")[2])[:2])
    return f"The sum is {one + other + (ADVICE not in text)}"


def is_right(result):
    return "ANSWER 70" in str(result[0])


def steps_of(trace, agent):
    return [step for step in trace.steps if step.agent == agent]


def test_a_run_is_captured_with_operators_as_agents(world):
    trace = world.record()
    assert trace.task == PROBLEM
    assert trace.observed.framework == "maas"
    assert (trace.outcome.success, trace.outcome.answer) == (False, "ANSWER 80")
    shown = [(s.agent, s.kind, s.attributes["path"]) for s in trace.steps]
    first = shown[1][0]
    assert shown == [
        ("MultiLayerController", "tool", "MultiLayerController"),
        (first, "llm", f"Workflow/{first}"),
        *[("MultiGenerateCoT", "llm", "Workflow/MultiGenerateCoT")] * 3,
        ("ScEnsemble", "llm", "Workflow/ScEnsemble"),
        ("Programmer", "llm", "Workflow/Programmer"),
        ("Programmer", "tool", "Workflow/Programmer"),
        ("Generate", "llm", "Workflow/Generate"),
    ]
    (call,) = trace.steps[7].tool_calls
    assert (call.arguments, call.result) == ({"code": "8 * 10"}, ["Success", "80"])
    assert all(step.ended_at is not None for step in trace.steps)


def test_steps_read_what_the_model_was_sent(world):
    trace = world.record()
    asked = [step for step in trace.steps if step.kind == "llm"]
    seen = [[m.model_dump(exclude_defaults=True) for m in trace.observed.reads(s)] for s in asked]
    assert seen == world.prompts


def test_steps_of_one_operator_call_belong_together_and_know_their_layer(world):
    trace = world.record()
    calls = [step.attributes.get("call") for step in trace.steps]
    assert calls[2:5] == ["MultiGenerateCoT#1"] * 3
    assert [step.attributes.get("layer") for step in trace.steps] == [None, 0, 1, 1, 1, 1, 2, 2, 2]
    assert trace.steps[5].attributes["returned"] == {"response": "The sum is 8"}


def test_the_sampled_architecture_and_the_costs_are_in_the_metadata(world):
    facts = world.record().metadata["maas"]
    assert facts["layers"][1:] == [
        ["MultiGenerateCoT", "ScEnsemble"],
        ["Programmer"],
        ["EarlyStop"],
    ]
    assert sum(facts["log_probs"]) == pytest.approx(facts["log_prob"])
    assert facts["cost"] == 0.0


def test_an_operator_that_asks_no_model_is_a_node(world):
    trace = world.record("3 and 4, checked: 1")
    (step,) = steps_of(trace, "Check")
    assert (step.kind, step.content) == ("node", '{"result": true}')
    assert trace.observed.reads(step)[0].content == "solution: ANSWER 80"


def test_errors_are_recorded_where_they_happen_and_once(world):
    with pytest.raises(ConnectionError, match="away"):
        world.run("explode 1 2")
    (trace,) = (Store().load(identity) for identity in Store().ids())
    assert trace.outcome.ending == "raised"
    assert [s.error.type for s in trace.steps if s.error is not None] == ["ConnectionError"]


def test_an_error_of_the_operator_itself_is_a_node(world, monkeypatch):
    broken = "Reason with \\boxed{-2}: {input}"  # as in the published head of MaAS
    monkeypatch.setattr(world.operators, "GENERATE_COT_PROMPT", broken)
    with pytest.raises(KeyError):
        world.run()
    (trace,) = (Store().load(identity) for identity in Store().ids())
    assert (trace.steps[-1].kind, trace.steps[-1].error.type) == ("node", "KeyError")


def test_problems_at_once_stay_apart(world):
    problems = [f"{number} and {number + 1}, then times ten" for number in range(1, 8)]

    async def scenario():
        workflow = world.workflow()
        return await asyncio.gather(*(workflow(problem) for problem in problems))

    answers = {p: r[0] for p, r in zip(problems, asyncio.run(scenario()), strict=True)}
    traces = [Store().load(identity) for identity in Store().ids()]
    assert {trace.task: trace.outcome.answer for trace in traces} == answers
    for trace in traces:
        assert len(trace.steps) == 9
        assert trace.steps[0].tool_calls[0].arguments == {"query": trace.task}
        assert trace.task in trace.observed.reads(1)[-1].content


def test_a_replay_without_override_calls_nothing_and_ends_the_same(world):
    trace = world.record()
    again = world.rerun(trace)
    assert (world.prompts, world.operators.executed, world.controller.sampled) == ([], [], [])
    assert (again.outcome, again.parent) == (trace.outcome, trace.id)
    said = [(step.agent, step.kind, step.content) for step in trace.steps]
    assert [(step.agent, step.kind, step.content) for step in again.steps] == said
    assert {step.attributes["replay"] for step in again.steps} == {"recorded"}


def test_the_architecture_is_frozen_whatever_the_controller_would_sample(world):
    trace = world.record()
    for seed in range(4):
        world.controller = world.controller_module.MultiLayerController(seed)
        again = world.rerun(trace, Override(step=8, content="ANSWER 70"))
        assert again.metadata["maas"]["layers"] == trace.metadata["maas"]["layers"]
        assert again.outcome.success is True


def test_log_probs_come_back_as_tensors_of_the_same_values(world):
    trace = world.record()
    assert world.rerun(trace).metadata["maas"] == trace.metadata["maas"]


def test_overriding_an_operators_answer_flips_the_final_answer(world):
    trace = world.record()
    target = steps_of(trace, "ScEnsemble")[0].index
    earlier = [Override(step=index, content=RIGHT) for index in (2, 3, 4)]
    again = world.rerun(trace, earlier)
    assert again.outcome.success is True
    assert len(world.prompts) == 3  # the vote, the program, the report
    assert world.operators.executed == ["7 * 10"]
    assert again.steps[target].attributes["replay"] == "live"


def test_overriding_what_the_code_returned_does_not_run_it(world):
    trace = world.record()
    again = world.rerun(trace, Override(step=7, result=["Success", "70"]))
    assert again.outcome.success is True
    assert (len(world.prompts), world.operators.executed) == (1, [])


def test_overriding_the_sample_runs_other_operators(world):
    trace = world.record()
    again = world.rerun(trace, Override(step=0, result=[["GenerateCoT"], ["Programmer"]]))
    assert [step.agent for step in again.steps][1:] == [
        "GenerateCoT",
        "Programmer",
        "Programmer",
        "Generate",
    ]


def test_a_recorded_error_is_raised_again_without_a_call(world):
    async def scenario():
        async with agentracer.record() as run:
            with pytest.raises(ConnectionError):
                await world.workflow()("explode 1 2")
        return run.trace

    trace = asyncio.run(scenario())
    again = world.rerun(trace)
    assert (again.outcome.error.type, world.prompts) == ("ConnectionError", [])


def test_tools_that_may_not_run_leave_the_sample_alone(world):
    trace = world.record()
    closed = ToolPolicy("refuse")
    again = arerun(
        trace,
        lambda: world.workflow()(PROBLEM),
        override=Override(step=8, content="ANSWER 70"),
        policy=closed,
        check=is_right,
    )
    assert asyncio.run(again).outcome.success is True

    async def twice():
        await world.workflow()(PROBLEM)
        await world.workflow()(PROBLEM)  # more than was recorded

    world.forget()
    again = asyncio.run(arerun(trace, twice, policy=closed, on_divergence="report"))
    assert world.controller.sampled == [PROBLEM]
    assert again.outcome.error.type == "ToolRefused"  # the code that the model wrote


def test_a_cancelled_run_is_recorded_as_such(world):
    async def scenario():
        task = asyncio.create_task(world.workflow()(PROBLEM))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    (trace,) = (Store().load(identity) for identity in Store().ids())
    assert (trace.outcome.ending, trace.outcome.success) == ("cancelled", None)


def test_a_rerun_of_another_problem_is_reported(world):
    trace = world.record()
    another = arerun(
        trace, lambda: world.workflow()("1 and 2"), override=Override(step=8, content="x")
    )
    with pytest.raises(ReplayDiverged, match="reads another prompt"):
        asyncio.run(another)


@pytest.mark.parametrize("whole_class", [True, False], ids=["class", "workflow"])
def test_advice_reaches_one_operator_once_and_is_taken_back_exactly(world, whole_class):
    workflow = world.workflow()
    before = dict(vars(workflow)), dict(vars(world.operators))
    advice = adapter.advise(type(workflow) if whole_class else workflow, "MultiGenerateCoT", ADVICE)
    assert is_right(asyncio.run(workflow(PROBLEM)))
    texts = [messages[-1]["content"] for messages in world.prompts]
    assert [text.count(ADVICE) for text in texts] == [0, 1, 1, 1, 0, 0, 0]
    (trace,) = (Store().load(identity) for identity in Store().ids())
    assert trace.observed.reads(2)[-1].content == texts[1]
    advice.retract()
    advice.retract()
    world.forget()
    assert not is_right(asyncio.run(workflow(PROBLEM)))
    assert ADVICE not in str(world.prompts)
    assert (vars(workflow), vars(world.operators)) == before


def test_advice_to_one_workflow_does_not_reach_another(world):
    advice = adapter.advise(world.workflow(), "MultiGenerateCoT", ADVICE)
    assert not is_right(world.run())
    advice.retract()


def test_advice_for_an_unknown_operator_names_the_known_ones(world):
    with pytest.raises(ValueError, match=r"no operator 'Nobody'.*ScEnsemble"):
        adapter.advise(world.workflow(), "Nobody", "listen")


def test_modules_and_operators_that_come_later_are_captured_too(world):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("maas.no_such_module")
    late = importlib.import_module(OTHER_GRAPH)

    class Mine(late.operator.Operator):
        async def __call__(self, text):
            return text.upper()

    async def scenario():
        async with agentracer.record() as run:
            workflow = late.Workflow("GSM8K", world.llm_class(), "GSM8K")
            await workflow(PROBLEM)
            await Mine(workflow.llm, "mine")("done")
        return run.trace

    shown = [(s.agent, s.kind, s.content) for s in asyncio.run(scenario()).steps]
    assert shown == [("Generate", "llm", "The sum is 8"), ("mine", "node", "DONE")]


def test_uninstrumenting_leaves_everything_as_it_was(maas):
    graph = importlib.import_module(GRAPH)
    base = importlib.import_module("maas.provider.base_llm").BaseLLM
    controller = importlib.import_module("maas.ext.maas.models.controller").MultiLayerController
    owners = [graph.Workflow, base, controller, graph.operator.Operator, *graph.SELECTABLE]
    before, finders = [dict(vars(owner)) for owner in owners], list(sys.meta_path)
    adapter.install()
    assert [dict(vars(owner)) for owner in owners] != before
    adapter.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before
    assert sys.meta_path == finders


@pytest.mark.usefixtures("internal_errors")
def test_a_failure_of_ours_leaves_the_host_alone(maas, monkeypatch):
    adapter.install()
    world = World()
    expected = world.run()[0]

    def broken(*_args, **_kwargs):
        raise RuntimeError("ours")

    monkeypatch.setattr("agentracer.recorder.RunRecorder.begin_step", broken)
    before = sum(swallowed().values())
    assert world.run()[0] == expected
    assert sum(swallowed().values()) > before


def test_instrument_needs_the_package_only(maas):
    importlib.import_module("maas")
    agentracer.instrument("maas")
    assert World().record().observed.framework == "maas"
    agentracer.uninstrument()
