"""What a verdict becomes.

    Advice    a lesson for the blamed agent, through the adapters' `advise`
    Variant   another alternative in the blamed agent's slot
    Retry     the failed run again, from the decisive step, with the correction
    maas      credit for MaAS: prompts of operators, and layers of the sampled architecture

Anything with a `name` and a `propose` is a strategy.
"""

from __future__ import annotations

from agentracer.evolution.strategies.advice import Advice
from agentracer.evolution.strategies.base import Known, Strategy
from agentracer.evolution.strategies.retry import Retry, retry
from agentracer.evolution.strategies.variant import Swap, Variant

__all__ = ["Advice", "Known", "Retry", "Strategy", "Swap", "Variant", "retry"]
