"""`agentracer attribute --verify` with nothing but a system and its check."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")

APP = """
import random, sys
from typing import TypedDict
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph
import agentracer
from agentracer.replay import System

agentracer.instrument("langgraph")
RATE = {"solver": 0.1, "reporter": 0.1}
random.seed(7)


class Model(BaseChatModel):
    @property
    def _llm_type(self):
        return "fallible"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        who, text = messages[0].content, messages[-1].content
        wrong = random.random() < RATE.get(who, 0.0)
        answer = "41" if wrong else "42" if who == "solver" else text
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])


class State(TypedDict):
    text: str


def node(name):
    def act(state):
        return {"text": Model().invoke([SystemMessage(name), HumanMessage(state["text"])]).content}
    return act


graph = StateGraph(State)
for name, before in (("planner", START), ("solver", "planner"), ("reporter", "solver")):
    graph.add_node(name, node(name))
    graph.add_edge(before, name)
graph.add_edge("reporter", END)
app = graph.compile()


def run():
    return app.invoke({"text": "six times seven?"})


def check(result):
    return result["text"] == "42"


def system():
    return System(run, check)


if __name__ == "__main__":
    random.seed(4)
    RATE["solver"] = 1.0
    with agentracer.record(check=check) as handle:
        handle.result = run()
    print(handle.id)
"""


@pytest.fixture
def failed(tmp_path, monkeypatch):
    (tmp_path / "team.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    made = subprocess.run([sys.executable, "team.py"], capture_output=True, text=True, check=True)
    return made.stdout.strip()


def command(*arguments):
    program = Path(sys.executable).parent / "agentracer"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_a_function_that_returns_a_system_is_all_that_a_proof_needs(failed):
    arguments = ("attribute", failed, "--verify", "--system", "team:system")
    result = command(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    assert "3 model calls" in result.stderr
    verdict = json.loads(result.stdout)
    assert (verdict["agent"], verdict["step"]) == ("solver", 1)
    assert verdict["verification"]["status"] == "confirmed"
    assert verdict["verification"]["method"] == "prefixes"
    rates = {rate["prefix"]: rate for rate in verdict["success_curve"]}
    assert rates[3]["successes"] == 0
    assert rates[1]["successes"] > rates[2]["successes"] == 0

    text = command(*arguments)
    assert "solver, step 1" in text.stdout
    assert re.search(r"Confirmed by \d+ replays: succeeded", text.stdout)
    assert "Success with the first k steps kept" in text.stdout


def test_a_budget_leaves_the_run_undecided_and_says_so(failed):
    result = command(
        "attribute", failed, "--verify", "--system", "team:system", "--runs", "4", "--json"
    )
    assert result.returncode == 0, result.stderr
    verdict = json.loads(result.stdout)
    assert verdict["abstained"]
    assert "the budget of 4 runs was spent" in verdict["abstain_reason"]
    assert verdict["verification"] is None
