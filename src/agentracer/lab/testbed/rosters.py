"""Who is in a team: names, duties and prompts for each domain and topology.

    pipeline   planner, worker (one step of the plan for each message), reporter
    hub        a manager orders every single action of a planner, two workers and a checker
    review     an author plans and works, and a reviewer looks at everything that it writes

The prompts ask for lines of a fixed form (see `parsed_conversation`), so that plain code can route
by them and so that any model can take the place of the scripted one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from agentracer.lab.testbed.problems import Domain

__all__ = ["TOPOLOGIES", "Agent", "Duty", "Roster", "Topology", "duty_in", "in_duty", "roster"]

Topology = Literal["pipeline", "hub", "review"]
Duty = Literal["planner", "worker", "checker", "reporter", "manager", "author"]

TOPOLOGIES: tuple[Topology, ...] = ("pipeline", "hub", "review")

_DUTIES: dict[Topology, tuple[Duty, ...]] = {
    "pipeline": ("planner", "worker", "reporter"),
    "hub": ("manager", "planner", "worker", "worker", "checker"),
    "review": ("author", "checker"),
}

# Three sets of names, so that a name says little about who errs.
_NAMES: dict[tuple[Topology, str], tuple[tuple[str, ...], ...]] = {
    ("pipeline", "math"): (
        ("Planner", "Solver", "Reporter"),
        ("Strategist", "Calculator", "Speaker"),
        ("Maya", "Theo", "Rosa"),
    ),
    ("pipeline", "qa"): (
        ("Planner", "Researcher", "Writer"),
        ("Strategist", "Librarian", "Editor"),
        ("Maya", "Theo", "Rosa"),
    ),
    ("pipeline", "coding"): (
        ("Architect", "Engineer", "Integrator"),
        ("Planner", "Coder", "Packager"),
        ("Maya", "Theo", "Rosa"),
    ),
    ("hub", "math"): (
        ("Manager", "Planner", "Solver_1", "Solver_2", "Checker"),
        ("Orchestrator", "Strategist", "Algebraist", "Arithmetician", "Auditor"),
        ("Ines", "Maya", "Theo", "Jonas", "Vera"),
    ),
    ("hub", "qa"): (
        ("Manager", "Planner", "Researcher_1", "Researcher_2", "FactChecker"),
        ("Orchestrator", "Strategist", "WebSurfer", "FileSurfer", "Verifier"),
        ("Ines", "Maya", "Theo", "Jonas", "Vera"),
    ),
    ("hub", "coding"): (
        ("Manager", "Architect", "Engineer_1", "Engineer_2", "Reviewer"),
        ("Lead", "Designer", "Coder_A", "Coder_B", "QA"),
        ("Ines", "Maya", "Theo", "Jonas", "Vera"),
    ),
    ("review", "math"): (("Solver", "Critic"), ("Student", "Teacher"), ("Theo", "Vera")),
    ("review", "qa"): (("Researcher", "Critic"), ("Author", "Editor"), ("Theo", "Vera")),
    ("review", "coding"): (("Engineer", "Reviewer"), ("Coder", "Critic"), ("Theo", "Vera")),
}

_STEPS = (
    "Write one line for each step, in order, in the form `Step A: what to do -- what it gives`; "
    "later steps refer to earlier results by their letters."
)
_WORK = (
    "use your tools where they help, and state the result as `Result: A = ...`. Values of earlier "
    "results are in the conversation."
)
_PROMPTS: dict[Duty, str] = {
    "planner": "Split the task into steps. {steps} Do not work anything out.",
    "worker": (
        "If there is an order or a demand for a repair, follow it; otherwise take the first step "
        "of the plan that has no result. Do that one step only, as it is written: {work} When "
        "no step is open any more, close with the line ALL DONE."
    ),
    "checker": (
        "Work out for yourself whether the results follow from their steps. For each step that has "
        "to be done again write `Redo step A as: what to do`. Close with the line VERDICT: PASS or "
        "VERDICT: FAIL."
    ),
    "reporter": "Give the answer that the results add up to, as `FINAL ANSWER: ...`.",
    "manager": (
        "Say who acts next, with a line `NEXT: name`: first {planner} for a plan, then for each "
        "step one of {workers}, with a line `Do step A: what to do | given B = ...` that holds all "
        "that is needed; then {checker}, and again whoever has to repair something. When the check "
        "passes, write NEXT: FINISH and the answer as `FINAL ANSWER: ...`."
    ),
    "author": (
        "First split the task into steps. {steps} Then do one step for each message: {work} When "
        "the reviewer demands a repair, make that first. When every step has a result that "
        "passed, give the answer as `FINAL ANSWER: ...`."
    ),
}


@dataclass(frozen=True, slots=True)
class Agent:
    """One member of a team."""

    name: str
    duty: Duty
    prompt: str


@dataclass(frozen=True, slots=True)
class Roster:
    """A team before any framework builds it."""

    topology: Topology
    agents: tuple[Agent, ...]

    def names(self, duty: Duty) -> list[str]:
        """The agents with this duty."""
        return [agent.name for agent in self.agents if agent.duty == duty]

    def agent(self, duty: Duty) -> Agent:
        """The first agent with this duty."""
        return next(agent for agent in self.agents if agent.duty == duty)


def roster(domain: Domain, topology: Topology, naming: int = 0) -> Roster:
    """The team for a domain and topology.

    Args:
        domain: what it works on.
        topology: how it works together.
        naming: which set of names, counted from 0 and around.
    """
    sets = _NAMES[topology, domain.name]
    duties = _DUTIES[topology]
    names = sets[naming % len(sets)]
    duty_of = dict(zip(names, duties, strict=True))
    words = {
        "steps": _STEPS,
        "work": _WORK,
        "planner": next((n for n, d in duty_of.items() if d == "planner"), ""),
        "checker": next((n for n, d in duty_of.items() if d == "checker"), ""),
        "workers": " or ".join(n for n, d in duty_of.items() if d == "worker"),
    }
    agents = [
        Agent(
            name,
            duty,
            f"You are {name}, the {duty} of a team that {domain.mission}. "
            + _PROMPTS[duty].format(**words),
        )
        for name, duty in duty_of.items()
    ]
    return Roster(topology, tuple(agents))


def in_duty(domain: Domain, name: str, duty: Literal["reporter", "checker"]) -> Agent:
    """An agent with a duty that no other agent of this topology has."""
    prompt = f"You are {name}, the {duty} of a team that {domain.mission}. {_PROMPTS[duty]}"
    return Agent(name, duty, prompt)


def duty_in(system: str) -> tuple[str, Duty] | None:
    """Name and duty of the agent whose system prompt this is."""
    match = re.search(r"You are (\S+), the (" + "|".join(_PROMPTS) + r") of a team", system)
    if match is None:
        return None
    duty: Duty = match[2]  # type: ignore[assignment]
    return match[1], duty
