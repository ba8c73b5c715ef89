"""Your own LangGraph app, captured and attributed.

    python examples/langgraph_team.py                                  # a scripted model
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/langgraph_team.py --model NAME

The team is planner -> solver (with a tool) -> reporter. The scripted planner reads the task wrong,
so the answer is 80 and not 70. Needs the extra [langgraph].
"""

from __future__ import annotations

import argparse
import os
import random
import re
from contextlib import nullcontext
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph

import agentracer
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of

QUESTION = "Compute (3+4)*10."


def add(a: int, b: int) -> str:
    """Add two integers."""
    return str(a + b)


def build_team(base_url: str, model: str = "scripted") -> Any:
    """A graph of three agents; nothing in it knows of agentracer."""
    chat = ChatOpenAI(model=model, base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY", "-"))

    def speaker(system: str) -> Any:
        return lambda state: {
            "messages": [chat.invoke([SystemMessage(system), *state["messages"]])]
        }

    graph = StateGraph(MessagesState)
    graph.add_node(
        "planner", speaker("You are the planner: write the plan as a sum times a factor.")
    )
    graph.add_node(
        "solver", create_agent(chat, [add], system_prompt="You are the solver: use add.")
    )
    graph.add_node("reporter", speaker("You are the reporter: end with ANSWER: and the number."))
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "solver")
    graph.add_edge("solver", "reporter")
    return graph.compile()


class CarelessModel:
    """Plays all three roles; the planner takes the 4 for a 5.

    Args:
        error_rate: how often it does so, after the first time.
    """

    def __init__(self, error_rate: float = 1.0) -> None:
        self._error_rate, self._rng, self._plans = error_rate, random.Random(0), 0

    def _plan(self) -> str:
        self._plans += 1
        errs = self._plans == 1 or self._rng.random() < self._error_rate
        return f"PLAN: add 3 and {5 if errs else 4}, then times 10."

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer from the conversation alone."""
        said = "\n".join(text_of(message) for message in request.messages)
        if "You are the planner" in request.system:
            return ChatReply(self._plan())
        if "You are the solver" in request.system:
            results = [text_of(m) for m in request.messages if m["role"] == "tool"]
            if results:
                return ChatReply(f"The sum is {results[-1]}.")
            numbers = re.findall(r"add (\d+) and (\d+)", said)[-1]
            return ChatReply(
                None, (ScriptedCall("add", {"a": int(numbers[0]), "b": int(numbers[1])}),)
            )
        total = re.findall(r"The sum is (\d+)", said)[-1]
        return ChatReply(f"ANSWER: {int(total) * 10}")


def main() -> None:
    """Run the team once and say who made it fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scripted")
    options = parser.parse_args()
    real = os.environ.get("OPENAI_BASE_URL")
    with nullcontext() if real else ModelServer(CarelessModel()) as server:
        team = build_team(real or server.base_url, options.model)

        agentracer.instrument()
        with agentracer.record(check=lambda state: "70" in state["messages"][-1].text) as run:
            team.invoke({"messages": [("user", QUESTION)]})

        verdict = agentracer.Tracer().attribute(run.trace)
        print(verdict)
        for candidate in verdict.candidates:
            print(" ", candidate.step, candidate.agent, f"{candidate.probability or 0:.0%}")


if __name__ == "__main__":
    main()
