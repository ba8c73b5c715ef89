"""Self-evolution: verdicts on failed runs become changes, and only changes that help stay.

    evolve, aevolve   the loop: run the tasks, attribute the failures, change, run again, compare
    compare           the same loop under several tracers and controls, with equal budgets
    strategies        what a verdict becomes: `Advice`, `Variant`, `Retry`, MaAS credit
    controls          who else could have been blamed: nobody, anybody, the last agent, the true one
    lessons           what was learned, on disk
    retry             a callback for `agentracer.on_failure`: rerun from the decisive step

The loop knows no framework: it applies changes through the adapters' `advise`, and runs what the
user gives it.
"""

from __future__ import annotations

from agentracer.evolution.blame import Blamed, Blamer, Failure, Verified
from agentracer.evolution.changes import Change
from agentracer.evolution.comparison import Arm, Comparison, compare
from agentracer.evolution.controls import (
    Critic,
    LastAgent,
    NoFeedback,
    RandomBlame,
    SelfRefine,
    TrueStep,
)
from agentracer.evolution.cost import Allowance, Cost
from agentracer.evolution.effect import Effect
from agentracer.evolution.lessons import Lesson, LessonStore
from agentracer.evolution.loop import aevolve, evolve
from agentracer.evolution.report import Done, Report, Round
from agentracer.evolution.strategies import Advice, Retry, Strategy, Swap, Variant, retry
from agentracer.evolution.team import Team
from agentracer.evolution.together import VerifiedTogether

__all__ = [
    "Advice",
    "Allowance",
    "Arm",
    "Blamed",
    "Blamer",
    "Change",
    "Comparison",
    "Cost",
    "Critic",
    "Done",
    "Effect",
    "Failure",
    "LastAgent",
    "Lesson",
    "LessonStore",
    "NoFeedback",
    "RandomBlame",
    "Report",
    "Retry",
    "Round",
    "SelfRefine",
    "Strategy",
    "Swap",
    "Team",
    "TrueStep",
    "Variant",
    "Verified",
    "VerifiedTogether",
    "aevolve",
    "compare",
    "evolve",
    "retry",
]
