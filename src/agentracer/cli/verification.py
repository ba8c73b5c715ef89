"""`agentracer attribute --verify`: find the system of a trace and replay it."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from agentracer.cli._io import fail, progress_bar, save_verdict, say
from agentracer.cli._laboratory import laboratory
from agentracer.errors import AgentracerError

if TYPE_CHECKING:
    from agentracer.replay import OracleFunction, System, ToolPolicy
    from agentracer.store import Store
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["ProofOptions", "system_named", "tool_policy", "verify_all"]

Rebuild = Callable[..., Any]
"""Returns the `System` that made a trace, or that and an oracle, or a context manager of either. It
is given the trace if it takes an argument."""


@dataclass(frozen=True)
class ProofOptions:
    """How verdicts are proved.

    Attributes:
        repeats: replays of each kind where an oracle corrects steps.
        runs: most replays of a search without an oracle; None for no limit.
        workers: how many of these run at once.
        tools: see `tool_policy`; None for the policy of the `System`, `recorded` if it has none.
        yes: do not ask before tools run.
    """

    repeats: int = 3
    runs: int | None = None
    workers: int = 1
    tools: str | None = None
    yes: bool = False


def system_named(spec: str | None) -> Rebuild | None:
    """Import the function that `MODULE:FUNCTION` names, from the working directory too."""
    if spec is None:
        return None
    module, _, name = spec.partition(":")
    if not module or not name:
        fail(f"--system {spec}: expected MODULE:FUNCTION")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as `python -m` does
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        fail(f"--system {spec}: {error}")
    if not callable(function):
        fail(f"--system {spec}: {name} is not a function")
    rebuild: Rebuild = function
    return rebuild


def verify_all(
    verdicts: Sequence[tuple[Trace, Verdict]],
    store: Store | None,
    rebuild: Rebuild | None,
    options: ProofOptions,
) -> tuple[list[tuple[Trace, Verdict]], list[str]]:
    """Verify and save each verdict; return those that cannot be verified unchanged."""
    proven: list[tuple[Trace, Verdict]] = []
    failures: list[str] = []
    for trace, unproven in verdicts:
        verdict = unproven
        try:
            verdict = _verified(trace, unproven, store, rebuild, options)
        except (ValueError, AgentracerError) as error:
            failures.append(f"{trace.id} is not verified: {error}")
        proven.append((trace, verdict))
    return proven, failures


def _verified(
    trace: Trace,
    verdict: Verdict,
    store: Store | None,
    rebuild: Rebuild | None,
    options: ProofOptions,
) -> Verdict:
    from agentracer.replay import verify

    if store is None or not trace.replayable:
        raise ValueError(
            f"trace {trace.id} was not recorded in this store, so it cannot be replayed\n"
            "  remedy: verify runs by their id (`agentracer list`)"
        )
    with _system(trace, store, rebuild) as made:
        system, oracle = made if isinstance(made, tuple) else (made, None)
        if oracle is None:
            proven = _searched(trace, verdict, system, options)
        elif verdict.abstained:
            return verdict
        else:
            with progress_bar("replaying"):
                proven = verify(trace, verdict, system, oracle, repeats=options.repeats)
    save_verdict(store, proven)
    return proven


def _searched(trace: Trace, verdict: Verdict, system: System, options: ProofOptions) -> Verdict:
    """Search for the decisive step with nothing but the system and its check."""
    from agentracer.replay import Budget, ToolPolicy, find_decisive

    policy = system.policy
    if options.tools is not None or policy == ToolPolicy():
        policy = tool_policy(options.tools or "recorded")
    _announce(trace, policy, options)
    ranking = verdict.candidates if verdict.calibrated else ()
    with progress_bar("replaying") as progress:
        search = find_decisive(
            trace,
            replace(system, policy=policy),
            ranking=ranking,
            budget=Budget(runs=options.runs),
            workers=options.workers,
            on_replay=lambda usage: progress(usage.replays + usage.resumed, options.runs or 0),
        )
    return search.verdict


def tool_policy(tools: str) -> ToolPolicy:
    """Turn the text of `--tools` into a policy.

    Args:
        tools: `live`, `recorded`, `refuse`, or names of tools that may run, separated by commas;
            all others are then answered from the record where it has the same call.
    """
    from agentracer.replay import ToolPolicy

    if tools in ("live", "recorded", "refuse"):
        return ToolPolicy(tools)  # type: ignore[arg-type]
    names = frozenset(name.strip() for name in tools.split(",") if name.strip())
    return ToolPolicy("recorded", names)


def _announce(trace: Trace, policy: ToolPolicy, options: ProofOptions) -> None:
    """Say what the replays may cost, and ask before tools run that may have side effects."""
    calls = sum(step.kind == "llm" for step in trace.steps)
    usages = [step.usage for step in trace.steps if step.usage is not None]
    tokens = sum((u.input_tokens or 0) + (u.output_tokens or 0) for u in usages)
    most = f"at most {options.runs} replays" if options.runs else "usually 20 to 60 replays"
    cost = f"{calls} model calls" + (f" and {tokens:,} tokens" if tokens else "")
    say(f"replaying {trace.id}: {most}; the recorded run made {cost}, a replay at most as many")
    names = sorted({call.name for step in trace.steps for call in step.tool_calls})
    live = [name for name in names if policy.runs(name)]
    if not live or options.yes:
        return
    listed = ", ".join(live)
    if not sys.stdin.isatty():
        raise ValueError(
            f"replays would run these tools: {listed}\n"
            "  remedy: --yes allows it; --tools recorded answers them from the record"
        )
    if not click.confirm(f"Replays will run these tools: {listed}. Go on?", err=True):
        raise ValueError("not allowed to run the tools")


@contextmanager
def _system(
    trace: Trace, store: Store, rebuild: Rebuild | None
) -> Iterator[System | tuple[System, OracleFunction]]:
    if rebuild is not None:
        made = rebuild(trace) if _takes_trace(rebuild) else rebuild()
        if isinstance(made, AbstractContextManager):
            with made as inner:
                yield inner
        else:
            yield made
        return
    if "demo" in trace.metadata:
        import agentracer

        with laboratory("replaying a run of `agentracer demo`"):
            from agentracer.lab.testbed.rebuild import rebuild_system

        agentracer.instrument("langgraph")
        with rebuild_system(trace, store) as rebuilt:
            if rebuilt is not None:
                yield rebuilt
                return
    raise ValueError(
        f"which system made trace {trace.id} is not known here\n"
        "  remedy: --system MODULE:FUNCTION, a function that returns\n"
        "          agentracer.replay.System(run=..., check=...)"
    )


def _takes_trace(rebuild: Rebuild) -> bool:
    try:
        parameters = inspect.signature(rebuild).parameters.values()
    except (TypeError, ValueError):  # a callable without a signature
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional or p.kind is p.VAR_POSITIONAL for p in parameters)
