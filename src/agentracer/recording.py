"""Scopes a run: where it begins, what it is called, how it ended.

`record()` is for users; adapters open a run of their own around each top-level framework run that
no `record()` block encloses, through `open_run()`. Both give a `Run`, which knows its recorder,
decides success, and hands failed runs on to `agentracer.failures`.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import logging
import os
import secrets
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from agentracer import failures
from agentracer._guard import guard, report_swallowed
from agentracer.encoding import safe_repr
from agentracer.errors import StoreError
from agentracer.event_writer import EventWriter, on_event_loop
from agentracer.nondeterminism import DrawRecorder, Draws, exact_draws
from agentracer.recorder import (
    LineSink,
    MemorySink,
    RunRecorder,
    describe_error,
    ending_of,
)
from agentracer.redaction import Redactor
from agentracer.store import Journal, Store, new_trace_id
from agentracer.store.disk_errors import report_disk_error, reset_disk_errors
from agentracer.store.fold import fold_lines
from agentracer.trace import Trace
from agentracer.verdict import Verdict

if TYPE_CHECKING:
    from agentracer.replay.session import ReplaySession

__all__ = [
    "Run",
    "current_draws",
    "current_run",
    "in_check",
    "inside",
    "open_run",
    "prepare",
    "record",
    "score_of",
]

logger: Final = logging.getLogger("agentracer")

Check = Callable[[Any], Any]
"""Given the run's result, says whether it succeeded: a bool, a score from 0 to 1 (a float; from 0.5
on it is a success), an assertion, or an awaitable of one of these."""

_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar(
    "agentracer_run", default=None
)
in_check: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar(
    "agentracer_in_check", default=False
)
"""Whether the calling code is a run's check, which may ask a model itself."""
_live: weakref.WeakSet[Run] = weakref.WeakSet()
_redactors: dict[Path, Redactor] = {}
_captures = False  # whether `instrument()` was called


def score_of(verdict: Any) -> float | None:
    """Return what a graded check returned, a float from 0 to 1; None for any other verdict."""
    graded = isinstance(verdict, float) and 0.0 <= verdict <= 1.0
    return float(verdict) if graded else None


class Run:
    """One run of the user's system, while it is recorded and after.

    Attributes:
        answer: the final answer as text; the framework's own unless the user sets it.
        replay: set while this run replays another one; adapters ask it at their seams.
        draws: set where time, random numbers and UUIDs are recorded, or given back.
    """

    def __init__(
        self,
        *,
        task: str | None = None,
        ground_truth: Any = None,
        check: Check | None = None,
        answer: Callable[[Any], Any] | None = None,
        framework: str | None = None,
        metadata: dict[str, Any] | None = None,
        store: Store | None = None,
        parent: str | None = None,
    ) -> None:
        self.answer: Any = None
        self.replay: ReplaySession | None = None
        self.draws: Draws | None = None
        self._result: Any = None
        self._result_is_users = False
        self._check, self._answer_of = check, answer
        self._success: bool | None = None
        self._error: dict[str, str] | None = None
        self._ending = "finished"
        self._finished = False
        self._framework = framework
        self._store = store or Store()
        self._header: dict[str, Any] = {"metadata": dict(metadata or {})}
        facts = {"task": task, "framework": framework, "parent": parent}
        self._header.update({key: value for key, value in facts.items() if value is not None})
        if ground_truth is not None:
            self._header["ground_truth"] = {"answer": ground_truth}
        self.recorder = self._start()
        _live.add(self)

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, so that nothing more is recorded of it."""
        return self._finished

    @property
    def id(self) -> str:
        """The id of the trace."""
        return self.recorder.trace_id

    @property
    def result(self) -> Any:
        """What the run returned: the framework's final result, unless the user sets another.

        The check is given this.
        """
        return self._result

    @result.setter
    def result(self, value: Any) -> None:
        self._result, self._result_is_users = value, True
        if isinstance(value, (str, int, float)):
            self.answer = value  # made text by the recorder: str() of a hostile value may raise

    @property
    def trace(self) -> Trace:
        """What has been recorded so far.

        Raises:
            FormatError: the journal cannot be read back.
        """
        lines = self.recorder.sink.memory_lines()
        if lines is None:
            return self._store.load(self.id)
        return fold_lines(lines)

    def discard(self) -> None:
        """Remove what was recorded from the disk; for a run that has ended."""
        sink = self.recorder.sink
        if isinstance(sink, EventWriter):
            sink.flush()
            if isinstance(sink.sink, Journal):
                sink.sink.path.unlink(missing_ok=True)

    def save_verdict(self, verdict: Verdict) -> Path:
        """Keep a verdict on this run beside its trace."""
        return self._store.save_verdict(verdict)

    def fail(self, reason: str | None = None) -> None:
        """Say that this run failed, whatever else happens."""
        self._success = False
        if reason is not None:
            self._error = {"type": "Failed", "message": reason}

    def succeed(self) -> None:
        """Say that this run succeeded; the check is not asked."""
        self._success = True

    def describe(self, *, task: str | None = None, framework: str | None = None) -> None:
        """Add what was not known at the start; what the user said stays."""
        fields: dict[str, str] = {}
        if task and "task" not in self._header:
            fields["task"] = self._header["task"] = task
        if framework and self._framework is None:
            fields["framework"] = self._framework = framework
        if fields:
            self.recorder.update(**fields)

    def annotate(self, **metadata: Any) -> None:
        """Add to the trace's metadata."""
        self._header["metadata"] = {**self._header["metadata"], **metadata}
        self.recorder.update(metadata=self._header["metadata"])

    def framework_ended(
        self, result: Any = None, answer: str | None = None, ending: str = "finished"
    ) -> None:
        """Note how a framework run inside this run ended; the last one counts."""
        if not self._result_is_users:
            self._result = result
            self.answer = answer
            if self._answer_of is not None:
                with self._checking("answer function"):
                    self.answer = self._answer_of(result)
        self._ending = ending

    def finish(self, ending: str | None = None, error: BaseException | None = None) -> None:
        """End the run. Only the first call counts.

        Args:
            ending: see `agentracer.trace.Ending`; as the framework said, if None.
            error: what the host raised; an `Exception` makes the run a failure.
        """
        if self._finished:
            return
        self._finished = True
        _live.discard(self)
        self._ending = ending or self._ending
        if isinstance(error, Exception):
            self._ending, self._success = "raised", False
            self._error = describe_error(error)
        with guard("recording.finish"):
            self.recorder.finish(self._outcome())
        if self._success is False and self.replay is None:
            with guard("recording.failed"):
                failures.failed(self)
        report_swallowed()

    def judge(self) -> Any:
        """Ask the check, if success is not decided yet. Returns an awaitable if the check does."""
        if self._check is None or self._success is not None:
            return None
        with self._checking():
            verdict = self._check(self.result)
            if inspect.isawaitable(verdict):
                return verdict
            self._decide(verdict)
        return None

    async def judge_async(self) -> None:
        """As `judge`, for a check that may be async."""
        pending = self.judge()
        if pending is not None:
            with self._checking():
                self._decide(await pending)

    @contextmanager
    def _checking(self, function: str = "check") -> Iterator[None]:
        """The check is the user's code: an assertion says no, any other error says nothing.

        What it asks a model is no part of any run.
        """
        token = in_check.set(True)
        try:
            yield
        except AssertionError as error:
            self.fail(describe_error(error)["message"] or "the check's assertion does not hold")
        except Exception as error:  # noqa: BLE001 - whatever it is, the host must go on
            text = "agentracer: the %s of run %s raised %s"
            logger.warning(text, function, self.id, safe_repr(error))
        finally:
            with contextlib.suppress(ValueError):  # ended in another context
                in_check.reset(token)

    def after_fork(self) -> None:
        """Go on, in the child of a fork, as a trace of its own whose parent is this one.

        Nothing is written before the child's first event: most children of a fork record nothing.
        """
        self._header["parent"] = self.id
        self._header["metadata"] = {**self._header["metadata"], "forked": True}
        self.recorder.fork(new_trace_id(), lambda: (self._open_sink(self.id)[0], self._header))

    def _decide(self, verdict: Any) -> None:
        if verdict is not None:
            score = score_of(verdict)
            self._success = bool(verdict) if score is None else score >= 0.5

    def _outcome(self) -> dict[str, Any]:
        fields = {
            "success": self._success,
            "ending": self._ending,
            "answer": self.answer,
            "error": self._error,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def _start(self) -> RunRecorder:
        trace_id = new_trace_id()
        sink, redactor = self._open_sink(trace_id)
        return RunRecorder(sink, redactor, trace_id=trace_id, header=self._header)

    def _open_sink(self, trace_id: str) -> tuple[LineSink, Redactor]:
        """Where a trace goes, and what takes secrets out of it. Opens no file on an event loop."""
        redactor = _redactor(self._store)
        return EventWriter(lambda: self._journal(trace_id)), redactor

    def _journal(self, trace_id: str) -> LineSink:
        try:
            return self._store.journal(trace_id)
        except StoreError as error:
            report_disk_error(self._store.home, trace_id, error)
            return MemorySink()


def current_run() -> Run | None:
    """The run that the calling code belongs to, if a `record()` block encloses it.

    What goes on after the block, such as a task that nothing waits for, belongs to it no more.
    """
    run = _current.get()
    return None if run is None or run.is_finished else run


def current_draws() -> Draws | None:
    """What the draws of the calling code go through, if its run records or replays them."""
    run = current_run()
    return run.draws if run is not None else None


@contextmanager
def inside(run: Run) -> Iterator[None]:
    """Let what the block runs belong to `run`; it neither starts nor ends the run."""
    token = _current.set(run)
    try:
        yield
    finally:
        _current.reset(token)


def open_run(**facts: Any) -> Run:
    """A run for a top-level framework run that no `record()` block encloses."""
    return Run(**facts)


class record:  # noqa: N801 - reads as a statement: `with agentracer.record(task=...) as run:`
    """Record what happens inside the block as one run; for `with` and `async with`.

    Args:
        task: what the system is asked to do; the framework's own input if None.
        ground_truth: the right answer. Kept apart; attribution sees it only if told to (w/ G).
        check: given `run.result`, says whether the run succeeded. May be async in `async with`.
        answer: given the framework's result, gives the run's answer; the framework's own if None.
        metadata: kept with the trace.
        store: where to; the default store if None.
        parent: the id of the trace that this run replays or continues; that of the enclosing
            `record()` block if None.
        exact: whether to record time, random numbers and UUIDs too, so that a replay of the run's
            prefix draws the same; see `agentracer.nondeterminism` for what that covers.

    An exception inside the block makes the run a failure and is raised on, unchanged.

    Raises:
        TypeError: `check` or `answer` cannot be called.
    """

    warns_without_steps = True

    def __init__(
        self,
        task: str | None = None,
        *,
        ground_truth: Any = None,
        check: Check | None = None,
        answer: Callable[[Any], Any] | None = None,
        metadata: dict[str, Any] | None = None,
        store: Store | None = None,
        parent: str | None = None,
        exact: bool = False,
    ) -> None:
        for name, function in (("check", check), ("answer", answer)):
            if function is not None and not callable(function):
                raise TypeError(
                    f"record({name}=...) is {safe_repr(function, 80)}, which cannot be called\n"
                    f"  remedy: give a function of the run's result"
                )
        self._parent, self._exact = parent, exact
        self._draws = contextlib.ExitStack()
        self._facts: dict[str, Any] = {
            "task": task,
            "ground_truth": ground_truth,
            "check": check,
            "answer": answer,
            "metadata": metadata,
            "store": store,
        }
        self._run: Run | None = None
        self._token: contextvars.Token[Run | None] | None = None

    def __enter__(self) -> Run:
        outer = _current.get()
        parent = self._parent or (outer.id if outer else None)
        self._run = Run(**self._facts, parent=parent)
        if self._exact:
            self._run.draws = DrawRecorder()
            self._draws.enter_context(exact_draws(current_draws))
        self._token = _current.set(self._run)
        return self._run

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run = self._leave()
        if error is None:
            pending = run.judge()
            if pending is not None:
                if inspect.iscoroutine(pending):
                    pending.close()
                logger.warning("agentracer: the check is async: use `async with record(...)`")
        _finish(run, error)

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run = self._leave()
        if error is None:
            await run.judge_async()
        _finish(run, error)

    def _leave(self) -> Run:
        if self._run is None or self._token is None:
            raise RuntimeError("record() was left before it was entered")
        if self.warns_without_steps and self._run.recorder.steps == 0 and self._run.replay is None:
            _warn_without_steps()
        try:
            _current.reset(self._token)
        except ValueError:  # entered in another context: a generator or fixture that was resumed
            if _current.get() is self._run:
                _current.set(None)
        with guard("record.draws"):
            if isinstance(self._run.draws, DrawRecorder):
                self._run.annotate(exact=self._run.draws.to_json())
        self._draws.close()
        return self._run


def _finish(run: Run, error: BaseException | None) -> None:
    if error is None or isinstance(error, Exception):
        run.finish(error=error)
    else:
        run.finish(None if isinstance(error, SystemExit) else ending_of(error))


def _warn_without_steps() -> None:
    global _captures  # noqa: PLW0603 - said once per process
    if not _captures:
        _captures = True
        logger.warning(
            "agentracer: nothing was recorded in this record() block, and no framework is "
            "captured. Call agentracer.instrument() before the system runs."
        )


def _redactor(store: Store) -> Redactor:
    """The redactor of a store, whose key and settings are read once.

    `instrument()` reads those of the default store. Another store that is first used on an event
    loop costs that loop the time of reading two small files; where that is refused, all text of the
    run is withheld, for what the settings ask to be taken out is not known.
    """
    home = store.home if on_event_loop() else store.home.absolute()
    if home not in _redactors:
        try:
            _redactors[home] = store.redactor()
        except StoreError:  # reported when the journal cannot be opened either
            return Redactor(secrets.token_bytes(16))
        except Exception as error:  # noqa: BLE001 - such as BlockBuster's
            logger.warning("agentracer: all text of this run is withheld: %s", safe_repr(error))
            return Redactor(secrets.token_bytes(16), withhold=True)
    _redactors[store.home] = _redactors[home]
    return _redactors[home]


def prepare() -> None:
    """Note that frameworks are captured, and read what runs on an event loop cannot read there."""
    global _captures  # noqa: PLW0603 - one per process
    _captures = True
    if not on_event_loop():
        _redactor(Store())


def _after_fork() -> None:
    reset_disk_errors()
    for run in list(_live):
        with guard("recording.after_fork"):
            run.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
