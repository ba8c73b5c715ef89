"""Another alternative in the blamed agent's slot: a prompt, a model, a tool, an implementation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from agentracer.evolution.attributors import Attribution
from agentracer.evolution.changes import Change, digest
from agentracer.evolution.strategies.base import RoundState, Strategy
from agentracer.evolution.team import Task

__all__ = ["ReplaceAgent", "TryAlternatives"]

_ABSENT: Final = object()


@dataclass(frozen=True, kw_only=True)
class ReplaceAgent(Change):
    """One slot holds another alternative.

    Attributes:
        alternative: its name.
        value: what goes into the slot.
        slots: where the system looks it up.
        unaffected: names of tasks that are known to go as they went.
    """

    alternative: str
    value: Any = field(compare=False)
    slots: MutableMapping[str, Any] = field(compare=False, repr=False)
    unaffected: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def concerns(self, task: Task) -> bool:
        """See `Change`."""
        return task.id not in self.unaffected

    def put(self, system: Any, task: Task) -> Callable[[], None]:
        """See `Change`."""
        del system, task
        before = self.slots.get(self.agent, _ABSENT)
        self.slots[self.agent] = self.value

        def undo() -> None:
            if before is _ABSENT:
                self.slots.pop(self.agent, None)
            else:
                self.slots[self.agent] = before

        return undo


class TryAlternatives(Strategy):
    """Tries alternatives for the agent that is blamed most.

    A verdict that was proved with a correction may say which alternatives would have given it
    (`Attribution.fixes`); of these, the one that fixes most failures is tried, and what is not
    proved has to wait. Otherwise the alternatives are tried in the order in which they were given.
    A set of alternatives that was proved together (`JointCorrection`) is tried together, however
    many slots it changes.

    Args:
        alternatives: by agent, by name, what could be in its slot.
        slots: where the system looks up what each agent is: a mapping that its code reads in every
            run. What is in there at the start is where the search starts from; where it is one of
            the alternatives, that one is not tried against itself.
        per_round: slots that change in one round where no set was proved together.

    Raises:
        ValueError: an agent has no alternatives, or `per_round` is less than 1.
    """

    name = "variant"

    def __init__(
        self,
        alternatives: Mapping[str, Mapping[str, Any]],
        slots: MutableMapping[str, Any],
        *,
        per_round: int = 1,
    ) -> None:
        empty = next((agent for agent, options in alternatives.items() if not options), None)
        if empty is not None:
            raise ValueError(f"there are no alternatives for {empty!r}")
        if per_round < 1:
            raise ValueError("per_round is at least 1")
        self._alternatives = {agent: dict(options) for agent, options in alternatives.items()}
        self._slots, self._per_round = slots, per_round
        self._start = {agent: self._name_of(agent) for agent in self._alternatives}
        self._left: set[str] = set()  # configurations that something better came after

    def propose(
        self, attributions: Sequence[Attribution], state: RoundState, /
    ) -> Sequence[Change]:
        """See `Strategy`."""
        now = self._configuration(state)
        self._left.add(_name(now))
        named = [attribution for attribution in attributions if not attribution.verdict.abstained]
        proved = [attribution for attribution in named if attribution.fixes]
        joint = next((attribution for attribution in named if attribution.together), None)
        if joint is not None and (changes := self._joint(joint, now, state)):
            return changes
        return self._replacements(proved, now, state) or self._replacements(named, now, state)

    def _replacements(
        self, attributions: Sequence[Attribution], now: Mapping[str, str | None], state: RoundState
    ) -> list[Change]:
        """New alternatives for those who are blamed most."""
        votes = Counter(str(attribution.verdict.agent) for attribution in attributions)
        changes: list[Change] = []
        for agent, _ in votes.most_common():
            mine = [
                attribution for attribution in attributions if attribution.verdict.agent == agent
            ]
            for name in self._order(agent, mine):
                swap = self._replacement(agent, name, now, mine)
                if swap.id not in state.retracted and swap.id not in self._left:
                    changes.append(_in_place_of(swap, state))
                    break
            if len(changes) == self._per_round:
                break
        return changes

    def _joint(
        self, attribution: Attribution, now: Mapping[str, str | None], state: RoundState
    ) -> list[Change]:
        """All swaps that were proved together; none where that was tried before."""
        then = {a: n for a, n in attribution.together.items() if n in self._alternatives.get(a, ())}
        new = {agent: name for agent, name in then.items() if now.get(agent) != name}
        goal = {**now, **then}
        if _name(goal) in self._left:
            return []
        swaps = [self._replacement(agent, name, goal, [attribution]) for agent, name in new.items()]
        # All lead to the same configuration, so each is named after its agent as well.
        same = frozenset(attribution.unaffected)
        named = [replace(s, id=digest(s.id, s.agent), unaffected=same) for s in swaps]
        tried = any(swap.id in state.retracted for swap in named)
        return [] if tried else [_in_place_of(swap, state) for swap in named]

    def _order(self, agent: str, mine: Sequence[Attribution]) -> list[str]:
        """Alternatives that would have mended most failures first, if that is known."""
        options = list(self._alternatives.get(agent, ()))
        mended = Counter(
            name for attribution in mine for name in attribution.fixes if name in options
        )
        if mended:
            return [name for name, _ in mended.most_common()]
        return options

    def _replacement(
        self, agent: str, name: str, now: Mapping[str, Any], mine: Sequence[Attribution]
    ) -> ReplaceAgent:
        return ReplaceAgent(
            # What it leads to names it: elsewhere, the same swap is another one.
            id=_name({**now, agent: name}),
            agent=agent,
            says=f"{now.get(agent, 'as it was')} -> {name}",
            why="; ".join(
                dict.fromkeys(
                    attribution.verdict.reason for attribution in mine if attribution.verdict.reason
                )
            ),
            evidence=tuple(attribution.verdict.trace_id for attribution in mine),
            alternative=name,
            value=self._alternatives[agent][name],
            slots=self._slots,
        )

    def _configuration(self, state: RoundState) -> dict[str, str | None]:
        swaps = {c.agent: c.alternative for c in state.kept if isinstance(c, ReplaceAgent)}
        return {**self._start, **swaps}

    def _name_of(self, agent: str) -> str | None:
        there = self._slots.get(agent, _ABSENT)
        options = self._alternatives[agent].items()
        return next((name for name, value in options if value is there), None)


def _name(configuration: Mapping[str, str | None]) -> str:
    return digest("swap", sorted((agent, str(name)) for agent, name in configuration.items()))


def _in_place_of(swap: ReplaceAgent, state: RoundState) -> ReplaceAgent:
    before = tuple(
        c.id for c in state.kept if isinstance(c, ReplaceAgent) and c.agent == swap.agent
    )
    return ReplaceAgent(**{**vars(swap), "replaces": before})
