"""The system that evolves, its tasks, and how tasks are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentracer.replay.policy import LIVE, ToolPolicy

__all__ = ["Task", "Team", "as_team", "name_tasks"]


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Team:
    """A system that evolves.

    Attributes:
        run: given the system and a task, runs it once and returns the result (or an awaitable, for
            `aevolve`). Where it returns None, the framework's own result counts.
        build: gives the framework's object, fresh or reset, before each run; a system that keeps
            nothing between runs may be the same object each time. Advice goes to this object.
        deterministic: True if the same task always ends the same way, so that nothing needs
            repeating and the last run is the control of the next one.
        policy: which tools may really run where a run is replayed.
    """

    run: Callable[[Any, Any], Any]
    build: Callable[[], Any] = _nothing
    deterministic: bool = False
    policy: ToolPolicy = LIVE


@dataclass(frozen=True, slots=True)
class Task:
    """One task: its name in reports and on disk, its text, and what the user gave."""

    id: str
    text: str
    value: Any


def as_team(system: Team | Callable[[Any], Any]) -> Team:
    """A team as it is, or one that is made of a function of a task.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(system, Team):
        return system
    if not callable(system) or isinstance(system, type):
        raise TypeError(
            f"evolve() takes a Team or a function of a task, not {type(system).__name__}\n"
            "  remedy: evolution.Team(build=lambda: system, run=lambda system, task: ...)"
        )
    return Team(run=lambda _, task: system(task))


def name_tasks(tasks: Iterable[Any]) -> list[Task]:
    """The tasks with names that stay the same from one process to the next.

    A name is the task's `id` where it has one, its text where it is text, else its position.

    Raises:
        ValueError: there are none, or two have one name.
    """
    named = [_named(index, value) for index, value in enumerate(tasks)]
    names = [task.id for task in named]
    if not named:
        raise ValueError("there are no tasks to run")
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ValueError(f"two tasks are called {double!r}: give each an id of its own")
    return named


def _named(index: int, value: Any) -> Task:
    identity = value.get("id") if isinstance(value, Mapping) else getattr(value, "id", None)
    text = value if isinstance(value, str) else _text_of(value)
    name = (
        identity if identity is not None else value if isinstance(value, str) else f"task {index}"
    )
    return Task(str(name), text or str(name), value)


def _text_of(value: Any) -> str:
    for field in ("question", "task", "text"):
        text = value.get(field) if isinstance(value, Mapping) else getattr(value, field, None)
        if isinstance(text, str):
            return text
    return ""
