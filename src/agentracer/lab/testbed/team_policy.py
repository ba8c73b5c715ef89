"""The scripted model behind every team of the testbed: plays all duties, and errs where it is told.

What it says is a function of the request, the seed and its slips: the plan, the orders, the results
and what the tools said are read from the conversation that it is sent, so a corrected reply changes
what follows, as it would with a real model. Without slips it is *able*: it plans rightly, works out
faithfully what it is asked, and as a checker sees every result that does not follow from its step.

It keeps a log of the replies in which it erred, from which the truth about a run is known. It does
not know the framework, and sees no more of a run than what it is sent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentracer.lab.testbed import workforce
from agentracer.lab.testbed.problems import Domain, Problem, Slip
from agentracer.lab.testbed.rosters import duty_in
from agentracer.lab.testbed.scene import Scene
from agentracer.lab.testbed.server import ChatReply, ChatRequest, text_of
from agentracer.lab.testbed.turns import Turn
from agentracer.lab.testbed.workforce_turns import WorkforceTurn

__all__ = ["Erred", "TeamPolicy"]


@dataclass(frozen=True, slots=True)
class Erred:
    """One reply in which the policy made a slip.

    Attributes:
        slip: the mistake.
        agent: who made it.
        content: the text of the reply.
        calls: its tool calls, as (name, arguments).
        answers: the last message that it answers, which tells equal replies apart.
    """

    slip: Slip
    agent: str
    content: str
    calls: tuple[tuple[str, Mapping[str, Any]], ...]
    answers: str


class TeamPolicy:
    """A `ScriptedModel` that plays every agent of a team that works on one problem.

    Args:
        domain: what is known about problems of this kind.
        problem: the one that the team has.
        seed: decides the wording and small habits.
        slips: the mistakes to make.
        keen: whether a checker compares the plan with the task, or only results with the plan.
    """

    def __init__(
        self,
        domain: Domain,
        problem: Problem,
        seed: int,
        slips: Sequence[Slip] = (),
        *,
        keen: bool = False,
    ) -> None:
        self.domain, self.problem, self.seed = domain, problem, seed
        self.slips, self.keen = tuple(slips), keen
        self._lock = threading.Lock()
        self._log: list[Erred] = []

    @property
    def log(self) -> tuple[Erred, ...]:
        """All replies so far in which a slip was made, each once."""
        with self._lock:
            return tuple(self._log)

    def without_slips(self) -> TeamPolicy:
        """The same model, on a day on which it makes no mistake."""
        return TeamPolicy(self.domain, self.problem, self.seed, keen=self.keen)

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer as the agent that the system prompt names."""
        foreign = workforce.translate(request)
        if foreign is not None:
            return self._in_workforce(foreign, request)
        who = duty_in(request.system)
        if who is None:
            return ChatReply("I cannot find out from my instructions which part I play.")
        scene = Scene.read(request.messages, self.domain)
        turn = Turn(self, scene, request, *who)
        answer = turn.answer()
        for slip in turn.made:
            self._note(slip, who[0], request, answer)
        return answer

    def _in_workforce(self, ask: workforce.Ask, request: ChatRequest) -> ChatReply:
        """Answer a prompt of CAMEL's Workforce, in the form that it wants."""
        turn = WorkforceTurn(self, ask, request)
        answer = turn.answer()
        for slip in turn.made:
            self._note(slip, "", request, answer)
        return answer

    def _note(self, slip: Slip, agent: str, request: ChatRequest, reply: ChatReply) -> None:
        calls = tuple((c.name, json.loads(c.arguments_json)) for c in reply.tool_calls)
        erred = Erred(slip, agent, reply.content or "", calls, text_of(request.messages[-1]))
        with self._lock:
            # An answered request may be sent again: a client retries, a replay repeats.
            if erred not in self._log:
                self._log.append(erred)
