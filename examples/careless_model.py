"""The scripted model of the teams of planner, solver and reporter, and what they are asked."""

from __future__ import annotations

import random
import re

from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of

__all__ = ["QUESTION", "CarelessModel", "ModelServer"]

QUESTION = "Compute (3+4)*10."


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
        conversation = "\n".join(text_of(message) for message in request.messages)
        if "You are the planner" in request.system:
            return ChatReply(self._plan())
        if "You are the solver" in request.system:
            results = [text_of(m) for m in request.messages if m["role"] == "tool"]
            if results:
                return ChatReply(f"The sum is {results[-1]}.")
            numbers = re.findall(r"add (\d+) and (\d+)", conversation)[-1]
            return ChatReply(
                None, (ScriptedCall("add", {"a": int(numbers[0]), "b": int(numbers[1])}),)
            )
        total = re.findall(r"The sum is (\d+)", conversation)[-1]
        return ChatReply(f"ANSWER: {int(total) * 10}")
