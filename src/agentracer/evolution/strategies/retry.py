"""The failed run again, from its decisive step, with the correction: the cheapest repair.

It repairs runs, not the system: what comes before the step is answered from the record, so a retry
costs what comes after it. In the loop, the repaired run takes the place of the failed one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agentracer.evolution.attributors import Attribution
from agentracer.evolution.changes import Change, digest
from agentracer.evolution.strategies.base import RoundState, Strategy
from agentracer.evolution.team import Task
from agentracer.failures import FailureCallback
from agentracer.replay.override import Override, changes_nothing, to_facts
from agentracer.replay.policy import LIVE, ToolPolicy
from agentracer.replay.rerun import rerun
from agentracer.replay.system import OracleFunction
from agentracer.store import Store
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["Retry", "retry"]

logger: Final = logging.getLogger("agentracer")


@dataclass(frozen=True, kw_only=True)
class RerunCorrected(Change):
    """Runs that are made again from one of their steps.

    Attributes:
        runs: by name of the task, the recorded run and what to override in it.
    """

    runs: Mapping[str, tuple[str, Override]] = field(compare=False)

    def put(self, system: Any, task: Task) -> Callable[[], None]:
        """See `Change`: the system stays as it is."""
        del system, task
        return _nothing

    def concerns(self, task: Task) -> bool:
        """See `Change`."""
        return task.id in self.runs

    def replays(self, task: Task) -> tuple[str, Override] | None:
        """See `Change`."""
        return self.runs.get(task.id)


class Retry(Strategy):
    """Reruns each failed task from the step that is blamed, with a correction.

    Args:
        oracle: knows the correction; see `agentracer.replay.oracles`. Where the verdict was proved
            with a correction, that one is used.
    """

    name = "retry"

    def __init__(self, oracle: OracleFunction) -> None:
        self._oracle = oracle

    def propose(
        self, attributions: Sequence[Attribution], state: RoundState, /
    ) -> Sequence[Change]:
        """See `Strategy`."""
        runs: dict[str, tuple[str, Override]] = {}
        agents: list[str] = []
        for attribution in attributions:
            override = attribution.correction or _correction(
                self._oracle, attribution.failure.trace, attribution.verdict
            )
            if override is not None:
                runs[attribution.failure.task.id] = (attribution.failure.trace.id, override)
                agents.append(str(attribution.verdict.agent))
        if not runs:
            return ()
        facts = {task: [trace, to_facts(o)] for task, (trace, o) in runs.items()}
        change = RerunCorrected(
            id=digest("retry", facts),
            agent=", ".join(dict.fromkeys(agents)),
            says=f"{len(runs)} runs made again from the decisive step",
            why="; ".join(
                dict.fromkeys(attribution.verdict.reason for attribution in attributions)
            ),
            evidence=tuple(trace for trace, _ in runs.values()),
            runs=runs,
        )
        return () if change.id in state.retracted else (change,)


def retry(
    run: Callable[[Trace], Any],
    oracle: OracleFunction,
    *,
    check: Callable[[Any], Any] | None = None,
    repaired: Callable[[Trace, Trace], object] | None = None,
    policy: ToolPolicy = LIVE,
    store: Store | None = None,
) -> FailureCallback:
    """A callback for `agentracer.on_failure`: rerun from the decisive step, corrected.

        agentracer.on_failure(evolution.retry(lambda trace: team.invoke(trace.task), oracle))

    Args:
        run: given the failed run's trace, runs the system on its task once, on fresh objects.
        oracle: knows the correction of the blamed step.
        check: whether the result of the rerun is right.
        repaired: called with the failed trace and the new one, where the new one succeeded.
        policy: which tools may really run again after the step. By default all of them do.
        store: where the failed runs are, and the new ones go; the default store if None.

    Returns:
        The callback. It returns the new trace, or None where there was nothing to retry.
    """

    def callback(trace: Trace, verdict: Verdict) -> Trace | None:
        override = _correction(oracle, trace, verdict)
        if override is None:
            logger.info("agentracer: nothing to retry in %s", trace.id)
            return None
        replay = rerun(
            trace, lambda: run(trace), override=override, check=check, policy=policy, store=store
        )
        if replay.outcome.success and repaired is not None:
            repaired(trace, replay)
        return replay

    return callback


def _nothing() -> None:
    return None


def _correction(oracle: OracleFunction, trace: Trace, verdict: Verdict) -> Override | None:
    if verdict.step is None or not trace.replayable:
        return None
    override = oracle(trace, verdict.step)
    if override is None or changes_nothing(trace, override):
        return None
    override.check(trace)
    return override
