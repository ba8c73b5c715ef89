"""Proofs without an oracle: real LangGraph teams, and a model that errs at random."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
pytest.importorskip("langchain", reason="needs the extra [demo]")

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

import agentracer
from agentracer.errors import InvalidSystem
from agentracer.replay import (
    Budget,
    Override,
    StrongerModel,
    System,
    afind_decisive,
    find_decisive,
    rerun,
)
from agentracer.store import Store

pytestmark = pytest.mark.usefixtures("captured")


class Fallible(BaseChatModel):
    """A model in this process: `reply` is given the prompt and whether it errs this time."""

    reply: Any
    rates: dict[str, float]
    rng: Any
    calls: list[str] = []  # noqa: RUF012 - pydantic copies defaults

    @property
    def _llm_type(self) -> str:
        return "fallible"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        who = str(messages[0].content)
        self.calls.append(who)
        errs = self.rng.random() < self.rates.get(who, 0.0)
        answer = self.reply(who, messages, errs)
        message = answer if isinstance(answer, AIMessage) else AIMessage(answer)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(self, tools, **kwargs):
        return self


class State(TypedDict):
    text: str


def chain(model, names):
    """Agents in a row; each reads what the one before wrote."""
    graph = StateGraph(State)

    def node(name):
        def act(state):
            prompt = [SystemMessage(name), HumanMessage(state["text"])]
            return {"text": model.invoke(prompt).content}

        return act

    previous = START
    for name in names:
        graph.add_node(name, node(name))
        graph.add_edge(previous, name)
        previous = name
    graph.add_edge(previous, END)
    return graph.compile()


def pass_on(who, messages, errs):
    """An agent that errs spoils what it passes on; none of the later ones can mend it."""
    text = str(messages[-1].content)
    return f"{text} {who}" if not errs else f"spoilt by {who}"


def failed_run(graph, inputs, check, store=None, tries=200):
    """Run until it fails."""
    for _ in range(tries):
        with agentracer.record("say who was here", check=check, store=store) as run:
            run.result = graph.invoke(inputs)
        if run.trace.outcome.success is False:
            return run.trace
    raise AssertionError("it never fails")


NAMES = ["planner", "solver", "checker", "reporter"]


def spoilt_by(name, tmp_path, seed=1):
    """A team of four, and a run of it in which only `name` erred."""
    rates = dict.fromkeys(NAMES, 0.1)
    model = Fallible(reply=pass_on, rates={name: 1.0}, rng=random.Random(seed))
    graph = chain(model, NAMES)

    def check(result):
        return result["text"] == "task " + " ".join(NAMES)

    store = Store(tmp_path)
    trace = failed_run(graph, {"text": "task"}, check, store)
    model.rates.clear()
    model.rates.update(rates)
    model.calls.clear()
    return trace, System(lambda: graph.invoke({"text": "task"}), check, store), model


@pytest.mark.parametrize("position", range(4))
def test_the_step_that_lost_the_run_is_found_and_confirmed(position, tmp_path):
    trace, system, _ = spoilt_by(NAMES[position], tmp_path)
    search = find_decisive(trace, system)
    assert (search.verdict.agent, search.verdict.step) == (NAMES[position], position)
    assert search.verdict.verification.status == "confirmed"
    assert search.posterior[position] >= 0.9
    assert sum(search.posterior.values()) == pytest.approx(1.0)
    rates = {rate.prefix: rate for rate in search.success_curve}
    assert rates[4].successes == 0
    assert rates[4].replays >= 3
    assert search.replays == sum(rate.replays for rate in rates.values())
    assert max(search.credits, key=lambda credit: credit.loss).steps == (position,)


def test_no_call_of_the_kept_steps_is_made_again(tmp_path):
    trace, system, model = spoilt_by("reporter", tmp_path)
    search = find_decisive(trace, system)
    live = sum(rate.replays * (4 - rate.prefix) for rate in search.success_curve)
    assert len(model.calls) == live == search.usage.model_calls


def test_an_interrupted_search_goes_on_with_a_wider_budget(tmp_path):
    trace, system, model = spoilt_by("solver", tmp_path)
    first = find_decisive(trace, system, budget=Budget(runs=6))
    assert first.verdict.abstained
    assert first.replays == 6
    made = len(model.calls)
    second = find_decisive(trace, system)
    assert second.verdict.step == 1
    assert second.usage.resumed == 6
    assert second.replays == second.usage.replays + 6
    assert len(model.calls) > made


def test_a_check_that_decides_by_chance_is_said(tmp_path):
    trace, system, _ = spoilt_by("solver", tmp_path)
    rng = random.Random(3)
    luck = System(system.run, lambda result: rng.random() < 0.6, system.store)
    search = find_decisive(trace, luck)
    assert search.verdict.abstained
    assert "the check is not deterministic" in search.verdict.abstain_reason


def test_a_team_that_never_succeeds_is_said_to(tmp_path):
    trace, system, _ = spoilt_by("solver", tmp_path)
    never = System(system.run, lambda result: False, system.store)
    search = find_decisive(trace, never)
    assert search.verdict.abstained
    assert "the system fails this task whenever it is run" in search.verdict.abstain_reason


def test_a_system_that_repeats_itself_is_said(tmp_path):
    trace, system, model = spoilt_by("checker", tmp_path)
    model.rates.clear()
    search = find_decisive(trace, system)
    assert search.verdict.step == 2
    assert any("repeats itself" in note for note in search.verdict.notes)


def test_replays_can_run_in_threads_and_as_tasks(tmp_path):
    trace, system, _ = spoilt_by("checker", tmp_path)
    search = find_decisive(trace, system, workers=3)
    assert search.verdict.step == 2

    async def run():
        await asyncio.sleep(0)
        return system.run()

    async_system = System(run, system.check, Store(tmp_path / "async"))
    found = asyncio.run(afind_decisive(trace, async_system, workers=3))
    assert found.verdict.step == 2


def test_a_step_inside_an_agent_that_runs_as_a_tool_is_found(tmp_path):
    model = Fallible(reply=desk_reply, rates={"desk": 1.0}, rng=random.Random(0))
    desk = create_agent(model, [], system_prompt="desk", name="desk")

    @tool
    def ask_desk(question: str) -> str:
        """Ask the desk."""
        return str(desk.invoke({"messages": [("user", question)]})["messages"][-1].content)

    team = create_agent(model, [ask_desk], system_prompt="supervisor", name="supervisor")
    inputs = {"messages": [("user", "when does the train leave?")]}

    def check(result):
        return "09:40" in str(result["messages"][-1].content)

    store = Store(tmp_path)
    trace = failed_run(team, inputs, check, store)
    assert [step.agent for step in trace.steps] == ["supervisor", "desk", "supervisor"]
    model.rates.update({"desk": 0.1})
    search = find_decisive(trace, System(lambda: team.invoke(inputs), check, store))
    assert (search.verdict.agent, search.verdict.step) == ("desk", 1)
    assert search.verdict.verification.status == "confirmed"


def desk_reply(who, messages, errs):
    last = messages[-1]
    if who == "desk":
        return "at 19:40" if errs else "at 09:40"
    if last.type == "tool":
        return f"The train leaves {last.content}."
    call = {"name": "ask_desk", "args": {"question": last.content}, "id": "call_0"}
    return AIMessage("", tool_calls=[call])


def test_a_tool_result_that_lost_the_run_is_blamed_on_the_tool(tmp_path):
    rng = random.Random(5)
    wrong = [True]

    @tool
    def clock(city: str) -> str:
        """Tell the time."""
        return "25:00" if wrong[0] or rng.random() < 0.1 else "12:00"

    def reply(who, messages, errs):
        last = messages[-1]
        if last.type == "tool":
            return f"It is {last.content}."
        return AIMessage("", tool_calls=[{"name": "clock", "args": {"city": "Oslo"}, "id": "c"}])

    model = Fallible(reply=reply, rates={}, rng=rng)
    team = create_agent(model, [clock], system_prompt="host", name="host")
    inputs = {"messages": [("user", "what time is it in Oslo?")]}

    def check(result):
        return "12:00" in str(result["messages"][-1].content)

    store = Store(tmp_path)
    trace = failed_run(team, inputs, check, store)
    wrong[0] = False
    running, most = [0], [0]

    def run():
        running[0] += 1
        most[0] = max(most[0], running[0])
        try:
            return team.invoke(inputs)
        finally:
            running[0] -= 1

    search = find_decisive(trace, System(run, check, store))
    assert search.verdict.step == 0
    assert "the result of clock lost it" in search.verdict.reason
    assert most == [1]  # no two replays at once, unless `workers` allows it


def test_a_model_that_takes_no_temperature_is_said_to(tmp_path):
    trace, system, _ = spoilt_by("solver", tmp_path)
    warm = replace(system, temperature=0.7)
    with pytest.raises(InvalidSystem, match="Fallible takes no temperature for a single call"):
        find_decisive(trace, warm)


class Warm(Fallible):
    """A model that has a temperature, and notes at which it was called."""

    temperature: float = 0.0
    seed: int | None = None
    sampled: list[Any] = []  # noqa: RUF012 - pydantic copies defaults

    @property
    def _identifying_params(self):
        return {"temperature": self.temperature}

    def _get_ls_params(self, stop=None, **kwargs):
        return super()._get_ls_params(stop, **kwargs) | {"ls_temperature": self.temperature}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.sampled.append((self.temperature, self.seed))
        return super()._generate(messages, stop, run_manager, **kwargs)


def test_replays_sample_at_the_temperature_of_the_system_and_the_verdict_says_so(tmp_path):
    model = Warm(reply=pass_on, rates={"solver": 1.0}, rng=random.Random(1))
    graph = chain(model, NAMES)

    def check(result):
        return result["text"] == "task " + " ".join(NAMES)

    store = Store(tmp_path)
    trace = failed_run(graph, {"text": "task"}, check, store)
    assert trace.steps[0].model.parameters["temperature"] == 0.0
    model.rates.clear()
    model.sampled.clear()
    system = System(lambda: graph.invoke({"text": "task"}), check, store, temperature=0.7, seed=5)
    search = find_decisive(trace, system)
    assert {temperature for temperature, _ in model.sampled} == {0.7}
    seeds = [seed for _, seed in model.sampled]
    assert len(set(seeds)) == sum(rate.replays for rate in search.success_curve if rate.prefix < 4)
    assert "measured at temperature 0.7; the run was at 0" in search.verdict.notes


def test_a_graded_check_gives_mean_scores(tmp_path):
    trace, system, _ = spoilt_by("solver", tmp_path)

    def graded(result):
        """The share of the names, less where the text was spoilt."""
        words = result["text"].split()
        return len([name for name in NAMES if name in words]) / 4 if words[0] == "task" else 0.1

    search = find_decisive(trace, replace(system, check=graded))
    assert search.verdict.step == 1
    rates = {rate.prefix: rate for rate in search.success_curve}
    assert rates[4].mean_score == pytest.approx(0.1)
    assert rates[1].mean_score > 0.5
    assert rates[2].mean_score < 0.2
    assert "replays is 0.1" in search.verdict.reason
    assert any("V is a mean score" in note for note in search.verdict.notes)


@pytest.mark.parametrize(
    ("score", "success"), [(0.0, False), (0.49, False), (0.5, True), (1.0, True), (2.0, True)]
)
def test_a_score_from_half_on_is_a_success(score, success, tmp_path):
    with agentracer.record("x", check=lambda _: score, store=Store(tmp_path)) as run:
        run.result = "done"
    assert run.trace.outcome.success is success


def leaving(memory, model):
    """A team that keeps what it wrote, and shows it to its planner."""
    graph = chain(model, NAMES)

    def run():
        result = graph.invoke({"text": " ".join(["task", *memory])})
        memory.append("seen")
        return result

    return run


@pytest.mark.parametrize("reset", [True, False])
def test_fresh_runs_that_begin_otherwise_are_said_to(reset, tmp_path):
    memory = []
    model = Fallible(reply=pass_on, rates={"checker": 1.0}, rng=random.Random(3))
    run = leaving(memory, model)

    def check(result):
        return "spoilt" not in result["text"]

    store = Store(tmp_path)
    with agentracer.record("task", check=check, store=store) as record:
        record.result = run()
    model.rates.clear()
    system = System(run, check, store, reset=memory.clear if reset else None)
    search = find_decisive(record.trace, system, strategy="exhaustive", repeats=3)
    said = [note for note in search.verdict.notes if "begin otherwise" in note]
    assert len(said) == (not reset)
    if said:
        assert said[0].startswith("3 of 3 fresh runs")
        assert "System(reset=...)" in said[0]


def test_a_check_is_asked_as_often_as_the_system_says_and_the_majority_counts(tmp_path):
    trace, system, _ = spoilt_by("solver", tmp_path)
    asked = []

    def moody(result):
        asked.append(result)
        return system.check(result) != (len(asked) % 3 == 0)

    search = find_decisive(trace, replace(system, check=moody, check_repeats=3))
    assert search.verdict.step == 1
    assert len(asked) == 3 * search.replays
    with pytest.raises(ValueError, match="odd number"):
        replace(system, check_repeats=2)


def test_a_rerun_keeps_the_first_answers_and_does_the_rest_live(tmp_path):
    trace, system, model = spoilt_by("solver", tmp_path)
    again = rerun(trace, system.run, keep=2, check=system.check, store=system.store)
    assert model.calls == ["checker", "reporter"]
    modes = [step.attributes["replay"] for step in again.steps]
    assert modes == ["recorded", "recorded", "live", "live"]
    assert [s.content for s in again.steps[:2]] == [s.content for s in trace.steps[:2]]
    assert again.outcome.success is False
    assert again.metadata["replay"]["kept"] == 2
    whole = rerun(trace, system.run, keep=4, store=system.store)
    assert len(model.calls) == 2
    assert [s.content for s in whole.steps] == [s.content for s in trace.steps]
    with pytest.raises(ValueError, match="0 to 4 can be kept"):
        rerun(trace, system.run, keep=5, store=system.store)
    with pytest.raises(ValueError, match="not both"):
        rerun(trace, system.run, keep=1, override=Override(step=0, content="x"))


def test_a_confirmed_step_becomes_a_label_with_the_probability_of_each_step(tmp_path):
    trace, system, _ = spoilt_by("solver", tmp_path)
    search = find_decisive(trace, system)
    label = search.label()
    assert (label.agent, label.step, label.source) == ("solver", 1, "replay")
    assert label.attributes["probabilities"]["1"] == search.posterior[1] >= 0.9
    never = find_decisive(trace, replace(system, check=lambda _: False), resume=False)
    assert never.label() is None


def test_a_stronger_model_says_which_agent_needs_it(tmp_path):
    trace, system, _ = spoilt_by("solver", tmp_path)
    asked = []

    def stronger(messages):
        asked.append(messages)
        return pass_on(messages[0]["content"], [AIMessage(messages[-1]["content"])], errs=False)

    search = find_decisive(
        trace, replace(system, deterministic=True), StrongerModel(stronger), strategy="sequential"
    )
    assert (search.verdict.agent, search.verdict.step) == ("solver", 1)
    assert search.label().attributes["probabilities"] == {"1": 1.0}
    assert asked[0] == [
        {"role": "system", "content": "planner"},
        {"role": "user", "content": "task"},
    ]
