"""What a search or a round may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentracer.usage import Usage

__all__ = ["UNLIMITED", "Budget"]


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of what may be spent; None is no limit. What has begun is finished.

    Attributes:
        runs: runs and replays of the system, counted alike.
        seconds: wall time of the whole search, the oracle's included.
        tokens: read and written by live model calls, and by an oracle that counts its own
            (`Oracle.usage`).
        model_calls: calls of models by the system, and by an oracle that counts its own.
    """

    runs: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    model_calls: int | None = None

    def exhausted(self, usage: Usage) -> str | None:
        """Return the first limit that is reached, as text such as "20 runs"; None if none is."""
        for name, limit, amount in self._limits(usage):
            if amount >= limit:
                return f"{limit:g} {name}"
        return None

    def allows(self, usage: Usage) -> bool:
        """Return whether no limit is passed by having spent so much."""
        return all(amount <= limit for _, limit, amount in self._limits(usage))

    def limits(self, usage: Usage) -> bool:
        """Return whether some of this usage counts towards a limit."""
        return any(amount > 0 for _, _, amount in self._limits(usage))

    def runs_left(self, usage: Usage) -> int | None:
        """Return how many more runs may be made; None for any number."""
        return None if self.runs is None else max(0, self.runs - usage.all_runs)

    def _limits(self, usage: Usage) -> list[tuple[str, float, float]]:
        limits = [
            ("runs", self.runs, usage.all_runs),
            ("seconds", self.seconds, usage.seconds),
            ("tokens", self.tokens, usage.tokens),
            ("model calls", self.model_calls, usage.model_calls),
        ]
        return [(name, limit, amount) for name, limit, amount in limits if limit is not None]


UNLIMITED: Final = Budget()
