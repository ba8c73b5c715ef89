"""The verdict on a failed test, proved by replay where the test says how.

What the test gives is run on a thread of its own: it may start an event loop there, and when its
time is up the session goes on without it.
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

from agentracer._pytest.finding import Finding
from agentracer._pytest.handle import Replayable
from agentracer._pytest.settings import Settings
from agentracer.replay import (
    Budget,
    Oracle,
    Override,
    ReferenceOracle,
    Search,
    Spent,
    System,
    ToolPolicy,
    find_decisive,
)
from agentracer.trace import Trace
from agentracer.verdict import Candidate, Verdict

__all__ = ["prove"]

_PATIENCE: Final = 1.5
"""A replay under way when the time is up may still end, within half of that time again."""


def prove(
    finding: Finding, given: Replayable, settings: Settings, reference: Trace | None = None
) -> None:
    """Look for the decisive error where the verdict points, and put what that shows into it.

    Args:
        finding: with a verdict; gets another one, or a problem that says why not.
        given: what the test said of how to repeat it.
        settings: limits, and where replayed traces go.
        reference: a run of the same test that passed: the oracle, where the test gives none.
    """
    verdict = finding.verdict
    if verdict is None or verdict.verification is not None:
        return
    missing = _missing(given, reference)
    if missing:
        finding.note = f"not verified: {missing}"
        return
    finding.note = ""
    attempt = _Attempt(finding.trace, verdict, given, settings, reference)
    thread = threading.Thread(
        target=contextvars.copy_context().run,
        args=(attempt.carry_out,),
        name="agentracer-verify",
        daemon=True,
    )
    thread.start()
    thread.join(settings.seconds * _PATIENCE)
    if attempt.search is not None:
        finding.verdict = _proved(verdict, attempt.search)
        if finding.verdict.verification is None:
            finding.problems.append(f"not verified: {attempt.search.verdict.abstain_reason}")
    elif thread.is_alive():
        attempt.abandoned = True
        finding.problems.append(f"not verified: replays took longer than {settings.seconds:g} s")
    else:
        finding.problems.append(f"not verified: {attempt.problem}")


def _missing(given: Replayable, reference: Trace | None) -> str | None:
    if given.run is None or given.check is None:
        return (
            "the test does not say how to run and check its system once more: "
            "agentracer_run.system(run, check, oracle)"
        )
    if given.oracle is None and reference is None:
        return (
            "nobody knows what the steps should have done: give an oracle, or repeat the test "
            "(@pytest.mark.agentracer(repeat=...)) so that a run that passes can serve as one"
        )
    return None


@dataclass(slots=True)
class _Attempt:
    """One search for the decisive error, on a thread of its own."""

    trace: Trace
    verdict: Verdict
    given: Replayable
    settings: Settings
    reference: Trace | None
    search: Search | None = None
    problem: str = ""
    abandoned: bool = False
    _loop: asyncio.AbstractEventLoop | None = field(default=None)

    def carry_out(self) -> None:
        """Search; whatever is raised becomes the problem."""
        try:
            with self._event_loop():
                self.search = find_decisive(
                    self.trace,
                    self._system(),
                    self._oracle(),
                    strategy="ranked",
                    ranking=[candidate.step for candidate in self.verdict.candidates],
                    budget=Budget(runs=self.settings.runs, seconds=self.settings.seconds),
                    on_replay=self._go_on,
                )
        except BaseException as error:  # noqa: BLE001 - the thread's end; nothing is above it
            self.problem = f"{type(error).__name__}: {error}"

    def _go_on(self, _spent: Spent) -> None:
        """Replay no more beside the tests that follow, once nobody waits for the result."""
        if self.abandoned:
            raise TimeoutError

    def _system(self) -> System:
        run, check = self.given.run, self.given.check
        assert run is not None  # noqa: S101 - `_missing` asked; for mypy
        assert check is not None  # noqa: S101
        return System(
            run=lambda: self._settled(run),
            check=lambda result: self._passes(check, result),
            store=self.settings.store,
            policy=self.given.policy or ToolPolicy(),
            deterministic=self.given.deterministic,
        )

    def _oracle(self) -> Oracle:
        given = self.given.oracle
        if given is None:
            assert self.reference is not None  # noqa: S101 - `_missing` asked
            return ReferenceOracle(self.reference)

        def oracle(trace: Trace, step: int) -> Override | None:
            found: Override | None = self._settled(given, trace, step)
            return found

        return oracle

    def _passes(self, check: Callable[[Any], Any], result: Any) -> bool:
        """What a check says; one that asserts says nothing where all is well."""
        said = self._settled(check, result)
        return said is None or bool(said)

    def _settled(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of the test's gives, awaited where it is to be."""
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


def _proved(verdict: Verdict, search: Search) -> Verdict:
    """The tracer's verdict with what replay showed: its step confirmed, or another one in place."""
    found = search.verdict
    if found.abstained:
        shown = search.proofs.get(verdict.step) if verdict.step is not None else None
        return verdict.model_copy(update={"verification": shown})
    known = {candidate.step: candidate for candidate in verdict.candidates}
    first = known.pop(found.step or 0, None) or Candidate(
        agent=found.agent or "", step=found.step or 0
    )
    proved = first.model_copy(update={"reason": found.reason})
    return found.model_copy(update={"candidates": (proved, *known.values())})
