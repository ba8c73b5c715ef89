"""Self-evolution: verdicts on failed runs become changes, and only changes that help stay.

    evolve, aevolve   the loop: run the tasks, attribute the failures, change, run again, compare
    EvolveOptions     its options
    compare           the same loop under several tracers and controls, with equal budgets
    strategies        what a verdict becomes: `Advice`, `TryAlternatives`, `Retry`, MaAS credit
    controls          what to compare a tracer with: no feedback, a random agent, the last one
    lessons           what was learned, on disk
    retry             a callback for `agentracer.on_failure`: rerun from the decisive step

The loop knows no framework: it applies changes through the adapters' `advise`, and runs what the
user gives it.
"""

from __future__ import annotations

from typing import Any

from agentracer.deprecation import renamed
from agentracer.evolution.attributors import Attribution, Attributor, FailedRun, Verified
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
from agentracer.evolution.effect import Effect
from agentracer.evolution.joint_correction import JointCorrection
from agentracer.evolution.lessons import Lesson, LessonStore
from agentracer.evolution.loop import aevolve, evolve
from agentracer.evolution.options import EvolveOptions
from agentracer.evolution.records import EvolutionRecord
from agentracer.evolution.report import AppliedChange, EvolutionReport, Round
from agentracer.evolution.strategies import (
    Advice,
    ReplaceAgent,
    Retry,
    RoundState,
    Strategy,
    TryAlternatives,
    retry,
)
from agentracer.evolution.team import Team
from agentracer.replay.budget import Budget
from agentracer.usage import Usage

__all__ = [
    "Advice",
    "AppliedChange",
    "Arm",
    "Attribution",
    "Attributor",
    "Budget",
    "Change",
    "Comparison",
    "Critic",
    "Effect",
    "EvolutionRecord",
    "EvolutionReport",
    "EvolveOptions",
    "FailedRun",
    "JointCorrection",
    "LastAgent",
    "Lesson",
    "LessonStore",
    "NoFeedback",
    "RandomBlame",
    "ReplaceAgent",
    "Retry",
    "Round",
    "RoundState",
    "SelfRefine",
    "Strategy",
    "Team",
    "TrueStep",
    "TryAlternatives",
    "Usage",
    "Verified",
    "aevolve",
    "compare",
    "evolve",
    "retry",
]

_RENAMED = {
    "Allowance": "Budget",
    "Blamed": "Attribution",
    "Blamer": "Attributor",
    "Cost": "Usage",
    "Done": "AppliedChange",
    "Failure": "FailedRun",
    "Report": "EvolutionReport",
    "Swap": "ReplaceAgent",
    "Variant": "TryAlternatives",
    "VerifiedTogether": "JointCorrection",
}


def __getattr__(name: str) -> Any:
    return renamed(__name__, name, _RENAMED)
