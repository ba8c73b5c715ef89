"""What a test holds of its own recording: the fixture `agentracer_run`."""

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
    """How the system under test is run once more, and how its success is told.

    Attributes:
        run: runs the system once, from the task, on fresh or reset objects; may be async.
        check: given what `run` returned, says whether it succeeded; an assertion will do.
        oracle: knows what a step should have done; see `agentracer.replay.oracles`.
        policy: which tools may really run in a replay; all, if None.
        deterministic: see `agentracer.replay.System`.
    """

    run: Callable[..., Any] | None = None
    check: Callable[[Any], Any] | None = None
    oracle: OracleFunction | None = None
    policy: ToolPolicy | None = None
    deterministic: bool | None = None

    def bound(self, fixtures: Mapping[str, Any]) -> ReplaySpec:
        """The same, with the parameters of `run` taken from the test's fixtures by name."""
        if self.run is None or isinstance(self.run, partial):
            return self
        wanted = [name for name in inspect.signature(self.run).parameters if name in fixtures]
        run = partial(self.run, **{name: fixtures[name] for name in wanted}) if wanted else self.run
        return ReplaySpec(run, self.check, self.oracle, self.policy, self.deterministic)


class AgentRun:
    """The recorded run of one test.

    All of it is optional: what the test's agents do is recorded anyway. Setting things here never
    raises.

    Attributes:
        replay_spec: how `--agentracer-verify` repeats it.
        decided: whether the test itself said how the run ended.
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
        """What has been recorded so far."""
        return self._run.trace

    @property
    def task(self) -> str | None:
        """What the system is asked to do; the framework's own input, unless set here."""
        return self._task

    @task.setter
    def task(self, value: str) -> None:
        self._task = value
        with guard("pytest.task"):
            self._run.describe(task=value)
            self._run.recorder.update(task=value)  # where the framework had said another

    @property
    def ground_truth(self) -> Any:
        """The right answer. Kept apart from what was observed, and shown in reports."""
        return self._ground_truth

    @ground_truth.setter
    def ground_truth(self, value: Any) -> None:
        self._ground_truth = value
        with guard("pytest.ground_truth"):
            self._run.recorder.update(ground_truth={"answer": value})

    @property
    def result(self) -> Any:
        """What the run returned: the framework's final result, unless set here."""
        return self._run.result

    @result.setter
    def result(self, value: Any) -> None:
        with guard("pytest.result"):
            self._run.result = value

    def fail(self, reason: str | None = None) -> None:
        """Say that the run failed, even where the test passes."""
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
        """Say how the system is repeated, so that `--agentracer-verify` can prove a verdict.

        Nothing is called now, nor ever without that option. The arguments are those of
        `ReplaySpec`. Without an `oracle`, a repeat that passed serves as one
        (`@pytest.mark.agentracer(repeat=...)`); where there is none either, nothing is proved.
        """
        self.replay_spec = ReplaySpec(run, check, oracle, policy, deterministic)
