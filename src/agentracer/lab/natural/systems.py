"""The natural systems by name, and how to run one on a task and record it.

Example:
    endpoint = Endpoint("http://127.0.0.1:8115/v1", "qwen2.5-coder-1.5b")
    system, task = SYSTEMS["langgraph-review"], load_tasks()["plan-errands"]
    trace = run_once(system, task, endpoint)
    if trace.outcome.success is False:
        search = find_decisive(trace, replay_system(system, task, endpoint))
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import agentracer
from agentracer.errors import MissingExtra
from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.tasks import Kind, NaturalTask
from agentracer.replay import System
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = ["SYSTEMS", "NaturalSystem", "replay_system", "run_once"]

Solve = Callable[[Endpoint, Kind, str], str]

_EXTRAS = {"langgraph": "demo", "autogen": "autogen", "camel": "camel", "python": "demo"}


@dataclass(frozen=True, slots=True)
class NaturalSystem:
    """A team, and what it can work on.

    Attributes:
        name: its name in `SYSTEMS`.
        framework: `langgraph`, `autogen`, `camel`, or `python` (no framework).
        kinds: the kinds of task that it is meant for.
        module: where it is, in `agentracer.lab.natural.teams`.
        function: the function there.
    """

    name: str
    framework: str
    kinds: tuple[Kind, ...]
    module: str
    function: str

    def load(self) -> Solve:
        """Import the team.

        Raises:
            MissingExtra: its framework is not installed.
        """
        try:
            module = importlib.import_module(f"agentracer.lab.natural.teams.{self.module}")
        except ModuleNotFoundError as error:
            purpose = f"the system {self.name} (no module {error.name!r})"
            raise MissingExtra(_EXTRAS[self.framework], needed_for=purpose) from error
        solve: Solve = getattr(module, self.function)
        return solve


SYSTEMS: dict[str, NaturalSystem] = {
    system.name: system
    for system in (
        NaturalSystem(
            "langgraph-pipeline", "langgraph", ("word", "document"), "langgraph", "pipeline"
        ),
        NaturalSystem(
            "langgraph-supervisor", "langgraph", ("word", "document"), "langgraph", "supervisor"
        ),
        NaturalSystem("langgraph-review", "langgraph", ("code", "plan"), "langgraph", "review"),
        NaturalSystem("autogen-selector", "autogen", ("word", "document"), "autogen", "selector"),
        NaturalSystem("autogen-critic", "autogen", ("code", "plan"), "autogen", "round_robin"),
        NaturalSystem(
            "autogen-magentic-one", "autogen", ("document", "word"), "autogen", "magentic_one"
        ),
        NaturalSystem("camel-workforce", "camel", ("word", "plan"), "camel", "workforce"),
        NaturalSystem("camel-role-playing", "camel", ("word", "code"), "camel", "role_playing"),
        NaturalSystem(
            "python-functions",
            "python",
            ("word", "code", "document", "plan"),
            "plain_python",
            "checked_expert",
        ),
    )
}
"""Nine teams, nineteen systems of a team and a kind of task."""


def run_once(
    system: NaturalSystem, task: NaturalTask, endpoint: Endpoint, store: Store | None = None
) -> Trace:
    """Run a system on a task and record it; the outcome is decided by the check of the task.

    A run that raises, such as on a reply that its framework cannot parse, is a failed run; the
    error is in the trace.

    Args:
        system: from `SYSTEMS`.
        task: from `load_tasks()`.
        endpoint: the model.
        store: where the trace goes; the default store if None.

    Raises:
        MissingExtra: the framework is not installed.
        ValueError: the system is not meant for tasks of this kind.
    """
    solve = _prepare(system, task)
    run = None
    try:
        with agentracer.record(task=task.text, check=task.is_right, store=store) as run:
            run.annotate(
                system=system.name,
                task_id=task.id,
                model=endpoint.model,
                temperature=endpoint.temperature,
                seed=endpoint.seed,
            )
            run.result = solve(endpoint, task.kind, task.text)
    except Exception:
        if run is None:
            raise
        logging.getLogger("agentracer").debug(
            "%s on %s raised", system.name, task.id, exc_info=True
        )
    return run.trace


def replay_system(
    system: NaturalSystem, task: NaturalTask, endpoint: Endpoint, store: Store | None = None
) -> System:
    """Return what `find_decisive` replays: fresh runs without a fixed seed, and the check.

    Args:
        system: the system of the failed run.
        task: its task.
        endpoint: the model; its seed is left out, so that replays of one prefix may differ.
        store: where replayed traces go; the default store if None.

    Raises:
        MissingExtra: the framework is not installed.
        ValueError: the system is not meant for tasks of this kind.
    """
    solve, unseeded = _prepare(system, task), replace(endpoint, seed=None)
    return System(
        run=lambda: solve(unseeded, task.kind, task.text), check=task.is_right, store=store
    )


def _prepare(system: NaturalSystem, task: NaturalTask) -> Solve:
    if task.kind not in system.kinds:
        raise ValueError(
            f"{system.name} is not meant for {task.id}, a task of the kind {task.kind!r}\n"
            f"  remedy: a task of the kinds {', '.join(system.kinds)}, or another system"
        )
    solve = system.load()
    agentracer.instrument("openai" if system.framework == "python" else system.framework)
    return solve
