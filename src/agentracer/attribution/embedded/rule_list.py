"""The rule list: which step to look at first, in words, and how often that was right.

Five rules, tried in order; the first whose condition holds names the step. The first two need
recorded errors, which imported logs do not hold, so they are not measured. The rules read the
shape of a run, not its meaning: they say where errors of such runs were found most often, and
cannot know whether a step is wrong. Replay can (`agentracer.replay.verify`).

What was tried and left out, since it found no more on the development half: the step before the
first failed execution, the step before the manager first complains, the first step that holds the
final answer. The last is still given as evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentracer.attribution.embedded.text.signals import Signals

__all__ = ["MEASURED", "RULES", "SHORTLIST", "Measured", "Rule", "contributes", "ranking"]

SHORTLIST = 5
"""Ranks that were measured."""

FEW_TURNS = 4
"""Worker turns up to which a delegated run counts as short (tuned: 11 or 12 hits for 3 to 8)."""

FEW_FACTS = 2
"""New figures or names that make a step more than an announcement (tuned: 30 or 31 for 1 to 4)."""


@dataclass(frozen=True)
class Rule:
    """A rule, and the sentence that explains it.

    Attributes:
        name: key in `MEASURED`.
        because: why this step, in a sentence.
        find: the step it names, or None where it does not apply.
    """

    name: str
    because: str
    find: Callable[[Signals], int | None]


@dataclass(frozen=True)
class Measured:
    """How a rule did on the 94 logs of Who&When's development half where it fired.

    A hit is the labelled step together with the labelled agent.

    Attributes:
        runs: logs in which the rule fired.
        first: logs with the hit at rank 1.
        listed: logs with the hit among the first five.
    """

    runs: int
    first: int
    listed: int

    def rate(self, rank: int) -> float | None:
        """Share of hits at this 0-based rank; None where nothing was measured.

        Ranks 2 to 5 share theirs evenly: one by one, they are too few to tell apart.
        """
        if not self.runs or rank >= SHORTLIST:
            return None
        hits = self.first if rank == 0 else (self.listed - self.first) / (SHORTLIST - 1)
        return hits / self.runs


MEASURED = {
    "raised": Measured(runs=0, first=0, listed=0),
    "failed call": Measured(runs=0, first=0, listed=0),
    "last result": Measured(runs=8, first=5, listed=8),
    "first result": Measured(runs=21, first=5, listed=12),
    "first contribution": Measured(runs=65, first=32, listed=60),
}
"""Recomputed from the data by a test. The rules were written looking at these same logs, so the
figures are optimistic for others: with both thresholds chosen leave-one-out, the labelled step is
found in 28 + 11 of the 64 + 30 logs instead of 31 + 12. At 8 runs the half-width is 28 points."""


def _raised(signals: Signals) -> int | None:
    if signals.run.outcome.ending != "raised":
        return None
    broken = [step.index for step in signals.run.steps if step.error is not None]
    return broken[-1] if broken else None


def _failed_call(signals: Signals) -> int | None:
    """The first failed call that was not made good by a later one of the same agent and tool."""
    last_success: dict[tuple[str, str], int] = {}
    for step in signals.run.steps:
        for call in step.tool_calls:
            if call.error is None:
                last_success[step.agent, call.name] = step.index
    for step in signals.run.steps:
        for call in step.tool_calls:
            made_good = last_success.get((step.agent, call.name), -1) >= step.index
            if call.error is not None and not made_good:
                return step.index
    return None


def _turns(signals: Signals) -> list[int]:
    return [step.index for step in signals.workers if step.index != signals.briefing]


def _last_result(signals: Signals) -> int | None:
    turns = _turns(signals)
    return turns[-1] if signals.managers and 0 < len(turns) <= FEW_TURNS else None


def _first_result(signals: Signals) -> int | None:
    turns = _turns(signals)
    return turns[0] if signals.managers and len(turns) > FEW_TURNS else None


def _first_contribution(signals: Signals) -> int | None:
    steps = [step.index for step in signals.workers] or [s.index for s in signals.run.steps]
    done = next((index for index in steps if contributes(signals, index)), None)
    if done is not None:
        return done
    return next((index for index in steps if index != signals.briefing), steps[0])


def contributes(signals: Signals, index: int) -> bool:
    """Whether a step does more than announce, agree or hand the task out."""
    if signals.code[index]:
        return True
    return index != signals.briefing and len(signals.new_facts[index]) >= FEW_FACTS


RULES = (
    Rule("raised", "the run ended with the error that this step raised", _raised),
    Rule(
        "failed call",
        "a tool call of this step failed and was not made good; what follows lacks its result",
        _failed_call,
    ),
    Rule(
        "last result",
        "in a short delegated run the answer is made from the last result of a worker",
        _last_result,
    ),
    Rule(
        "first result",
        "a long delegated run was mostly sent astray by the first result of a worker",
        _first_result,
    ),
    Rule(
        "first contribution",
        "the first step that writes code, or states facts which neither the task nor an earlier "
        "step held; what follows builds on it",
        _first_contribution,
    ),
)


def ranking(signals: Signals) -> tuple[Rule, list[int]]:
    """The rule that fires, and every step, most suspicious first.

    After the step that the rule names come the workers' other steps, those nearest to it first,
    then the instructions of managers, the briefing, and at last executions and the user.
    """
    rule, first = next((rule, found) for rule in RULES if (found := rule.find(signals)) is not None)
    near = sorted(_turns(signals), key=lambda index: abs(index - first))
    chatter = signals.executors | signals.users
    others = [step for step in signals.run.steps if step.agent not in chatter]
    instructions = [step.index for step in others if step.to is not None]
    rest = [step.index for step in others] + [step.index for step in signals.run.steps]
    return rule, list(dict.fromkeys([first, *near, *instructions, *rest]))
