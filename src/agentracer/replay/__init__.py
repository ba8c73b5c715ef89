"""Counterfactual replay: what would have happened, had one step been different?"""

from __future__ import annotations

from agentracer.replay.rerun import arerun, rerun
from agentracer.replay.session import Override

__all__ = ["Override", "arerun", "rerun"]
