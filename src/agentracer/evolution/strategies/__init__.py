"""Strategies: what a verdict becomes.

    Advice            a lesson for the blamed agent, through the adapters' `advise`
    TryAlternatives   another alternative in the blamed agent's slot
    Retry             the failed run again, from the decisive step, with the correction
    maas              credit for MaAS: prompts of operators, and layers of the architecture

A strategy of your own inherits from `Strategy`.
"""

from __future__ import annotations

from agentracer.evolution.strategies.advice import Advice
from agentracer.evolution.strategies.base import RoundState, Strategy
from agentracer.evolution.strategies.retry import Retry, retry
from agentracer.evolution.strategies.try_alternatives import ReplaceAgent, TryAlternatives

__all__ = ["Advice", "ReplaceAgent", "Retry", "RoundState", "Strategy", "TryAlternatives", "retry"]
