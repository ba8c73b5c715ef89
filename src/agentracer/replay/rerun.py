"""Run the user's system once more, with one step changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any, Literal

from agentracer.errors import ReplayDiverged
from agentracer.recording import Run, record
from agentracer.replay.session import UNSET, Override, ReplaySession
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = ["arerun", "rerun"]

OnDivergence = Literal["raise", "report"]


def rerun(
    trace: Trace,
    run: Callable[[], Any],
    *,
    override: Override | None = None,
    check: Callable[[Any], Any] | None = None,
    store: Store | None = None,
    on_divergence: OnDivergence = "raise",
) -> Trace:
    """Run a system again with one step overridden, its prefix answered from the record.

    Args:
        trace: a recorded run (`Trace.replayable`).
        run: runs the system once, from the same task, on fresh or reset objects; its return value
            is the run's result. An exception that it raises ends up in the outcome.
        override: what to change; None replays the record without calling any model or tool.
        check: given the result, says whether the run succeeded.
        store: where the new trace goes.
        on_divergence: what to do where the rerun does not follow the record: raise, or put it
            into `metadata["replay"]` of the new trace and go on live.

    Returns:
        The new trace; its `parent` is the id of `trace`, and `metadata["replay"]` says what was
        overridden, how many calls were answered and how many ran.

    Raises:
        ValueError: the trace cannot be replayed, or the override does not fit it.
        ReplayDiverged: see `on_divergence`.
    """
    session, block = _prepare(trace, override, check, store)
    with block as handle:
        handle.replay = session
        try:
            try:
                handle.result = run()
            finally:
                _note(handle, session, override)
        except Exception as error:  # noqa: BLE001 - how the rerun ended, not an error of ours
            handle.finish(error=error)
    return _conclude(handle, session, on_divergence)


async def arerun(
    trace: Trace,
    run: Callable[[], Awaitable[Any]],
    *,
    override: Override | None = None,
    check: Callable[[Any], Any] | None = None,
    store: Store | None = None,
    on_divergence: OnDivergence = "raise",
) -> Trace:
    """As `rerun`, for a system that is run by awaiting it."""
    session, block = _prepare(trace, override, check, store)
    async with block as handle:
        handle.replay = session
        try:
            try:
                handle.result = await run()
            finally:
                _note(handle, session, override)
        except Exception as error:  # noqa: BLE001 - how the rerun ended, not an error of ours
            handle.finish(error=error)
    return _conclude(handle, session, on_divergence)


def _prepare(
    trace: Trace,
    override: Override | None,
    check: Callable[[Any], Any] | None,
    store: Store | None,
) -> tuple[ReplaySession, record]:
    if not trace.replayable:
        raise ValueError(
            f"trace {trace.id} was imported, so it can be attributed but not replayed\n"
            "  remedy: record a run of the system itself with agentracer.record()"
        )
    if override is not None:
        override.check(trace)
    truth = trace.ground_truth.answer if trace.ground_truth is not None else None
    block = record(
        trace.task or None, ground_truth=truth, check=check, store=store, parent=trace.id
    )
    return ReplaySession(trace, override), block


def _note(handle: Run, session: ReplaySession, override: Override | None) -> None:
    """Say in the new trace what was replayed, before its last event is written."""
    handle.annotate(
        replay={
            "override": None if override is None else _facts(override),
            "answered": session.answered,
            "live": session.live,
            "divergences": session.finish(),
        }
    )


def _facts(override: Override) -> dict[str, Any]:
    facts = {field.name: getattr(override, field.name) for field in fields(override)}
    return {
        name: value for name, value in facts.items() if value is not UNSET and value is not None
    }


def _conclude(handle: Run, session: ReplaySession, on_divergence: OnDivergence) -> Trace:
    if session.divergences and on_divergence == "raise":
        raise ReplayDiverged(handle.id, session.divergences)
    return handle.trace
