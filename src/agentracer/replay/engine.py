"""Carries out what a search plans: replays, within a budget, each one journaled.

A failure of one replay is a result like any other and never ends the search.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from agentracer.errors import BudgetSpent, OracleFailed
from agentracer.replay.journal import ReplayJournal, replay_key
from agentracer.replay.override import Override, changes_nothing
from agentracer.replay.rerun import arerun, rerun
from agentracer.replay.system import System
from agentracer.replay.trial import Ask, Plan, Play, Replayed
from agentracer.trace import Observed, Step, Trace

__all__ = ["Budget", "BudgetSpent", "Engine", "OracleFailed", "Spent", "signature"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may cost. None: no limit. A replay that has begun is finished.

    Attributes:
        runs: replays.
        seconds: wall time of the whole search, the oracle's included.
        tokens: read and written by live model calls of the replays, and by the oracle where it
            counts them (an attribute `tokens`).
    """

    runs: int | None = None
    seconds: float | None = None
    tokens: int | None = None


UNLIMITED: Final = Budget()


@dataclass(slots=True)
class Spent:
    """What a search has cost so far; what a journal gave back for nothing is in `resumed` only."""

    runs: int = 0
    seconds: float = 0.0
    tokens: int = 0
    model_calls: int = 0
    steps: int = 0
    resumed: int = 0

    def over(self, budget: Budget) -> str | None:
        """The part of the budget that is used up, as text."""
        for name, limit in (
            ("runs", budget.runs), ("seconds", budget.seconds), ("tokens", budget.tokens)
        ):  # fmt: skip
            if limit is not None and getattr(self, name) >= limit:
                return f"{limit:g} {name}"
        return None


class Engine:
    """Runs the plans of one search on one trace.

    Args:
        trace: the record.
        system: what to run.
        oracle: knows corrections; None for plans that ask for none.
        budget: what it may cost.
        journal: where finished replays are kept.
        on_replay: called after each replay with what was spent so far, for a progress bar.
    """

    def __init__(
        self,
        trace: Trace | None,
        system: System,
        oracle: Callable[[Trace, int], Any] | None = None,
        *,
        budget: Budget = UNLIMITED,
        journal: ReplayJournal | None = None,
        on_replay: Callable[[Spent], None] | None = None,
    ) -> None:
        self._trace, self._system, self._oracle = trace, system, oracle
        self._budget, self._journal, self._on_replay = budget, journal, on_replay
        self._began = time.monotonic()
        self._oracle_tokens = int(getattr(oracle, "tokens", 0))
        self.spent = Spent()

    def drive(self, plan: Plan) -> Any:
        """Carry a plan out; returns what it returns."""
        reply: Any = None
        try:
            command = next(plan)
            while True:
                try:
                    reply = self._do(command)
                except (BudgetSpent, OracleFailed) as error:
                    command = plan.throw(error)
                else:
                    command = plan.send(reply)
        except StopIteration as stop:
            return stop.value

    async def adrive(self, plan: Plan) -> Any:
        """As `drive`, for a system whose `run` returns an awaitable."""
        try:
            command = next(plan)
            while True:
                try:
                    reply = await self._ado(command)
                except (BudgetSpent, OracleFailed) as error:
                    command = plan.throw(error)
                else:
                    command = plan.send(reply)
        except StopIteration as stop:
            return stop.value

    # -- the oracle

    def _do(self, command: Ask | Play) -> Any:
        if isinstance(command, Play):
            return self._known(command) or self._play(command)
        if self._journal is not None and self._journal.knows(command.step):
            return self._journal.answer(command.step)
        self._check_budget()
        try:
            proposed = self._propose(command.step)
            if inspect.isawaitable(proposed):
                if inspect.iscoroutine(proposed):
                    proposed.close()
                raise TypeError("it is async: use the async variant of the search")
        except Exception as error:
            raise self._oracle_failed(command.step, error) from error
        return self._checked(command.step, proposed)

    async def _ado(self, command: Ask | Play) -> Any:
        if isinstance(command, Play):
            return self._known(command) or await self._aplay(command)
        if self._journal is not None and self._journal.knows(command.step):
            return self._journal.answer(command.step)
        self._check_budget()
        try:
            proposed = self._propose(command.step)
            proposed = await proposed if inspect.isawaitable(proposed) else proposed
        except Exception as error:
            raise self._oracle_failed(command.step, error) from error
        return self._checked(command.step, proposed)

    def _propose(self, step: int) -> Any:
        if self._oracle is None or self._trace is None:
            raise AssertionError("this plan was given no oracle")
        return self._oracle(self._trace, step)

    def _oracle_failed(self, step: int, error: Exception) -> OracleFailed:
        return OracleFailed(f"step {step}: the oracle failed: {type(error).__name__}: {error}")

    def _checked(self, step: int, proposed: Any) -> Override | None:
        self._count_oracle()
        trace = self._trace
        if proposed is None or trace is None:
            found = None
        elif not isinstance(proposed, Override):
            raise OracleFailed(f"step {step}: the oracle returned {type(proposed).__name__}, "
                               "not an Override or None")  # fmt: skip
        elif proposed.step != step:
            raise OracleFailed(f"step {step}: the oracle proposed a change of step {proposed.step}")
        else:
            try:
                proposed.check(trace)
            except ValueError as error:
                raise OracleFailed(f"step {step}: the oracle's proposal: {error}") from error
            found = None if changes_nothing(trace, proposed) else proposed
        if self._journal is not None:
            self._journal.add_answer(step, found)
        return found

    def _count_oracle(self) -> None:
        now = int(getattr(self._oracle, "tokens", 0))
        self.spent.tokens += now - self._oracle_tokens
        self._oracle_tokens = now
        self.spent.seconds = time.monotonic() - self._began

    # -- replays

    def _known(self, play: Play) -> Replayed | None:
        if self._journal is None:
            return None
        found = self._journal.replay(replay_key(play.overrides, play.purpose))
        if found is not None:
            self.spent.resumed += 1
        return found

    def _play(self, play: Play) -> Replayed:
        self._check_budget()
        began, system = time.monotonic(), self._system
        try:
            again = rerun(
                _record_for(self._trace, play), system.run, override=play.overrides or None,
                check=system.check, store=system.store, policy=system.policy,
                on_divergence="report",
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - one replay that breaks is a result
            return self._broken(play, error, time.monotonic() - began)
        return self._count(play, again, time.monotonic() - began)

    async def _aplay(self, play: Play) -> Replayed:
        self._check_budget()
        began, system = time.monotonic(), self._system
        try:
            again = await arerun(
                _record_for(self._trace, play), system.run, override=play.overrides or None,
                check=system.check, store=system.store, policy=system.policy,
                on_divergence="report",
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - one replay that breaks is a result
            return self._broken(play, error, time.monotonic() - began)
        return self._count(play, again, time.monotonic() - began)

    def _check_budget(self) -> None:
        self.spent.seconds = time.monotonic() - self._began
        if (part := self.spent.over(self._budget)) is not None:
            raise BudgetSpent(f"the budget of {part} was spent")

    def _broken(self, play: Play, error: Exception, seconds: float) -> Replayed:
        problem = f"the replay broke: {type(error).__name__}: {error}"
        return self._note(play, Replayed(None, problems=(problem,), seconds=seconds))

    def _count(self, play: Play, again: Trace, seconds: float) -> Replayed:
        facts: Any = again.metadata.get("replay") or {}
        refused = dict.fromkeys(facts.get("refused", ()))
        problems = [
            *facts.get("divergences", ()),
            *(f"the replay's policy refused the tool {name}" for name in refused),
        ]
        if play.purpose == "together":
            # Later overrides hit turns that read something new, so only a miss is a problem.
            problems = [p for p in problems if "reads another prompt" not in p]
        live = [step for step in again.steps if step.attributes.get("replay") == "live"]
        result = Replayed(
            again.outcome.success,
            trace=again.id,
            problems=tuple(problems),
            signature=signature(again),
            steps=len(live),
            model_calls=sum(step.kind == "llm" for step in live),
            tokens=sum(_tokens(step) for step in live),
            seconds=seconds,
        )
        return self._note(play, result)

    def _note(self, play: Play, result: Replayed) -> Replayed:
        if self._journal is not None:
            self._journal.add_replay(replay_key(play.overrides, play.purpose), result)
        self.spent.runs += 1
        self.spent.tokens += result.tokens
        self.spent.model_calls += result.model_calls
        self.spent.steps += result.steps
        self.spent.seconds = time.monotonic() - self._began
        if self._on_replay is not None:
            self._on_replay(self.spent)
        return result


def signature(trace: Trace) -> str:
    """A hash of what was said and done, whatever the order of what ran at once, and its timing."""
    said = sorted(
        json.dumps(
            [
                step.agent,
                step.content,
                [[call.name, call.arguments, call.result] for call in step.tool_calls],
            ],
            sort_keys=True,
        )
        for step in trace.steps
    )
    return hashlib.blake2b("\n".join(said).encode(), digest_size=12).hexdigest()


def _tokens(step: Step) -> int:
    if step.usage is None:
        return 0
    return (step.usage.input_tokens or 0) + (step.usage.output_tokens or 0)


def _record_for(trace: Trace | None, play: Play) -> Trace:
    """What a replay follows; nothing, for a rerun from scratch."""
    if play.overrides and trace is not None:
        return trace
    return Trace(id=trace.id if trace is not None else "", observed=Observed(), replayable=True)
