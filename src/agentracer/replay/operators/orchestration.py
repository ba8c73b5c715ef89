"""Errors of the agents that decide who acts next, when a run is over, or what passes review.

What is said instead is taken from other turns of the same run, so it is written as the agents of
that run write.
"""

from __future__ import annotations

import random
import re
from typing import Final

from agentracer.replay.operators.base import Corruption, operator
from agentracer.replay.operators.places import earlier_turns, requests
from agentracer.replay.override import Override
from agentracer.trace import Step, Trace

__all__: list[str] = []

_HANDING: Final = re.compile(r"transfer|handoff|hand_off|delegate|assign|route|goto", re.IGNORECASE)
_OBJECTION: Final = re.compile(
    r"\b(?:fail(?:s|ed|ure)?|wrong|incorrect|error|reject(?:ed)?|not pass|revise|bug)\b",
    re.IGNORECASE,
)


@operator("orchestration.wrong_agent", says="the work goes to the wrong agent")
def wrong_agent(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Name another agent where one is chosen: in a hand-over, or in what a manager writes."""
    taken = trace.steps[step]
    if taken.kind != "llm":
        return None
    agents = [name for name in trace.observed.agent_names if name != taken.agent]
    calls = list(requests(taken))
    for position, call in enumerate(calls):
        chosen = _named(call.name, agents)
        if chosen and _HANDING.search(call.name):
            offered = taken.model.tools if taken.model is not None else ()
            names = [call.name.replace(chosen, name) for name in agents if name != chosen]
            others = [name for name in names if name in offered] or names
            if others:
                other = rng.choice(others)
                calls[position] = call.model_copy(update={"name": other})
                override = Override(step=step, content=taken.content, tool_calls=tuple(calls))
                return Corruption(override, f"{other} in place of {call.name}")
    chosen = _named(taken.content, agents) if len(taken.content) <= 400 else None
    others = [name for name in agents if name != chosen]
    if not chosen or not others:
        return None
    other = rng.choice(others)
    content = taken.content.replace(chosen, other)
    override = Override(step=step, content=content, tool_calls=tuple(calls) or None)
    return Corruption(override, f"chooses {other} where {chosen} is needed")


@operator("orchestration.premature_stop", says="the work is declared done too early")
def premature_stop(trace: Trace, step: int, _rng: random.Random) -> Corruption | None:
    """Say at an earlier turn what the agent said at its last one."""
    taken = trace.steps[step]
    if taken.kind != "llm":
        return None
    turns = [s for s in trace.steps if s.agent == taken.agent and s.kind == "llm"]
    last = turns[-1]
    if len(turns) < 2 or last.index == step or last.tool_calls or not last.content.strip():
        return None
    if last.content == taken.content:
        return None
    override = Override(step=step, content=last.content)
    return Corruption(override, "concludes the work before it is done")


@operator("orchestration.ignored_verifier", says="a verifier's objection is ignored")
def ignored_verifier(trace: Trace, step: int, rng: random.Random) -> Corruption | None:
    """Answer an objection with what was objected to, or let it pass as a later check did."""
    taken = trace.steps[step]
    if taken.kind != "llm" or not taken.content.strip():
        return None
    before = earlier_turns(trace, step)
    if before and _objected(trace, before[-1], taken):
        override = _repeat_turn(step, before[-1])
        if before[-1].content != taken.content:
            return Corruption(override, "ignores the objection and repeats what was objected to")
    if _OBJECTION.search(taken.content):
        passing = [
            s
            for s in trace.steps
            if s.agent == taken.agent
            and s.kind == "llm"
            and s.content.strip()
            and not s.tool_calls
            and not _OBJECTION.search(s.content)
        ]
        if passing:
            phrase = rng.choice(passing)
            return Corruption(_repeat_turn(step, phrase), "passes what has to be objected to")
    return None


def _repeat_turn(step: int, turn: Step) -> Override:
    return Override(step=step, content=turn.content, tool_calls=requests(turn) or None)


def _objected(trace: Trace, before: Step, now: Step) -> bool:
    between = trace.steps[before.index + 1 : now.index]
    return any(s.agent != now.agent and _OBJECTION.search(trace.observed.text(s)) for s in between)


def _named(text: str, agents: list[str]) -> str | None:
    """The one agent that a text names; `transfer_to_coder` names the coder."""
    proposals = [
        name
        for name in agents
        if re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", text)
    ]
    return proposals[0] if len(proposals) == 1 else None
