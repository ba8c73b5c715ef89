"""Counterfactual replay: what would have happened, had one step been different?

    find_decisive   the earliest step whose correction turns a failed run into a success
    verify          proof of a verdict, with a control
    spectrum        which steps go with failure, over reruns; needs no oracle
    inject          failures known by construction
    rerun           one replay

`oracles` propose corrections of a step, `operators` corrupt one.
"""

from __future__ import annotations

from typing import Any

from agentracer.deprecation import renamed
from agentracer.replay.budget import Budget
from agentracer.replay.counterfactual import Search, afind_decisive, find_decisive
from agentracer.replay.divergence import Divergence, DivergenceKind
from agentracer.replay.inject import LabelledFailure, ainject, inject
from agentracer.replay.oracles import (
    FunctionOracle,
    HumanOracle,
    LLMOracle,
    ReferenceOracle,
    StrongerModel,
    chat,
)
from agentracer.replay.override import Override
from agentracer.replay.policy import ToolPolicy, ToolRefused
from agentracer.replay.rerun import arerun, rerun
from agentracer.replay.sampling import SamplingParameters
from agentracer.replay.spectrum import Spectrum, aspectrum, spectrum
from agentracer.replay.system import AsyncOracle, Oracle, OracleFunction, System
from agentracer.replay.verify import averify, verify
from agentracer.usage import Usage

__all__ = [
    "AsyncOracle",
    "Budget",
    "Divergence",
    "DivergenceKind",
    "FunctionOracle",
    "HumanOracle",
    "LLMOracle",
    "LabelledFailure",
    "Oracle",
    "OracleFunction",
    "Override",
    "ReferenceOracle",
    "SamplingParameters",
    "Search",
    "Spectrum",
    "StrongerModel",
    "System",
    "ToolPolicy",
    "ToolRefused",
    "Usage",
    "afind_decisive",
    "ainject",
    "arerun",
    "aspectrum",
    "averify",
    "chat",
    "find_decisive",
    "inject",
    "rerun",
    "spectrum",
    "verify",
]


def __getattr__(name: str) -> Any:
    return renamed(__name__, name, {"Spent": "Usage"})
