"""Carry out what a search asks for: corrections and replays, within a budget, each one journaled.

The engine owns the loop. A search program (see `trial`) yields requests and is sent the results; it
knows neither threads nor event loops, budgets nor journals. A replay that breaks is a result like
any other and does not end the search; a system that cannot be replayed at all does.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from agentracer.errors import BudgetSpent, InvalidSystem, OracleFailed
from agentracer.replay.budget import UNLIMITED, Budget
from agentracer.replay.divergence import DivergenceKind, recorded_divergences
from agentracer.replay.journal import ReplayJournal, replay_key
from agentracer.replay.override import Override, changes_nothing
from agentracer.replay.rerun import arerun, rerun
from agentracer.replay.system import AsyncOracle, OracleFunction, System, as_oracle
from agentracer.replay.trial import OracleRequest, ReplayRequest, ReplayResult, SearchProgram
from agentracer.trace import Observed, Step, Trace
from agentracer.usage import Usage

__all__ = ["Engine", "signature", "usage_of_steps"]

_FAULTS = 3
"""So many replays that fail alike end a search early; one or two may be a passing trouble."""


@dataclass(frozen=True, slots=True)
class _Effect:
    """Something that really happens, in its blocking and in its async form."""

    blocking: Callable[[], Any]
    awaited: Callable[[], Awaitable[Any]]


_Effects: TypeAlias = Generator[_Effect, Any, Any]


class Engine:
    """Runs the programs of one search on one trace.

    Args:
        trace: the record; None for reruns from scratch.
        system: what to run.
        oracle: proposes corrections; None for programs that ask for none.
        budget: what the search may cost.
        journal: where finished replays are kept.
        on_replay: called after each replay with what was spent so far, for a progress bar.

    Attributes:
        usage: what was spent so far. What a journal gave back is in `usage.resumed` only.
    """

    def __init__(
        self,
        trace: Trace | None,
        system: System,
        oracle: OracleFunction | AsyncOracle | None = None,
        *,
        budget: Budget = UNLIMITED,
        journal: ReplayJournal | None = None,
        on_replay: Callable[[Usage], None] | None = None,
    ) -> None:
        self._trace = trace
        self._check = _CheckProbe(system.check)
        self._system = replace(system, check=self._check)
        self._oracle = as_oracle(oracle) if oracle is not None else None
        self._budget, self._journal, self._on_replay = budget, journal, on_replay
        self._began = time.monotonic()
        self._oracle_usage = self._oracle.usage if self._oracle is not None else Usage()
        self._faults: list[_Fault] = []
        self._has_sound_replay = False
        self.usage = Usage()

    def drive(self, program: SearchProgram) -> Any:
        """Carry a program out and return what it returns.

        Raises:
            InvalidSystem: the system cannot be replayed or checked at all.
        """
        effects = self._serve_all(program)
        try:
            effect = next(effects)
            while True:
                try:
                    value = effect.blocking()
                except Exception as error:  # noqa: BLE001 - the program decides what it means
                    effect = effects.throw(error)
                else:
                    effect = effects.send(value)
        except StopIteration as stop:
            return stop.value

    async def adrive(self, program: SearchProgram) -> Any:
        """Do the same for a system whose `run` returns an awaitable."""
        effects = self._serve_all(program)
        try:
            effect = next(effects)
            while True:
                try:
                    value = await effect.awaited()
                except Exception as error:  # noqa: BLE001 - the program decides what it means
                    effect = effects.throw(error)
                else:
                    effect = effects.send(value)
        except StopIteration as stop:
            return stop.value

    # -- the loop

    def _serve_all(self, program: SearchProgram) -> _Effects:
        try:
            request = next(program)
            while True:
                try:
                    reply = yield from self._serve(request)
                except (BudgetSpent, OracleFailed) as error:
                    request = program.throw(error)
                else:
                    request = program.send(reply)
        except StopIteration as stop:
            self._refuse_if_nothing_but_faults()
            return stop.value

    def _serve(self, request: OracleRequest | ReplayRequest) -> _Effects:
        if isinstance(request, ReplayRequest):
            result = self._from_journal(request)
            return result if result is not None else (yield from self._replay(request))
        if self._journal is not None and self._journal.knows(request.step):
            return self._journal.answer(request.step)
        return (yield from self._ask_oracle(request.step))

    def _check_budget(self) -> None:
        self._count_time()
        if (limit := self._budget.exhausted(self.usage)) is not None:
            raise BudgetSpent(f"the budget of {limit} was spent")

    def _count_time(self) -> None:
        self.usage = replace(self.usage, seconds=time.monotonic() - self._began)

    # -- the oracle

    def _ask_oracle(self, step: int) -> _Effects:
        self._check_budget()
        trace, oracle = self._trace, self._oracle
        if oracle is None or trace is None:
            raise AssertionError("this program was given no oracle")

        def blocking() -> Any:
            return _not_awaitable(oracle(trace, step))

        async def awaited() -> Any:
            proposal = oracle(trace, step)
            return await proposal if inspect.isawaitable(proposal) else proposal

        try:
            proposal = yield _Effect(blocking, awaited)
        except Exception as error:
            text = f"step {step}: the oracle failed: {type(error).__name__}: {error}"
            raise OracleFailed(text) from error
        usage = oracle.usage
        self.usage += usage - self._oracle_usage
        self._oracle_usage = usage
        self._count_time()
        correction = _checked(trace, step, proposal)
        if self._journal is not None:
            self._journal.add_answer(step, correction)
        return correction

    # -- replays

    def _from_journal(self, request: ReplayRequest) -> ReplayResult | None:
        if self._journal is None:
            return None
        result = self._journal.replay(replay_key(request.overrides, request.purpose))
        if result is not None:
            self._has_sound_replay = True  # it was checked when it was made
            self.usage += Usage(resumed=1)
        return result

    def _replay(self, request: ReplayRequest) -> _Effects:
        self._check_budget()
        self._check.error = None
        began = time.monotonic()
        try:
            trace = yield self._rerun(request)
        except InvalidSystem:
            raise
        except Exception as error:  # noqa: BLE001 - one replay that breaks is a result
            problem = f"the replay broke: {type(error).__name__}: {error}"
            result = ReplayResult(None, problems=(problem,))
        else:
            self._look_for_fault(request, trace)
            result = _result(request, trace)
        usage = replace(result.usage, seconds=time.monotonic() - began)
        return self._note(request, replace(result, usage=usage))

    def _rerun(self, request: ReplayRequest) -> _Effect:
        system, record = self._system, _record_for(self._trace, request)
        options: dict[str, Any] = {
            "override": request.overrides or None,
            "check": system.check,
            "store": system.store,
            "policy": system.policy,
            "on_divergence": "report",
        }
        return _Effect(
            lambda: rerun(record, system.run, **options),
            lambda: arerun(record, system.run, **options),
        )

    def _note(self, request: ReplayRequest, result: ReplayResult) -> ReplayResult:
        if self._journal is not None:
            self._journal.add_replay(replay_key(request.overrides, request.purpose), result)
        from_scratch = request.purpose == "rerun"
        self.usage += replace(result.usage, seconds=0.0)
        self.usage += Usage(runs=1) if from_scratch else Usage(replays=1)
        self._count_time()
        if self._on_replay is not None:
            self._on_replay(self.usage)
        return result

    # -- systems that cannot be replayed

    def _look_for_fault(self, request: ReplayRequest, trace: Trace) -> None:
        """Note a replay that raised, where the record did not, or that could not be checked.

        A correction may make a run raise, so this alone does not end the search.
        """
        if self._trace is None or request.purpose == "rerun":
            return
        text = self._fault(trace)
        if text is None:
            self._has_sound_replay = True
            return
        unchanged = request.purpose in ("pilot", "control")
        certain = unchanged or self._check.error is not None or not trace.steps
        self._faults.append(_Fault(text, certain=certain))
        if len(self._faults) == _FAULTS and all(fault.certain for fault in self._faults):
            self._refuse_if_nothing_but_faults()

    def _fault(self, trace: Trace) -> str | None:
        assert self._trace is not None  # noqa: S101 - asked by the caller; for mypy
        if self._check.error is not None:
            error = self._check.error
            return (
                f"System.check raised {type(error).__name__}: {error} (replay {trace.id})\n"
                "  remedy: let the check return True or False for whatever the run returns; "
                "agentracer show prints the replay"
            )
        outcome = trace.outcome
        if outcome.ending == "raised" and self._trace.outcome.ending != "raised":
            error_text = "an error"
            if outcome.error is not None:
                error_text = f"{outcome.error.type}: {outcome.error.message}"
            return (
                f"System.run raised {error_text} (replay {trace.id}), which the recorded run "
                f"{self._trace.id} did not\n"
                "  remedy: let System.run run the same system as the record, on fresh objects"
            )
        return None

    def _refuse_if_nothing_but_faults(self) -> None:
        """Raise where every replay so far failed in the same way, and not by its correction."""
        if self._has_sound_replay or len({fault.kind for fault in self._faults}) != 1:
            return
        count = len(self._faults)
        if count > 1 or self._faults[0].certain:
            where = "the replay" if count == 1 else f"each of {count} replays"
            raise InvalidSystem(f"in {where}, {self._faults[-1].text}")


@dataclass(frozen=True, slots=True)
class _Fault:
    """A replay that failed where its record did not.

    Attributes:
        text: what failed, and the remedy.
        certain: no correction can be the reason: nothing was changed, no step was reached, or the
            check itself raised.
    """

    text: str
    certain: bool

    @property
    def kind(self) -> str:
        """The text without the id of the replay."""
        return self.text.partition(" (replay")[0]


class _CheckProbe:
    """A check that remembers what it raised. Assertions are verdicts, not errors."""

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self._check = check
        self.error: Exception | None = None

    def __call__(self, result: Any) -> Any:
        try:
            verdict = self._check(result)
        except AssertionError:
            raise
        except Exception as error:
            self.error = error
            raise
        return self._awaited(verdict) if inspect.isawaitable(verdict) else verdict

    async def _awaited(self, verdict: Awaitable[Any]) -> Any:
        try:
            return await verdict
        except AssertionError:
            raise
        except Exception as error:
            self.error = error
            raise


def signature(trace: Trace) -> str:
    """Return a hash of what was written and done, whatever the order of parallel steps."""
    steps = sorted(
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
    return hashlib.blake2b("\n".join(steps).encode(), digest_size=12).hexdigest()


def _result(request: ReplayRequest, trace: Trace) -> ReplayResult:
    facts: Any = trace.metadata.get("replay") or {}
    divergences = recorded_divergences(trace)
    if request.purpose == "together":
        # Later overrides hit turns that read something new, so only a miss is a problem.
        divergences = [d for d in divergences if d.kind is not DivergenceKind.OTHER_PROMPT]
    refused = dict.fromkeys(facts.get("refused", ()))
    problems = [
        *(divergence.message for divergence in divergences),
        *(f"the replay's policy refused the tool {name}" for name in refused),
    ]
    return ReplayResult(
        trace.outcome.success,
        trace=trace.id,
        problems=tuple(problems),
        signature=signature(trace),
        usage=usage_of_steps([s for s in trace.steps if s.attributes.get("replay") == "live"]),
    )


def usage_of_steps(steps: list[Step]) -> Usage:
    """Return steps, model calls and tokens of these steps."""
    counted = [step.usage for step in steps if step.usage is not None]
    return Usage(
        steps=len(steps),
        model_calls=sum(step.kind == "llm" for step in steps),
        input_tokens=sum(usage.input_tokens or 0 for usage in counted),
        output_tokens=sum(usage.output_tokens or 0 for usage in counted),
    )


def _checked(trace: Trace, step: int, proposal: Any) -> Override | None:
    """The oracle's proposal where it fits the trace and changes something."""
    if proposal is None:
        return None
    if not isinstance(proposal, Override):
        raise OracleFailed(
            f"step {step}: the oracle returned {type(proposal).__name__}, not an Override or None"
        )
    if proposal.step != step:
        raise OracleFailed(f"step {step}: the oracle proposed a change of step {proposal.step}")
    try:
        proposal.check(trace)
    except ValueError as error:
        raise OracleFailed(f"step {step}: the oracle's proposal: {error}") from error
    return None if changes_nothing(trace, proposal) else proposal


def _not_awaitable(proposal: Any) -> Any:
    if inspect.isawaitable(proposal):
        if inspect.iscoroutine(proposal):
            proposal.close()
        raise TypeError("it is async: use the async variant of the search")
    return proposal


def _record_for(trace: Trace | None, request: ReplayRequest) -> Trace:
    """What a replay follows; an empty record for a rerun from scratch."""
    if request.overrides and trace is not None:
        return trace
    return Trace(id=trace.id if trace is not None else "", observed=Observed(), replayable=True)
