"""Who knows what a step should have done.

    FunctionOracle    the user's code
    ReferenceOracle   a successful run of the same task
    LLMOracle         a language model, as the paper's analyzer
    HumanOracle       somebody at the terminal

Any callable of a trace and a step will do; these are the common ones.
"""

from __future__ import annotations

from agentracer.replay.oracles.functions import FunctionOracle
from agentracer.replay.oracles.human import HumanOracle
from agentracer.replay.oracles.language_model import LLMOracle, chat
from agentracer.replay.oracles.reference import ReferenceOracle

__all__ = ["FunctionOracle", "HumanOracle", "LLMOracle", "ReferenceOracle", "chat"]
