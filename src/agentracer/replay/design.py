"""The design of one replay experiment: sample sizes, level, and what counts as confirmation.

Two independent samples are compared with Boschloo's exact test: replays with the correction, and
replays without it (the control). The size of both samples is fixed beforehand. Replays stop as soon
as the remaining ones could no longer change the conclusion (curtailment), so stopping early decides
what the full samples would have decided, and the error rate is that of the full samples.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentracer.statistics import ALPHA, boschloo_p_value

__all__ = ["ExperimentDesign"]


@dataclass(frozen=True, slots=True)
class ExperimentDesign:
    """How many replays decide about one step.

    Attributes:
        repeats: size of each of the two samples.
        alpha: level at which one step is confirmed.
        certain: the system is known to be deterministic, so that one replay of each kind decides.
        reproducible: whether a rerun without any change gave the same run again; None if untried.
    """

    repeats: int
    alpha: float = ALPHA
    certain: bool = False
    reproducible: bool | None = None

    def confirms(self, flips: int, replays: int, control_flips: int, control_replays: int) -> bool:
        """Return whether these counts confirm the step."""
        if self.certain:
            return flips == replays > 0 and control_flips == 0 and control_replays > 0
        return boschloo_p_value(flips, replays, control_flips, control_replays) <= self.alpha
