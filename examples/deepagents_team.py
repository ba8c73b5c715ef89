"""A deep agent with sub-agents, captured; a sub-agent's mistake, proved by replay.

    python examples/deepagents_team.py                                  # a scripted model
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/deepagents_team.py --model NAME

A travel planner asks two sub-agents, a train desk and a hotel desk. The scripted train desk turns
two digits of the fare around, so the trip is said to cost 215.90 and not 179.90. Needs deepagents
and the extra [langgraph]: pip install deepagents langchain-openai
"""

from __future__ import annotations

import argparse
import os
import re
from contextlib import nullcontext
from typing import Any

from deepagents import create_deep_agent
from langchain_openai import ChatOpenAI

import agentracer
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of
from agentracer.replay import Override, System, find_decisive

QUESTION = "What do a train to Bergen on Friday and two nights in a hotel cost together, in EUR?"
FARES = "Friday: EUR 59.90 second class, EUR 112.00 first class."
PRICES = "Two nights, single room: EUR 120.00 with breakfast."


def timetable(route: str) -> str:
    """Look up the trains of a route and their fares."""
    return f"{route}. {FARES}"


def hotel_list(town: str) -> str:
    """Look up hotels and their prices."""
    return f"{town}. {PRICES}"


def build_team(base_url: str, model: str = "scripted") -> Any:
    """Build the deep agent; nothing in it knows of agentracer."""
    chat = ChatOpenAI(model=model, base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY", "-"))
    return create_deep_agent(
        chat,
        name="travel_planner",
        system_prompt="You are the travel planner. Ask each desk once, then add up the prices.",
        subagents=[
            {
                "name": "train_desk",
                "description": "Knows trains and their fares.",
                "system_prompt": "You are the train desk. Look up the fare and state it.",
                "tools": [timetable],
            },
            {
                "name": "hotel_desk",
                "description": "Knows hotels and their prices.",
                "system_prompt": "You are the hotel desk. Look up the price and state it.",
                "tools": [hotel_list],
            },
        ],
    )


class CarelessModel:
    """Plays all three agents; the train desk misreads the fare."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer from the conversation alone."""
        results = [text_of(m) for m in request.messages if m["role"] == "tool"]
        if "You are the train desk" in request.system:
            if results:
                return ChatReply("The second-class fare on Friday is EUR 95.90.")
            return ChatReply(None, (ScriptedCall("timetable", {"route": "Oslo to Bergen"}),))
        if "You are the hotel desk" in request.system:
            if results:
                return ChatReply("Two nights in a single room cost EUR 120.00.")
            return ChatReply(None, (ScriptedCall("hotel_list", {"town": "Bergen"}),))
        if len(results) < 2:
            desk = ("train_desk", "hotel_desk")[len(results)]
            task = {"description": f"{QUESTION} Your part only.", "subagent_type": desk}
            return ChatReply(None, (ScriptedCall("task", task),))
        amounts = re.findall(r"EUR (\d+\.\d\d)", " ".join(results))
        return ChatReply(f"Together they cost EUR {sum(map(float, amounts)):.2f}.")


def is_right(state: Any) -> bool:
    """Whether the answer names the right total."""
    return "179.90" in state["messages"][-1].text


def main() -> None:
    """Run the team once, and correct the train desk's answer in a replay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scripted")
    options = parser.parse_args()
    real = os.environ.get("OPENAI_BASE_URL")
    with nullcontext() if real else ModelServer(CarelessModel()) as server:
        team = build_team(real or server.base_url, options.model)

        def run_team() -> Any:
            return team.invoke({"messages": [("user", QUESTION)]})

        agentracer.instrument()
        with agentracer.record(check=is_right) as run:
            run_team()
        for step in run.trace.steps:
            calls = ", ".join(call.name for call in step.tool_calls)
            print(step.index, step.agent, step.content or f"calls {calls}")
        if run.trace.outcome.success:
            print("The run succeeded: there is nothing to explain.")
            return

        def correct(trace: agentracer.Trace, step: int) -> Override | None:
            """Give the desk's answer as it should be; None where there is nothing to correct."""
            wrong = trace.steps[step]
            fare = wrong.agent == "train_desk" and not wrong.tool_calls
            right = "The second-class fare on Friday is EUR 59.90."
            return Override(step=step, content=right) if fare else None

        search = find_decisive(run.trace, System(run=run_team, check=is_right), correct)
        print(search.verdict)


if __name__ == "__main__":
    main()
