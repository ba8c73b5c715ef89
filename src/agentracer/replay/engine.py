"""Carry out what a search asks for: corrections and replays, within a budget, each one journaled.

The engine owns the loop. A search program (see `trial`) yields requests and is sent the results; it
knows neither threads nor event loops, budgets nor journals. A replay that breaks is a result like
any other and does not end the search; a system that cannot be replayed at all does.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, TypeAlias

from agentracer.call_nesting import CallNesting
from agentracer.errors import BudgetSpent, CorrectionDeclined, InvalidSystem, OracleFailed
from agentracer.recording import score_of
from agentracer.replay.budget import UNLIMITED, Budget
from agentracer.replay.divergence import DivergenceKind, recorded_divergences
from agentracer.replay.journal import ReplayJournal, replay_key
from agentracer.replay.override import UNSET, Override, changes_nothing
from agentracer.replay.rerun import arerun, rerun
from agentracer.replay.system import AsyncOracle, OracleFunction, System, as_oracle
from agentracer.replay.trial import OracleRequest, ReplayRequest, ReplayResult, SearchProgram
from agentracer.trace import Observed, Step, Trace
from agentracer.usage import Usage

__all__ = ["Engine", "request_of_start", "signature", "usage_of_steps"]

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
        self._system = system
        self._oracle = as_oracle(oracle) if oracle is not None else None
        self._budget, self._journal, self._on_replay = budget, journal, on_replay
        self._began = time.monotonic()
        self._oracle_usage = self._oracle.usage if self._oracle is not None else Usage()
        self._faults: list[_Fault] = []
        self._has_sound_replay = False
        self._nesting: CallNesting | None = None
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

    def _serve(
        self, request: OracleRequest | ReplayRequest | tuple[ReplayRequest, ...]
    ) -> _Effects:
        if isinstance(request, tuple):
            return (yield from self._serve_batch(request))
        if isinstance(request, ReplayRequest):
            result = self._from_journal(request)
            return result if result is not None else (yield from self._replay((request,)))[0]
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
        if correction is not None and not oracle.results_of_agents:
            self._decline_result_of_agent(trace, correction)
        return correction

    def _decline_result_of_agent(self, trace: Trace, correction: Override) -> None:
        step, position = correction.step, correction.call
        if self._nesting is None:
            self._nesting = CallNesting(trace.observed)
        about_result = correction.result is not UNSET or correction.error is not None
        if about_result and self._nesting.has_inner_steps(step, position):
            name = trace.steps[step].tool_calls[position].name
            raise CorrectionDeclined(
                f"step {step}: the oracle corrects the result of {name}, which steps inside that "
                "call made: correct those, or set results_of_agents of the oracle"
            )

    # -- replays

    def _serve_batch(self, requests: tuple[ReplayRequest, ...]) -> _Effects:
        """Serve several replays, those not in the journal at once; as many as the budget allows."""
        results = {i: r for i, q in enumerate(requests) if (r := self._from_journal(q))}
        missing = [i for i in range(len(requests)) if i not in results]
        if missing:
            self._check_budget()
            missing = missing[: self._budget.runs_left(self.usage)]
            made = yield from self._replay(tuple(requests[i] for i in missing))
            results.update(zip(missing, made, strict=True))
        return [results[i] for i in takewhile(results.__contains__, range(len(requests)))]

    def _from_journal(self, request: ReplayRequest) -> ReplayResult | None:
        if self._journal is None:
            return None
        result = self._journal.replay(replay_key(request))
        if result is not None:
            self._has_sound_replay = True  # it was checked when it was made
            self.usage += Usage(resumed=1)
        return result

    def _replay(self, requests: tuple[ReplayRequest, ...]) -> _Effects:
        """Carry out replays, several at once if there are several; returns their results."""
        self._check_budget()
        made = self.usage.runs + self.usage.replays + self.usage.resumed
        attempts = [
            _Attempt(request, self._trace, self._system, number)
            for number, request in enumerate(requests, start=made)
        ]
        yield _at_once(attempts)
        return [self._conclude(attempt) for attempt in attempts]

    def _conclude(self, attempt: _Attempt) -> ReplayResult:
        request, error = attempt.request, attempt.error
        if isinstance(error, InvalidSystem):
            raise error
        if error is not None or attempt.trace is None:
            problem = f"the replay broke: {type(error).__name__}: {error}"
            result = ReplayResult(None, problems=(problem,))
        else:
            _refuse_unsupported_sampling(attempt.trace)
            self._look_for_fault(request, attempt.trace, attempt.check.error)
            result = _result(request, attempt.trace, attempt.check.score)
        usage = replace(result.usage, seconds=attempt.seconds)
        return self._note(request, replace(result, usage=usage))

    def _note(self, request: ReplayRequest, result: ReplayResult) -> ReplayResult:
        if self._journal is not None:
            self._journal.add_replay(replay_key(request), result)
        from_scratch = request.purpose == "rerun"
        self.usage += replace(result.usage, seconds=0.0)
        self.usage += Usage(runs=1) if from_scratch else Usage(replays=1)
        self._count_time()
        if self._on_replay is not None:
            self._on_replay(self.usage)
        return result

    # -- systems that cannot be replayed

    def _look_for_fault(
        self, request: ReplayRequest, trace: Trace, check_error: Exception | None
    ) -> None:
        """Note a replay that raised, where the record did not, or that could not be checked.

        A correction may make a run raise, so this alone does not end the search.
        """
        if self._trace is None or request.purpose == "rerun":
            return
        text = self._fault(trace, check_error)
        if text is None:
            self._has_sound_replay = True
            return
        unchanged = request.purpose in ("pilot", "control", "prefix")
        certain = unchanged or check_error is not None or not trace.steps
        self._faults.append(_Fault(text, certain=certain))
        if len(self._faults) == _FAULTS and all(fault.certain for fault in self._faults):
            self._refuse_if_nothing_but_faults()

    def _fault(self, trace: Trace, check_error: Exception | None) -> str | None:
        assert self._trace is not None  # noqa: S101 - asked by the caller; for mypy
        if check_error is not None:
            error = check_error
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


class _Attempt:
    """One replay to be made: blocking or awaited, it notes how it went and raises nothing.

    Attributes:
        trace: the replayed trace.
        error: what broke the replay itself.
        check: the check, which remembers what it raised.
        seconds: how long it took.
    """

    def __init__(
        self, request: ReplayRequest, record: Trace | None, system: System, number: int
    ) -> None:
        self.request, self._record, self._system = request, _record_for(record, request), system
        self._sampling = system.sampling.of_replay(number)
        self.trace: Trace | None = None
        self.error: Exception | None = None
        self.check = _CheckProbe(system.check, system.check_repeats)
        self.seconds = 0.0

    def run(self) -> None:
        """Make the replay."""
        began = time.monotonic()
        try:
            self.trace = rerun(self._record, self._system.fresh_run, **self._options())
        except Exception as error:  # noqa: BLE001 - one replay that breaks is a result
            self.error = error
        self.seconds = time.monotonic() - began

    async def arun(self) -> None:
        """Make the replay of a system that is awaited."""
        began = time.monotonic()
        try:
            self.trace = await arerun(self._record, self._system.fresh_run, **self._options())
        except Exception as error:  # noqa: BLE001 - one replay that breaks is a result
            self.error = error
        self.seconds = time.monotonic() - began

    def _options(self) -> dict[str, Any]:
        return {
            "override": self.request.overrides or None,
            "keep": self.request.keep,
            "check": self.check,
            "store": self._system.store,
            "policy": self._system.policy,
            "sampling": self._sampling,
            "on_divergence": "report",
        }


def _at_once(attempts: Sequence[_Attempt]) -> _Effect:
    """Make several replays: in threads, or as tasks."""

    def blocking() -> None:
        if len(attempts) == 1:
            attempts[0].run()
            return
        with ThreadPoolExecutor(len(attempts), thread_name_prefix="agentracer-replay") as pool:
            list(pool.map(_Attempt.run, attempts))

    async def awaited() -> None:
        await asyncio.gather(*(attempt.arun() for attempt in attempts))

    return _Effect(blocking, awaited)


class _CheckProbe:
    """A check that remembers what it raised. Assertions are verdicts, not errors.

    Asked several times for one result, it returns what the majority of the answers says, or the
    mean of scores.

    Attributes:
        error: what the check raised.
        score: what a graded check returned.
    """

    def __init__(self, check: Callable[[Any], Any], repeats: int = 1) -> None:
        self._check, self._repeats = check, repeats
        self.error: Exception | None = None
        self.score: float | None = None

    def __call__(self, result: Any) -> Any:
        with self._remembered():
            first = self._check(result)
            if not inspect.isawaitable(first):
                answers = [first, *(self._check(result) for _ in range(self._repeats - 1))]
                return self._noted(answers)
        return self._awaited(first, result)

    async def _awaited(self, first: Awaitable[Any], result: Any) -> Any:
        with self._remembered():
            answers = [await first]
            answers += [await self._check(result) for _ in range(self._repeats - 1)]
            return self._noted(answers)

    def _noted(self, answers: Sequence[Any]) -> Any:
        scores = [score for answer in answers if (score := score_of(answer)) is not None]
        if len(scores) != len(answers):
            return _majority(answers)
        self.score = sum(scores) / len(scores)
        return self.score

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except AssertionError:
            raise
        except Exception as error:
            self.error = error
            raise


def _majority(answers: Sequence[Any]) -> Any:
    """What more than half of the answers say; None where one says nothing."""
    if len(answers) == 1 or any(answer is None for answer in answers):
        return answers[0] if len(answers) == 1 else None
    return 2 * sum(bool(answer) for answer in answers) > len(answers)


def _refuse_unsupported_sampling(trace: Trace) -> None:
    """Raise where a model could not take the temperature or the seed that the system asks for."""
    for divergence in recorded_divergences(trace):
        if divergence.kind is DivergenceKind.UNSUPPORTED_SAMPLING:
            raise InvalidSystem(
                f"in replay {trace.id}, {divergence.message}\n"
                "  remedy: leave it out of System(...), and set it where the model is made"
            )


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


def request_of_start(trace: Trace) -> str:
    """Return who made the first model call of a run, and a hash of what it read; "" without one."""
    first = next((step for step in trace.steps if step.kind == "llm"), None)
    if first is None:
        return ""
    read = [(message.role, message.content) for message in trace.observed.reads(first)]
    digest = hashlib.blake2b(json.dumps(read, default=str).encode(), digest_size=12)
    return f"{first.agent} {digest.hexdigest()}"


def _result(request: ReplayRequest, trace: Trace, score: float | None) -> ReplayResult:
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
        start=request_of_start(trace),
        score=score if trace.outcome.success is not None else None,
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
    if (request.overrides or request.keep is not None) and trace is not None:
        return trace
    return Trace(id=trace.id if trace is not None else "", observed=Observed(), replayable=True)
