"""Variants of a trace that keep its error and take shortcuts away.

A tracer that learns that the third step or `Solver` is often to blame has learnt the data, not the
task. So agents change their names, benign steps go before the first one, so that every position is
offset, and benign steps go in between, so that the distance to the end says nothing either. For a
model that cannot calculate anyway, digits change places: what repeats what stays as it was.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue

from agentracer.trace import AgentInfo, Observed, Step, ToolCall, Trace

__all__ = ["NAMES", "exchanged", "inserted", "renamed", "variant"]

NAMES = (
    *("Planner", "Solver", "Reporter", "Strategist", "Calculator", "Speaker", "Maya", "Theo"),
    *("Rosa", "Manager", "Checker", "Orchestrator", "Analyst", "Auditor", "Ines", "Jonas", "Vera"),
    *("Student", "Teacher", "Critic", "Researcher", "Writer", "Engineer", "Reviewer"),
)
"""Names that agents are given: of people and of duties, so that a name says little."""

_BENIGN = (
    "Hello everybody, I am ready.",
    "Thank you. I have read the task.",
    "Let us take our time with this one.",
    "I am listening; please go on.",
    "All right, that is clear to me.",
    "Nothing to add from my side so far.",
    "Let me know if you need something from me.",
    "Good. Please continue as agreed.",
)


def variant(
    trace: Trace,
    seed: object,
    *,
    rename: bool = True,
    digits: float = 0.0,
    prefix: int = 2,
    distractors: int = 1,
) -> Trace:
    """One variant of a labelled trace; the same seed gives the same one.

    Args:
        trace: to be varied.
        seed: decides everything.
        rename: whether agents get other names.
        digits: how often digits change places; see `exchanged`.
        prefix: at most so many benign steps before the first one.
        distractors: at most so many anywhere after it.
    """
    rng = random.Random(repr((seed, trace.id)))
    if rename:
        trace = renamed(trace, _new_names(trace.observed.agent_names, rng))
    if digits and rng.random() < digits:
        trace = exchanged(trace, rng)
    for _ in range(rng.randint(0, prefix)):
        trace = inserted(trace, 0, _benign(trace, rng))
    for _ in range(rng.randint(0, distractors)):
        trace = inserted(trace, rng.randint(1, len(trace.steps)), _benign(trace, rng))
    return trace


def _new_names(agents: Sequence[str], rng: random.Random) -> dict[str, str]:
    chosen = rng.sample(NAMES, min(len(agents), len(NAMES)))
    return dict(zip(agents, chosen, strict=False))


def _benign(trace: Trace, rng: random.Random) -> Step:
    agent = rng.choice(trace.observed.agent_names)
    return Step(index=0, agent=agent, content=rng.choice(_BENIGN))


def renamed(trace: Trace, names: Mapping[str, str]) -> Trace:
    """The trace with agents under other names, wherever its text names them."""
    whole = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])(?:{whole})(?![\w-])")
    return _retold(trace, lambda text: pattern.sub(lambda found: names[found[0]], text))


def exchanged(trace: Trace, rng: random.Random) -> Trace:
    """The trace with every digit as another one, the same for the same digit.

    Sums come out wrong in it. So it is for learning to see whether a step keeps to what it was told
    and to what its tools said, on teams that leave sums to a tool. A number in the arguments of a
    call that is no text stays.
    """
    table = str.maketrans("0123456789", "".join(rng.sample("0123456789", 10)))
    return _retold(trace, lambda text: text.translate(table))


def _retold(trace: Trace, told: Callable[[str], str]) -> Trace:
    """The trace with all of its text told otherwise, names of agents and of labels included.

    Only what a prompt shows is kept: what the steps read is left out.
    """

    def maybe(text: str | None) -> str | None:
        return None if text is None else told(text)

    def within(value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return told(value)
        if isinstance(value, list):
            return [within(one) for one in value]
        if isinstance(value, dict):
            return {key: within(one) for key, one in value.items()}
        return value

    def call(made: ToolCall) -> ToolCall:
        changes = {"arguments": within(made.arguments), "result": within(made.result)}
        return made.model_copy(update=changes)

    run, truth = trace.observed, trace.ground_truth
    agents = tuple(
        AgentInfo(
            name=told(info.name), role=maybe(info.role), system_prompt=maybe(info.system_prompt)
        )
        for info in run.agents
    )
    steps = tuple(
        step.model_copy(
            update={
                "agent": told(step.agent),
                "to": maybe(step.to),
                "content": told(step.content),
                "tool_calls": tuple(call(made) for made in step.tool_calls),
                "reads": None,
            }
        )
        for step in run.steps
    )
    labels = tuple(
        label.model_copy(update={"agent": told(label.agent), "reason": maybe(label.reason)})
        for label in trace.labels
    )
    observed = Observed(
        task=told(run.task),
        framework=run.framework,
        agents=agents,
        steps=steps,
        outcome=run.outcome.model_copy(update={"answer": maybe(run.outcome.answer)}),
    )
    if truth is not None:
        truth = truth.model_copy(update={"answer": within(truth.answer)})
    return trace.model_copy(update={"observed": observed, "labels": labels, "ground_truth": truth})


def inserted(trace: Trace, position: int, step: Step) -> Trace:
    """The trace with one more step at a position; label and replay evidence move with theirs."""

    def moved(index: int) -> int:
        return index + (index >= position)

    old = [
        one.model_copy(
            update={
                "index": moved(one.index),
                "parent": None if one.parent is None else moved(one.parent),
            }
        )
        for one in trace.steps
    ]
    steps = (*old[:position], step.model_copy(update={"index": position}), *old[position:])
    labels = tuple(label.model_copy(update={"step": moved(label.step)}) for label in trace.labels)
    metadata = dict(trace.metadata)
    verification = metadata.get("verification")
    tried = verification.get("tried") if isinstance(verification, dict) else None
    if isinstance(verification, dict) and isinstance(tried, list):
        later: list[JsonValue] = [moved(index) for index in tried if isinstance(index, int)]
        metadata["verification"] = {**verification, "tried": later}
    observed = trace.observed.model_copy(update={"steps": steps})
    return trace.model_copy(update={"observed": observed, "labels": labels, "metadata": metadata})
