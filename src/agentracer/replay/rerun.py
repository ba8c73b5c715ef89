"""Run the user's system once more, with one step changed."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from agentracer.errors import InvalidSystem, ReplayDiverged
from agentracer.nondeterminism import DrawReplay, exact_draws
from agentracer.recording import Run, current_draws, record
from agentracer.replay.override import Override, to_facts
from agentracer.replay.policy import LIVE, ToolPolicy
from agentracer.replay.prefix import RecordPrefix, record_prefix
from agentracer.replay.sampling import OWN_SAMPLING, SamplingParameters
from agentracer.replay.session import ReplaySession
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = ["arerun", "rerun"]

OnDivergence = Literal["raise", "report"]
Overrides = Override | Sequence[Override] | None


def rerun(
    trace: Trace,
    run: Callable[[], Any],
    *,
    override: Overrides = None,
    keep: int | RecordPrefix | None = None,
    check: Callable[[Any], Any] | None = None,
    store: Store | None = None,
    policy: ToolPolicy = LIVE,
    sampling: SamplingParameters = OWN_SAMPLING,
    on_divergence: OnDivergence = "raise",
) -> Trace:
    """Run a system again with one step overridden, its prefix answered from the record.

    Args:
        trace: a recorded run (`Trace.replayable`).
        run: runs the system once, from the same task, on fresh or reset objects; its return value
            is the run's result. An exception that it raises ends up in the outcome.
        override: what to change; None replays the record without calling any model or tool. Of
            several, the first one's step is the target, and the others are applied when the run,
            live by then, comes to the same turns.
        keep: instead of an override, keep the first so many answers of the record, in the order of
            `agentracer.replay.prefix`, and run everything else live.
        check: given the result, says whether the run succeeded.
        store: where the new trace goes.
        policy: which tools may really run.
        sampling: parameters of live model calls, in place of the system's own.
        on_divergence: what to do where the rerun does not follow the record: raise, or put it
            into `metadata["replay"]` of the new trace and go on live.

    Returns:
        The new trace; its `parent` is the id of `trace`, and `metadata["replay"]` says what was
        overridden, how many calls were answered and how many ran.

    Raises:
        ValueError: the trace cannot be replayed, the override does not fit it, or both `override`
            and `keep` are given.
        ReplayDiverged: see `on_divergence`.
        InvalidSystem: `run` is async; use `arerun`.
    """
    session, block = _prepare(trace, override, keep, check, store, policy, sampling)
    with block as handle:
        handle.replay = session
        try:
            try:
                with _same_draws(handle, session):
                    handle.result = _not_awaitable(run())
            finally:
                _note(handle, session, override)
        except InvalidSystem:
            raise
        except Exception as error:  # noqa: BLE001 - how the rerun ended, not an error of ours
            handle.finish(error=error)
    return _conclude(handle, session, on_divergence)


async def arerun(
    trace: Trace,
    run: Callable[[], Awaitable[Any]],
    *,
    override: Overrides = None,
    keep: int | RecordPrefix | None = None,
    check: Callable[[Any], Any] | None = None,
    store: Store | None = None,
    policy: ToolPolicy = LIVE,
    sampling: SamplingParameters = OWN_SAMPLING,
    on_divergence: OnDivergence = "raise",
) -> Trace:
    """As `rerun`, for a system that is run by awaiting it."""
    session, block = _prepare(trace, override, keep, check, store, policy, sampling)
    async with block as handle:
        handle.replay = session
        try:
            try:
                with _same_draws(handle, session):
                    handle.result = await _awaitable(run())
            finally:
                _note(handle, session, override)
        except InvalidSystem:
            raise
        except Exception as error:  # noqa: BLE001 - how the rerun ended, not an error of ours
            handle.finish(error=error)
    return _conclude(handle, session, on_divergence)


@contextmanager
def _same_draws(handle: Run, session: ReplaySession) -> Iterator[None]:
    """Give back time, random numbers and UUIDs in the prefix of a run that recorded them."""
    recorded: Any = session.trace.metadata.get("exact")
    if not isinstance(recorded, dict):
        yield
        return
    handle.draws = DrawReplay(recorded, lambda: session.in_prefix)
    with exact_draws(current_draws):
        yield


def _not_awaitable(result: Any) -> Any:
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise InvalidSystem(
        "run is async: it returned an awaitable, which nothing awaits here\n"
        "  remedy: use the async variant: arerun, averify, afind_decisive, ainject, aspectrum"
    )


def _awaitable(result: Any) -> Awaitable[Any]:
    if inspect.isawaitable(result):
        return result
    raise InvalidSystem(
        f"run is not async: it returned {type(result).__name__}, not an awaitable\n"
        "  remedy: use the blocking variant: rerun, verify, find_decisive, inject, spectrum"
    )


def _prepare(
    trace: Trace,
    override: Overrides,
    keep: int | RecordPrefix | None,
    check: Callable[[Any], Any] | None,
    store: Store | None,
    policy: ToolPolicy,
    sampling: SamplingParameters,
) -> tuple[ReplaySession, record]:
    if not trace.replayable:
        raise ValueError(
            f"trace {trace.id} was imported, so it can be attributed but not replayed\n"
            "  remedy: record a run of the system itself with agentracer.record()"
        )
    for change in _as_list(override):
        change.check(trace)
    if keep is not None and override is not None:
        raise ValueError("give either an override or what to keep, not both")
    prefix = record_prefix(trace, keep) if isinstance(keep, int) else keep
    truth = trace.ground_truth.answer if trace.ground_truth is not None else None
    block = record(
        trace.task or None,
        ground_truth=truth,
        check=check,
        metadata={"replay": {}},  # from the first line on: a list of runs leaves replays out
        store=store,
        parent=trace.id,
    )
    return ReplaySession(trace, override, keep=prefix, policy=policy, sampling=sampling), block


def _note(handle: Run, session: ReplaySession, override: Overrides) -> None:
    """Say in the new trace what was replayed, before its last event is written."""
    changes = [to_facts(change) for change in _as_list(override)]
    facts: dict[str, Any] = {
        "override": changes[0] if changes else None,
        "answered": session.answered,
        "live": session.live,
        "receipt": session.receipt,
        "divergences": [divergence.to_json() for divergence in session.finish()],
    }
    if isinstance(handle.draws, DrawReplay):
        facts["receipt"] |= {
            "draws": handle.draws.given,
            "draws_without_record": handle.draws.missing,
        }
    if session.kept is not None:
        facts["kept"] = session.kept
    if len(changes) > 1:
        facts["further_overrides"] = changes[1:]
    if session.refused:
        facts["refused"] = session.refused
    handle.annotate(replay=facts)


def _as_list(override: Overrides) -> Sequence[Override]:
    if override is None:
        return ()
    return (override,) if isinstance(override, Override) else override


def _conclude(handle: Run, session: ReplaySession, on_divergence: OnDivergence) -> Trace:
    if session.divergences and on_divergence == "raise":
        raise ReplayDiverged(handle.id, session.divergences)
    return handle.trace
