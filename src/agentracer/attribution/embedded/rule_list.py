"""The rule list: which step to look at first, why, and how often that was right.

Five rules, tried in order; the first whose condition holds names the step. The first two need
recorded errors, which imported logs do not have, so they are not measured. The rules read the shape
of a run, not its meaning: they say where the errors of such runs were found most often, and cannot
know whether a step is wrong. Replay can (`agentracer.replay.verify`).

What was tried and left out, since it found no more on the development half: the step before the
first failed execution, the step before the manager first complains, the first step that contains
the final answer. The last is still given as evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentracer.attribution.embedded.text.signals import Signals

__all__ = ["MEASURED", "RULES", "SHORTLIST", "Measured", "Rule", "contributes", "rank_by_rules"]

SHORTLIST = 5
"""Ranks that were measured."""

FEW_TURNS = 4
"""Worker turns up to which a delegated run counts as short (tuned: 11 or 12 hits for 3 to 8)."""

FEW_FACTS = 2
"""New figures or names that make a step more than an announcement (tuned: 30 or 31 for 1 to 4)."""


@dataclass(frozen=True)
class Rule:
    """A rule of the list.

    Attributes:
        name: key in `MEASURED`.
        because: why the step that it names is suspected, in a sentence.
        find: returns the step that it names, or None where it does not apply.
    """

    name: str
    because: str
    find: Callable[[Signals], int | None]


@dataclass(frozen=True)
class Measured:
    """How a rule did on the 94 logs of Who&When's development half where it applied.

    A hit is the labelled step together with the labelled agent.

    Attributes:
        runs: logs in which the rule applied.
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
    raising = [step.index for step in signals.run.steps if step.error is not None]
    return raising[-1] if raising else None


def _failed_call(signals: Signals) -> int | None:
    return next(iter(signals.unrecovered_calls), None)


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
    contribution = next((index for index in steps if contributes(signals, index)), None)
    if contribution is not None:
        return contribution
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
        "a tool call of this step failed and none like it succeeded later; what follows lacks its "
        "result",
        _failed_call,
    ),
    Rule(
        "last result",
        "in a short delegated run the answer is made from the last result of a worker",
        _last_result,
    ),
    Rule(
        "first result",
        "in a long delegated run the error was mostly in the first result of a worker",
        _first_result,
    ),
    Rule(
        "first contribution",
        "the first step that writes code, or states facts that occur neither in the task nor in "
        "an earlier step; what follows builds on it",
        _first_contribution,
    ),
)


def rank_by_rules(signals: Signals) -> tuple[Rule, list[int]]:
    """The rule that applies, and every step, most suspicious first.

    After the step that the rule names come the workers' other steps, those nearest to it first,
    then the instructions of managers, the briefing, and at last executions and the user.
    """
    rule, first = next((rule, step) for rule in RULES if (step := rule.find(signals)) is not None)
    near = sorted(_turns(signals), key=lambda index: abs(index - first))
    reporting = signals.executors | signals.users
    others = [step for step in signals.run.steps if step.agent not in reporting]
    instructions = [step.index for step in others if step.to is not None]
    rest = [step.index for step in others] + [step.index for step in signals.run.steps]
    return rule, list(dict.fromkeys([first, *near, *instructions, *rest]))
