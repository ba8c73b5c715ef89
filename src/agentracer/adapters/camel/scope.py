"""Where code of a CAMEL system runs: in which run, which society, on behalf of which agent.

A `Scope` travels in a context variable, so runs that go on at the same time stay apart; see
`kit.threads` for the pools to which CAMEL hands work.

Names are stable from run to run, as replay and lessons need them: an agent of a society is called
after its part in it (`coordinator_agent`, the role, the worker's description), any other after its
id if the user chose one, its role name, or what its system prompt says that it is. Agents that
agree in place, name, prompt and tools are one agent: systems often build theirs anew for each task.
"""

from __future__ import annotations

import contextvars
import dataclasses
import re
import sys
import threading
import weakref
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from agentracer.adapters.camel import convert
from agentracer.adapters.kit.text import PromptCache
from agentracer.recording import Run

if TYPE_CHECKING:
    from agentracer.adapters.camel.capture import ToolRun, Turn

__all__ = ["BASES", "RunState", "Scope", "current_scope", "label", "members", "pooled", "tools_of"]

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\d{9,}", re.IGNORECASE)
_GENERIC = frozenset({"", "system", "assistant", "user", "agent", "chatagent"})
_SELF = re.compile(
    r"\s*you are (?:an? |the )?(.{1,60}?)(?:[.,;:!?\n]| who | that | which |$)", re.IGNORECASE
)

BASES: Final[weakref.WeakKeyDictionary[Any, Any]] = weakref.WeakKeyDictionary()
"""The agent that the user made, by the clone of it that works in a pool."""


@dataclasses.dataclass(frozen=True)
class Scope:
    """Where some code of the system runs.

    Attributes:
        run: the run that it belongs to.
        state: what is remembered about that run.
        ambient: what `current_run()` was there; another one since means a `record()` inside.
        path: names from the outermost society inwards.
        society: the innermost Workforce or RolePlaying.
        attributes: of the steps made here, such as the task worked on.
        step: the step whose tool call this runs in.
        inside_call: the id of that call, as an attribute of steps.
        turn: the agent's turn that this is in.
        tool: the tool call that this is in.
    """

    run: Run
    state: RunState
    ambient: Run | None
    path: tuple[str, ...] = ()
    society: Any = None
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    step: int | None = None
    inside_call: Mapping[str, str] = dataclasses.field(default_factory=dict)
    turn: Turn | None = None
    tool: ToolRun | None = None


current_scope: Final[contextvars.ContextVar[Scope | None]] = contextvars.ContextVar(
    "agentracer_camel", default=None
)


class RunState:
    """What is remembered about one run: names given, prompts read, the last step of a task."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._keys: dict[Hashable, str] = {}
        self._by_id: dict[str, str] = {}
        # Marks are copies: a backend may yet write how it wants the output into the last message.
        self.prompts = PromptCache(lambda message: [convert.message_fields(message)], convert.mark)
        self.steps: dict[tuple[Any, Any], int] = {}
        self.finished = False

    def name(self, agent: Any, place: Scope) -> str:
        """The name of an agent in this run."""
        agent = BASES.get(agent, agent)
        with self._lock:
            known_name = self._names.get(agent)
        if known_name is not None:
            return known_name
        part = next((n for n, member in members(place.society) if member is agent), None)
        base = part or self._derived_name(agent) or _own_name(agent)
        key: Hashable = (place.path, part)
        if part is None:
            key = (place.path, base, convert.prompt_text(agent.system_message), tools_of(agent))
        with self._lock:
            name = self._keys.get(key)
            if name is None:
                name = self._keys[key] = _unique(base, self._keys.values())
            self._names[agent] = name
            self._by_id[str(getattr(agent, "agent_id", ""))] = name
        return name

    def _derived_name(self, agent: Any) -> str | None:
        """The name of an agent that CAMEL makes for another one: `<its id>_context_summarizer`."""
        owner, _, duty = str(getattr(agent, "agent_id", "") or "").partition("_")
        if not duty or not _ID.fullmatch(owner):
            return None
        with self._lock:
            return f"{self._by_id.get(owner, '')}_{duty}".strip("_")


def members(society: Any) -> Iterator[tuple[str, Any]]:
    """The agents of a system with their names: a society, an agent, or a collection of them."""
    taken: list[str] = []
    for base, agent in _members(society):
        taken.append(_unique(convert.short(base), taken))
        yield taken[-1], agent


def label(society: Any) -> str:
    """What a society is called in a path."""
    if _is_workforce(society):
        return convert.short(society.description) or "Workforce"
    return type(society).__name__


def tools_of(agent: Any) -> tuple[str, ...]:
    """The names of an agent's tools."""
    return tuple(getattr(agent, "_internal_tools", None) or ())


def _members(system: Any) -> Iterator[tuple[str, Any]]:
    if _is_workforce(system):
        yield "coordinator_agent", system.coordinator_agent
        yield "task_agent", system.task_agent
        for node in system._children:
            yield from _workers(node)
    elif hasattr(system, "user_agent") and hasattr(system, "assistant_agent"):
        for agent in (system.user_agent, system.assistant_agent, getattr(system, "critic", None)):
            if role := getattr(agent, "role_name", None):
                yield role, agent
    elif hasattr(system, "system_message") and hasattr(system, "step"):
        yield _own_name(system), system
    elif isinstance(system, (Mapping, list, tuple, set, frozenset)):
        for item in system.values() if isinstance(system, Mapping) else system:
            yield from _members(item)


def _workers(node: Any) -> Iterator[tuple[str, Any]]:
    if _is_workforce(node):
        yield from _members(node)
    elif hasattr(node, "worker"):
        yield _own_name(node.worker, node.description), node.worker
    elif hasattr(node, "summarize_agent"):  # its other agents are made anew for each task
        yield _own_name(node.summarize_agent), node.summarize_agent


def _is_workforce(value: Any) -> bool:
    module = sys.modules.get("camel.societies.workforce.workforce")
    kind = getattr(module, "Workforce", None)
    return kind is not None and isinstance(value, kind)


def _own_name(agent: Any, description: str | None = None) -> str:
    identity = str(getattr(agent, "agent_id", "") or "")
    if identity and not _ID.fullmatch(identity):
        return convert.short(identity)
    role = str(getattr(agent, "role_name", "") or "")
    if role.strip().lower() not in _GENERIC:
        return convert.short(role)
    if description:
        return convert.short(description)
    says = _SELF.match(convert.prompt_text(agent.system_message) or "")
    return convert.short(says.group(1)) if says else role or "assistant"


def _unique(base: str, taken: Any) -> str:
    seen = set(taken)
    name, count = base, 1
    while name in seen:
        count += 1
        name = f"{base} {count}"
    return name


def pooled(system: Any, agent: Any) -> list[Any]:
    """The idle clones that a Workforce keeps of one of its agents."""
    agents: list[Any] = []
    for node in getattr(system, "_children", ()) if _is_workforce(system) else ():
        if _is_workforce(node):
            agents += pooled(node, agent)
        elif getattr(node, "worker", None) is agent:
            agents += getattr(getattr(node, "agent_pool", None), "_available_agents", ())
    return agents
