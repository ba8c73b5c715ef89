"""Verify the verdict on a failed test by replay, where the test says how its system is run.

The functions of the test run on a thread of their own: they may start an event loop there, and
when their time is up the session goes on without them.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from agentracer._pytest.agent_run import ReplaySpec
from agentracer._pytest.diagnosis import Diagnosis
from agentracer._pytest.settings import PluginSettings
from agentracer.replay import (
    Budget,
    OracleFunction,
    Override,
    ReferenceOracle,
    Search,
    System,
    ToolPolicy,
    find_decisive,
)
from agentracer.trace import Trace
from agentracer.usage import Usage
from agentracer.verdict import Candidate, Verdict

__all__ = ["verify_by_replay"]

_LEVEL: Final = 0.9
"""Posterior probability from which replays show an answer, be it a step or that there is none."""

_PATIENCE: Final = 1.5
"""A replay under way when the time is up may still end, within half of that time again."""


def verify_by_replay(
    diagnosis: Diagnosis,
    spec: ReplaySpec,
    settings: PluginSettings,
    reference: Trace | None = None,
    *,
    repeats_follow: bool = False,
) -> None:
    """Search for the decisive error by replay, and add the result to the verdict.

    With an oracle, or a run that passed in its place, the verdict's candidates are corrected. With
    neither, prefixes of the run are replayed, which needs nothing but `run` and `check`.

    Args:
        diagnosis: its verdict is replaced by the verified one; where that fails, a problem is
            added that says why.
        spec: how the test says that its system is run and checked.
        settings: limits, and where replayed traces go.
        reference: a run of the same test that passed: the oracle, where the test gives none.
        repeats_follow: the test is run again, so that there may be a reference later: without an
            oracle nothing is replayed yet.
    """
    verdict = diagnosis.verdict
    if verdict is None or verdict.verification is not None:
        return
    missing = _missing(spec, reference, repeats_follow=repeats_follow)
    if missing:
        diagnosis.note = f"not verified: {missing}"
        return
    diagnosis.note = ""
    attempt = _ReplaySearch(diagnosis.trace, verdict, spec, settings, reference)
    thread = threading.Thread(
        target=contextvars.copy_context().run,
        args=(attempt.run,),
        name="agentracer-verify",
        daemon=True,
    )
    thread.start()
    thread.join(settings.seconds * _PATIENCE)
    if attempt.search is not None:
        diagnosis.verdict = _with_proof(verdict, attempt.search)
        if diagnosis.verdict.verification is None and not diagnosis.verdict.abstained:
            diagnosis.problems.append(f"not verified: {attempt.search.verdict.abstain_reason}")
    elif thread.is_alive():
        attempt.abandoned = True
        diagnosis.problems.append(f"not verified: replays took longer than {settings.seconds:g} s")
    else:
        diagnosis.problems.append(f"not verified: {attempt.problem}")


def _missing(spec: ReplaySpec, reference: Trace | None, *, repeats_follow: bool) -> str | None:
    if spec.run is None or spec.check is None:
        return (
            "the test does not say how to run and check its system once more: "
            "agentracer_run.system(run, check)"
        )
    if repeats_follow and spec.oracle is None and reference is None:
        return "the session ended before the repeats of this test, which are to be compared with it"
    return None


@dataclass(slots=True)
class _ReplaySearch:
    """One search for the decisive error, on a thread of its own."""

    trace: Trace
    verdict: Verdict
    spec: ReplaySpec
    settings: PluginSettings
    reference: Trace | None
    search: Search | None = None
    problem: str = ""
    abandoned: bool = False
    _loop: asyncio.AbstractEventLoop | None = field(default=None)

    def run(self) -> None:
        """Search; what is raised becomes the problem."""
        try:
            with self._event_loop():
                self.search = self._search()
        except BaseException as error:  # noqa: BLE001 - the thread's end; nothing is above it
            self.problem = f"{type(error).__name__}: {error}"

    def _search(self) -> Search:
        candidates = self.verdict.candidates
        budget = Budget(runs=self.settings.runs, seconds=self.settings.seconds)
        oracle = self._oracle()
        if oracle is None:
            return find_decisive(
                self.trace,
                self._system(),
                ranking=candidates if self.verdict.calibrated else (),
                level=_LEVEL,
                budget=budget,
                on_replay=self._go_on,
            )
        return find_decisive(
            self.trace,
            self._system(),
            oracle,
            strategy="ranked",
            ranking=[candidate.step for candidate in candidates],
            budget=budget,
            on_replay=self._go_on,
        )

    def _go_on(self, _usage: Usage) -> None:
        """Stop replaying beside the tests that follow, once the result is no longer awaited."""
        if self.abandoned:
            raise TimeoutError

    def _system(self) -> System:
        run, check = self.spec.run, self.spec.check
        assert run is not None  # noqa: S101 - `_missing` asked; for mypy
        assert check is not None  # noqa: S101
        return System(
            run=lambda: self._resolve(run),
            check=lambda result: self._passes(check, result),
            store=self.settings.store,
            policy=self.spec.policy or ToolPolicy(),
            deterministic=self.spec.deterministic,
        )

    def _oracle(self) -> OracleFunction | None:
        oracle = self.spec.oracle
        if oracle is None:
            return None if self.reference is None else ReferenceOracle(self.reference)

        def awaited_oracle(trace: Trace, step: int) -> Override | None:
            override: Override | None = self._resolve(oracle, trace, step)
            return override

        return awaited_oracle

    def _passes(self, check: Callable[[Any], Any], result: Any) -> bool:
        """Call the check; one that only asserts returns None where the run succeeded."""
        answer = self._resolve(check, result)
        return answer is None or bool(answer)

    def _resolve(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of the test, and await what it returns if it is awaitable."""
        try:
            value = function(*arguments)
            if inspect.isawaitable(value) and self._loop is not None:
                return self._loop.run_until_complete(_awaited(value))
        except pytest.fail.Exception as error:  # no `Exception`, but what a test fails with
            raise AssertionError(str(error)) from error
        return value

    @contextmanager
    def _event_loop(self) -> Iterator[None]:
        """One loop for all replays: clients keep connections that belong to theirs."""
        self._loop = asyncio.new_event_loop()
        try:
            yield
        finally:
            self._loop.close()


async def _awaited(value: Any) -> Any:
    return await value


def _with_proof(verdict: Verdict, search: Search) -> Verdict:
    """The tracer's verdict with what replay showed: its step confirmed, or another one in place."""
    decisive = search.verdict
    if search.success_curve:
        return _with_curve(verdict, search)
    if decisive.abstained:
        proof = search.proofs.get(verdict.step) if verdict.step is not None else None
        return verdict.model_copy(update={"verification": proof})
    candidates = {candidate.step: candidate for candidate in verdict.candidates}
    step = decisive.step or 0
    first = candidates.pop(step, None) or Candidate(agent=decisive.agent or "", step=step)
    first = first.model_copy(update={"reason": decisive.reason})
    return decisive.model_copy(update={"candidates": (first, *candidates.values())})


def _with_curve(verdict: Verdict, search: Search) -> Verdict:
    """The verdict of the replays; the tracer's, with the success curve, where they show too little.

    Replays show that no step is decisive, or that the system never succeeds, as well as a step.
    """
    decisive = search.verdict
    answer = max(search.posterior, key=lambda key: search.posterior[key], default=None)
    shown = isinstance(answer, str) and search.posterior[answer] >= _LEVEL
    if shown or not decisive.abstained:
        return decisive
    return verdict.model_copy(update={"success_curve": search.success_curve})
