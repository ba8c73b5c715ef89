"""`agentracer attribute --verify`: which system made a trace, and what replaying it shows."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from agentracer.cli._io import fail, progress_bar
from agentracer.cli._laboratory import laboratory
from agentracer.errors import AgentracerError

if TYPE_CHECKING:
    from agentracer.replay import OracleFunction, System
    from agentracer.store import Store
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["system_named", "verify_all"]

Rebuild = Callable[["Trace"], Any]
"""Given a trace, the `System` that made it and an oracle, as a pair or a context manager of one."""


def system_named(spec: str | None) -> Rebuild | None:
    """The function that `MODULE:FUNCTION` names; it is looked for in the working directory too."""
    if spec is None:
        return None
    module, _, name = spec.partition(":")
    if not module or not name:
        fail(f"--system {spec}: expected MODULE:FUNCTION")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as `python -m` does
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        fail(f"--system {spec}: {error}")
    if not callable(found):
        fail(f"--system {spec}: {name} is not a function of a trace")
    rebuild: Rebuild = found
    return rebuild


def verify_all(
    verdicts: Sequence[tuple[Trace, Verdict]],
    store: Store | None,
    rebuild: Rebuild | None,
    repeats: int,
) -> tuple[list[tuple[Trace, Verdict]], list[str]]:
    """Verify each verdict and keep it; what cannot be verified comes back as it was, and why."""
    proven: list[tuple[Trace, Verdict]] = []
    failures: list[str] = []
    with progress_bar("replaying") as progress:
        for done, (trace, given) in enumerate(verdicts):
            progress(done, len(verdicts))
            verdict = given
            if not given.abstained:
                try:
                    verdict = _verified(trace, given, store, rebuild, repeats)
                except (ValueError, AgentracerError) as error:
                    failures.append(f"{trace.id} is not verified: {error}")
            proven.append((trace, verdict))
    return proven, failures


def _verified(
    trace: Trace, verdict: Verdict, store: Store | None, rebuild: Rebuild | None, repeats: int
) -> Verdict:
    from agentracer.replay import verify

    if store is None or not trace.replayable:
        raise ValueError(
            f"trace {trace.id} was not recorded in this store, so it cannot be replayed\n"
            "  remedy: verify runs by their id (`agentracer list`)"
        )
    with _system(trace, store, rebuild) as (system, oracle):
        proven = verify(trace, verdict, system, oracle, repeats=repeats)
    store.save_verdict(proven)
    return proven


@contextmanager
def _system(
    trace: Trace, store: Store, rebuild: Rebuild | None
) -> Iterator[tuple[System, OracleFunction]]:
    if rebuild is not None:
        made = rebuild(trace)
        if isinstance(made, AbstractContextManager):
            with made as inner:
                yield inner
        else:
            yield made
        return
    if "demo" in trace.metadata:
        import agentracer

        with laboratory("replaying a run of `agentracer demo`"):
            from agentracer.lab.testbed.known import rebuilt

        agentracer.instrument("langgraph")
        with rebuilt(trace, store) as known:
            if known is not None:
                yield known
                return
    raise ValueError(
        f"which system made trace {trace.id} is not known here\n"
        "  remedy: --system MODULE:FUNCTION, a function that is given the trace and returns\n"
        "          (agentracer.replay.System(run=..., check=...), oracle)"
    )
