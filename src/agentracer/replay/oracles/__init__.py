"""Oracles: what a step should have done.

    FunctionOracle    the user's code
    ReferenceOracle   a successful run of the same task
    LLMOracle         a language model (the "analyzer" of arXiv 2509.03312)
    StrongerModel     a better model, that reads what the agent read
    HumanOracle       a person at the terminal

Any function of a trace and a step will do; `Oracle` is the base class of those that count what they
spend.
"""

from __future__ import annotations

from agentracer.replay.oracles.functions import FunctionOracle
from agentracer.replay.oracles.human import HumanOracle
from agentracer.replay.oracles.language_model import LLMOracle, chat
from agentracer.replay.oracles.reference import ReferenceOracle
from agentracer.replay.oracles.stronger import StrongerModel

__all__ = ["FunctionOracle", "HumanOracle", "LLMOracle", "ReferenceOracle", "StrongerModel", "chat"]
