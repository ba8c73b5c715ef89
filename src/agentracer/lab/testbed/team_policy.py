"""Play every duty of a team as a scripted model, with planned errors.

A reply is a function of the request, the seed and the errors: the plan, the orders, the results and
the tool results are read from the conversation that it is sent, so a corrected reply changes what
follows, as it would with a real model. Without errors it is *able*: it plans rightly, works out
faithfully what it is asked, and as a checker sees every result that does not follow from its step.

It keeps a log of the replies in which it made an error, from which the decisive step of a run is
known. It does not know the framework, and sees no more of a run than what it is sent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentracer.lab.testbed import workforce
from agentracer.lab.testbed.parsed_conversation import ParsedConversation
from agentracer.lab.testbed.problems import Domain, InjectedError, Problem
from agentracer.lab.testbed.reply_builder import ReplyBuilder
from agentracer.lab.testbed.rosters import duty_in
from agentracer.lab.testbed.server import ChatReply, ChatRequest, text_of
from agentracer.lab.testbed.workforce_replies import WorkforceReplyBuilder

__all__ = ["LoggedError", "TeamPolicy"]


@dataclass(frozen=True, slots=True)
class LoggedError:
    """One reply in which the policy made an error.

    Attributes:
        error: the mistake.
        agent: who made it.
        content: the text of the reply.
        calls: its tool calls, as (name, arguments).
        answers: the last message that it answers, which tells equal replies apart.
    """

    error: InjectedError
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
        errors: the mistakes to make.
        checks_plan: whether a checker compares the plan with the task too, or only the results
            with the plan.
    """

    def __init__(
        self,
        domain: Domain,
        problem: Problem,
        seed: int,
        errors: Sequence[InjectedError] = (),
        *,
        checks_plan: bool = False,
    ) -> None:
        self.domain, self.problem, self.seed = domain, problem, seed
        self.errors, self.checks_plan = tuple(errors), checks_plan
        self._lock = threading.Lock()
        self._log: list[LoggedError] = []

    @property
    def log(self) -> tuple[LoggedError, ...]:
        """All replies so far in which an error was made, each once."""
        with self._lock:
            return tuple(self._log)

    def without_errors(self) -> TeamPolicy:
        """Return the same model without errors."""
        return TeamPolicy(self.domain, self.problem, self.seed, checks_plan=self.checks_plan)

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer as the agent that the system prompt names."""
        workforce_prompt = workforce.parse_prompt(request)
        if workforce_prompt is not None:
            return self._in_workforce(workforce_prompt, request)
        who = duty_in(request.system)
        if who is None:
            return ChatReply("I cannot find out from my instructions which part I play.")
        conversation = ParsedConversation.read(request.messages, self.domain)
        builder = ReplyBuilder(self, conversation, request, *who)
        answer = builder.answer()
        for error in builder.applied:
            self._note(error, who[0], request, answer)
        return answer

    def _in_workforce(self, prompt: workforce.WorkforcePrompt, request: ChatRequest) -> ChatReply:
        """Answer a prompt of CAMEL's Workforce, in the form that it wants."""
        builder = WorkforceReplyBuilder(self, prompt, request)
        answer = builder.answer()
        for error in builder.applied:
            self._note(error, "", request, answer)
        return answer

    def _note(
        self, error: InjectedError, agent: str, request: ChatRequest, reply: ChatReply
    ) -> None:
        calls = tuple((c.name, json.loads(c.arguments_json)) for c in reply.tool_calls)
        logged = LoggedError(
            error, agent, reply.content or "", calls, text_of(request.messages[-1])
        )
        with self._lock:
            # An answered request may be sent again: a client retries, a replay repeats.
            if logged not in self._log:
                self._log.append(logged)
