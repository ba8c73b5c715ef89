"""Whether a change helped or harmed: the same tasks with it and without it, pair by pair.

If the change does nothing, what differs between the two runs of a task is luck, and luck favours
both sides equally. Wins and losses are then coin tosses, and the exact binomial tail says how often
so many losses come by luck alone (a sign test). How much luck there is in the system need not be
known: the control runs, made in the same round, show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agentracer.statistics import ALPHA, binomial_tail

__all__ = ["Effect"]

Finding = Literal["helps", "harms", "no effect", "not enough evidence"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change did on the tasks seen so far.

    Attributes:
        wins: tasks that went better with it, and `losses` worse.
        losses: see `wins`.
        ties: tasks that went as well with it as without.
        certain: the system repeats itself, so that differences are no luck.
    """

    wins: int
    losses: int
    ties: int
    certain: bool = False

    @classmethod
    def between(
        cls,
        control: Mapping[str, Sequence[bool]],
        trial: Mapping[str, Sequence[bool]],
        *,
        certain: bool = False,
    ) -> Effect:
        """Compare shares of success task by task."""
        shares = [
            (sum(trial[name]) / len(trial[name]), sum(control[name]) / len(control[name]))
            for name in control
            if control[name] and trial.get(name)
        ]
        wins = sum(with_it > without for with_it, without in shares)
        losses = sum(with_it < without for with_it, without in shares)
        return cls(wins, losses, len(shares) - wins - losses, certain)

    @property
    def p_harm(self) -> float:
        """Chance of so many losses by luck."""
        return binomial_tail(self.losses, self.wins)

    @property
    def p_help(self) -> float:
        """Chance of so many wins by luck."""
        return binomial_tail(self.wins, self.losses)

    @property
    def finding(self) -> Finding:
        """What the pairs show."""
        if self.certain and not self.wins and not self.losses:
            return "no effect"
        if self.losses > self.wins and (self.certain or self.p_harm <= ALPHA):
            return "harms"
        if self.wins > self.losses and (self.certain or self.p_help <= ALPHA):
            return "helps"
        return "no effect" if self.certain else "not enough evidence"

    @property
    def keep(self) -> bool:
        """Whether the change may stay. In doubt, a change that lost more than it won goes."""
        return self.losses <= self.wins

    def __str__(self) -> str:
        count = f"{self.wins} won, {self.losses} lost, {self.ties} as before"
        p = "" if self.certain else f", p = {min(self.p_harm, self.p_help):.2g}"
        return f"{self.finding} ({count}{p})"
