"""The object that the fixture `agentracer_run` gives to a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agentracer._guard import guard
from agentracer.recording import Run
from agentracer.trace import Trace

if TYPE_CHECKING:
    from agentracer.replay import OracleFunction, ToolPolicy

__all__ = ["SYSTEM_FACTS", "AgentRun", "ReplaySpec"]

SYSTEM_FACTS: Final = ("run", "check", "oracle", "policy", "deterministic")


@dataclass(slots=True)
class ReplaySpec:
    """How the system under test is run again, and how its success is checked.

    Attributes:
        run: runs the system once, from the task, on fresh or reset objects; may be async.
        check: takes what `run` returned and says whether it succeeded; it may assert instead.
        oracle: says what a step should have done; see `agentracer.replay.oracles`.
        policy: which tools may run in a replay; None: all.
        deterministic: see `agentracer.replay.System`.
    """

    run: Callable[..., Any] | None = None
    check: Callable[[Any], Any] | None = None
    oracle: OracleFunction | None = None
    policy: ToolPolicy | None = None
    deterministic: bool | None = None

    def bound(self, fixtures: Mapping[str, Any]) -> ReplaySpec:
        """Return a copy whose `run` takes its parameters from the fixtures of the test by name."""
        if self.run is None or isinstance(self.run, partial):
            return self
        names = [name for name in inspect.signature(self.run).parameters if name in fixtures]
        run = partial(self.run, **{name: fixtures[name] for name in names}) if names else self.run
        return ReplaySpec(run, self.check, self.oracle, self.policy, self.deterministic)


class AgentRun:
    """The recorded run of one test.

    Everything here is optional: the agents of the test are recorded anyway. Setting an attribute
    never raises.

    Attributes:
        replay_spec: how `--agentracer-verify` repeats the run.
        decided: whether the test itself set the outcome of the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._task: str | None = None
        self._ground_truth: Any = None
        self.replay_spec = ReplaySpec()
        self.decided = False

    @property
    def id(self) -> str:
        """The id of the trace."""
        return self._run.id

    @property
    def trace(self) -> Trace:
        """The trace recorded so far."""
        return self._run.trace

    @property
    def task(self) -> str | None:
        """The task of the system; the framework's own input, unless set here."""
        return self._task

    @task.setter
    def task(self, value: str) -> None:
        self._task = value
        with guard("pytest.task"):
            self._run.describe(task=value)
            self._run.recorder.update(task=value)  # overrides the task that the framework recorded

    @property
    def ground_truth(self) -> Any:
        """The right answer; kept apart from the observed run, and shown in reports."""
        return self._ground_truth

    @ground_truth.setter
    def ground_truth(self, value: Any) -> None:
        self._ground_truth = value
        with guard("pytest.ground_truth"):
            self._run.recorder.update(ground_truth={"answer": value})

    @property
    def result(self) -> Any:
        """The result of the run: the framework's final result, unless set here."""
        return self._run.result

    @result.setter
    def result(self, value: Any) -> None:
        with guard("pytest.result"):
            self._run.result = value

    def fail(self, reason: str | None = None) -> None:
        """Mark the run as failed, even where the test passes."""
        self.decided = True
        self._run.fail(reason)

    def annotate(self, **metadata: Any) -> None:
        """Add to the trace's metadata."""
        with guard("pytest.annotate"):
            self._run.annotate(**metadata)

    def system(
        self,
        run: Callable[[], Any],
        check: Callable[[Any], Any],
        oracle: OracleFunction | None = None,
        *,
        policy: ToolPolicy | None = None,
        deterministic: bool | None = None,
    ) -> None:
        """Set how the system is run again, so that `--agentracer-verify` can verify a verdict.

        Nothing is called without that option. The arguments are those of `ReplaySpec`. Without an
        `oracle`, a repeat that passed is used (`@pytest.mark.agentracer(repeat=...)`); without
        either, prefixes of the failed run are replayed and successes counted.
        """
        self.replay_spec = ReplaySpec(run, check, oracle, policy, deterministic)
