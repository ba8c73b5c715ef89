"""Counterfactual replay: what would have happened, had one step been different?"""

from __future__ import annotations

from agentracer.replay.counterfactual import find_decisive
from agentracer.replay.rerun import arerun, rerun
from agentracer.replay.session import Override
from agentracer.replay.verify import Oracle, System, verify

__all__ = ["Oracle", "Override", "System", "arerun", "find_decisive", "rerun", "verify"]
