"""What is replayed, how its success is decided, and who knows what a step should have done."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentracer.replay.override import Override
from agentracer.replay.policy import LIVE, ToolPolicy
from agentracer.replay.sampling import SamplingParameters
from agentracer.store import Store
from agentracer.trace import Trace
from agentracer.usage import Usage

__all__ = ["AsyncOracle", "Oracle", "OracleFunction", "System", "as_oracle"]

OracleFunction: TypeAlias = Callable[[Trace, int], Override | None]
"""Given a failed run and a step, returns a minimal correction, or None where there is none.

A plain function will do; an `Oracle` says more about itself.
"""

AsyncOracle: TypeAlias = Callable[[Trace, int], Awaitable[Override | None]]
"""An oracle that is awaited; the async searches take either kind."""


class Oracle:
    """Base class of oracles that count what they spend, or know where their corrections come from.

    Override `__call__`, and what else applies; the other methods have defaults.

    Attributes:
        results_of_agents: whether it may correct the result of a call in which recorded steps ran,
            such as that of an agent used as a tool. Such a result is no action of the caller, so a
            search takes it from no other oracle: the steps inside are to be corrected.
    """

    results_of_agents: bool = False

    def __call__(self, trace: Trace, step: int, /) -> Override | None:
        """Return a minimal correction of one step, or None where there is nothing to correct."""
        raise NotImplementedError(f"{type(self).__name__} does not say how a step is corrected")

    @property
    def usage(self) -> Usage:
        """Return what the oracle has spent so far; it counts towards the budget of a search."""
        return Usage()

    def alternatives(self, trace: Trace, correction: Override) -> Sequence[str]:
        """Return the alternatives of the step's agent that would have given this correction."""
        del trace, correction
        return ()


class _FunctionAsOracle(Oracle):
    """An oracle made of a function, or of an object that only looks like an `Oracle`.

    What such an object spends is read from the attributes `usage`, or `tokens`, `model_calls` and
    `steps`, where it has them; `results_of_agents` too.
    """

    def __init__(self, function: Callable[[Trace, int], Any]) -> None:
        self._function = function
        self.results_of_agents = bool(getattr(function, "results_of_agents", False))

    def __call__(self, trace: Trace, step: int, /) -> Any:
        return self._function(trace, step)

    @property
    def usage(self) -> Usage:
        usage = getattr(self._function, "usage", None)
        if isinstance(usage, Usage):
            return usage
        counts = {
            name: int(getattr(self._function, attribute, 0))
            for name, attribute in (
                ("unsplit_tokens", "tokens"), ("model_calls", "model_calls"), ("steps", "steps"),
            )
        }  # fmt: skip
        return Usage(**counts)


def as_oracle(oracle: Callable[[Trace, int], Any]) -> Oracle:
    """Return an oracle as it is, or a plain callable as an `Oracle`.

    Raises:
        TypeError: it is not callable.
    """
    if isinstance(oracle, Oracle):
        return oracle
    if not callable(oracle):
        raise TypeError(
            f"an oracle is a function of a trace and a step, not {type(oracle).__name__}\n"
            "  remedy: give a function, or an Oracle of agentracer.replay"
        )
    return _FunctionAsOracle(oracle)


@dataclass(frozen=True, slots=True)
class System:
    """What is replayed, and how its success is decided.

    Attributes:
        run: runs the system once, from the task, on fresh or reset objects. For the async
            searches: a function that returns an awaitable.
        check: given what `run` returned, says whether it succeeded.
        store: where the replayed traces go; the default store if None.
        policy: which tools may really run in a replay.
        deterministic: True if the same prompts always get the same answers, so that nothing needs
            repeating; False if they do not; None if the search is to find out. A search that is
            told True and then sees two replays of the same thing end differently says so and
            confirms nothing.
        reset: called before each replay, to bring back what a run leaves behind: a checkpointer,
            files, a memory. It may be async for the async searches.
        temperature: at which live model calls of replays sample, in place of the system's own.
        seed: of the live model calls of the first replay; each further replay has the next one.
        check_repeats: how often the check is asked about one result; the majority counts.

    Raises:
        ValueError: `check_repeats` is not an odd number of at least 1, or `temperature` is
            negative.
    """

    run: Callable[[], Any]
    check: Callable[[Any], Any]
    store: Store | None = None
    policy: ToolPolicy = LIVE
    deterministic: bool | None = None
    reset: Callable[[], Any] | None = None
    check_repeats: int = 1
    temperature: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.check_repeats < 1 or self.check_repeats % 2 == 0:
            raise ValueError(
                f"check_repeats must be an odd number of at least 1, not {self.check_repeats}"
            )

        if self.temperature is not None and self.temperature < 0:
            raise ValueError(f"temperature must be at least 0, not {self.temperature}")

    @property
    def sampling(self) -> SamplingParameters:
        """The sampling parameters of the first replay."""
        return SamplingParameters(self.temperature, self.seed)

    def fresh_run(self) -> Any:
        """Reset what a run leaves behind, then run once.

        Returns:
            What `run` returns: a result, or an awaitable of one.
        """
        pending = self.reset() if self.reset is not None else None
        if inspect.isawaitable(pending):
            return self._reset_and_run(pending)
        return self.run()

    async def _reset_and_run(self, pending: Awaitable[Any]) -> Any:
        await pending
        return await self.run()
