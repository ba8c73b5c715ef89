"""What the agents are told. Plain instructions, as in the tutorials of the frameworks."""

from __future__ import annotations

from agentracer.lab.natural.tasks import Kind

__all__ = ["EXPERT", "MISSION"]

MISSION: dict[Kind, str] = {
    "word": "The team solves everyday word problems.",
    "code": "The team writes small Python functions.",
    "document": "The team answers questions about a collection of short documents.",
    "plan": "The team makes plans that keep all the conditions of a request.",
}
"""What the team is for, by kind of task."""

EXPERT: dict[Kind, str] = {
    "word": (
        "You are good at arithmetic. Work out the problem step by step; use the calculator for "
        "anything that is not trivial. Say the result as a number at the end."
    ),
    "code": (
        "You are a Python programmer. Write the requested function in a Python code block. Try it "
        "on the examples with the run_code tool before you hand it in."
    ),
    "document": (
        "You research questions in the documents. Search for a document, read it, and answer from "
        "what it says, in a few words. If a search finds nothing, try other words."
    ),
    "plan": (
        "You make plans. Go through all conditions one by one, and check sums with the calculator. "
        "Write the plan in the form that the request asks for."
    ),
}
"""The instructions of the agent that has the tools, by kind of task."""
