"""A model that writes ordinary prose, and what is asked of every app that it plays.

An app's agents are known by a phrase of their system prompts. What an agent writes depends on what
it read alone, so a correction changes what follows as it would with a real model. One agent makes
the planted mistake; in a reference run it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import agentracer
from agentracer.lab.testbed.server import ChatReply, ChatRequest, text_of
from agentracer.replay import FunctionOracle, ReferenceOracle, System, find_decisive
from agentracer.replay.counterfactual import Search
from agentracer.trace import Step, Trace


class ProseModel:
    """Plays all agents of an app.

    Attributes:
        mistaken: whether the planted mistake is made.
    """

    def __init__(self, roles: Mapping[str, Callable[[Reading], ChatReply | str]]) -> None:
        self.mistaken = True
        self._roles = roles

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer as the agent whose phrase is in the system prompt, or in the only message."""
        prompt = request.system or text_of(request.messages[0])
        for phrase, write in self._roles.items():
            if phrase in prompt:
                answer = write(Reading(request, self.mistaken))
                return answer if isinstance(answer, ChatReply) else ChatReply(answer)
        raise AssertionError(f"no agent of the app has this prompt: {prompt[:200]}")


@dataclass(frozen=True)
class Reading:
    """What an agent reads."""

    request: ChatRequest
    mistaken: bool

    @property
    def text(self) -> str:
        """All messages but the system prompt."""
        return "\n".join(text_of(m) for m in self.request.messages if m["role"] != "system")

    @property
    def results(self) -> list[str]:
        """What tools returned."""
        return [text_of(m) for m in self.request.messages if m["role"] == "tool"]


@dataclass(frozen=True)
class App:
    """An app with a planted mistake.

    Attributes:
        model: plays its agents.
        run: runs it once, from the task to the answer.
        check: whether the answer is right.
        agent: who is mistaken.
        wrong: what that agent says, and others after it may repeat.
        right: what it should say.
    """

    model: ProseModel
    run: Callable[[], Any]
    check: Callable[[Any], bool]
    agent: str
    wrong: str
    right: str

    @property
    def system(self) -> System:
        return System(self.run, self.check)

    def recorded(self, *, mistaken: bool = True) -> Trace:
        """A run of the app."""
        self.model.mistaken = mistaken
        try:
            with agentracer.record(check=self.check) as run:
                run.result = self.run()
        finally:
            self.model.mistaken = True
        assert run.trace.outcome.success is not mistaken
        return run.trace

    def planted(self, trace: Trace) -> int:
        """The step of the mistake: the first that says it."""
        step = next(step for step in trace.steps if self.wrong in step.content)
        assert step.agent == self.agent
        return step.index

    def find_with_the_right_text(self, trace: Trace) -> Search:
        """Search with an oracle that puts the right words wherever the wrong ones were said."""

        def correct(_: Trace, step: Step) -> str | None:
            said = self.wrong in step.content
            return step.content.replace(self.wrong, self.right) if said else None

        return find_decisive(trace, self.system, FunctionOracle(correct))

    def find_with_a_reference(self, trace: Trace) -> Search:
        """Search with a run that went well."""
        reference = self.recorded(mistaken=False)
        return find_decisive(trace, self.system, ReferenceOracle(reference))


def assert_found(search: Search, trace: Trace, step: int) -> None:
    """The planted step is named, and the replays prove it."""
    verdict = search.verdict
    assert (verdict.agent, verdict.step) == (trace.steps[step].agent, step), verdict
    assert verdict.verification is not None
    assert verdict.verification.status == "confirmed"
