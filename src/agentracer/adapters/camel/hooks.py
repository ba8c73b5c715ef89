"""Which of CAMEL's methods are wrapped.

Only what every program loads is touched at once; societies are hooked when they are imported.
Each wrapper asks `Capture` what to do inside a guard, and calls the original in any case.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

from agentracer._guard import guard
from agentracer.adapters.camel.calls import Calls, streams
from agentracer.adapters.camel.capture import Capture, End, EnteredCall, Entry
from agentracer.adapters.camel.scope import current_scope
from agentracer.adapters.camel.societies import Societies
from agentracer.adapters.camel.tools import Tools, begin_function
from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.kit.threads import carry_variable
from agentracer.adapters.kit.wrapping import Call, around

__all__ = ["CamelHooks"]

Begin = Callable[..., Entry | None]

_ALWAYS: Final = (
    "camel.models.base_model",
    "camel.agents.chat_agent",
    "camel.toolkits.function_tool",
)
_SOCIETY_PHASES: Final = {
    "step": "step",
    "astep": "step",
    "init_chat": "chat",
    "ainit_chat": "chat",
}


class CamelHooks:
    """Puts wrappers into CAMEL's classes, and the very same functions back."""

    def __init__(self) -> None:
        self.capture = Capture()
        self._calls = Calls(self.capture)
        self._tools = Tools(self.capture)
        self._societies = Societies(self.capture)
        self.patches = Patches("camel")

    def install(self) -> None:
        """Wrap what is loaded; the rest as it is imported. All of it, or nothing."""
        for name in _ALWAYS:
            importlib.import_module(name)
        with self.patches.transaction():
            carry_variable(current_scope, self.patches)
            for name, patch in (
                ("camel.models.base_model", self._patch_models),
                ("camel.agents.chat_agent", self._patch_agents),
                ("camel.toolkits.function_tool", self._patch_tools),
                ("camel.societies.role_playing", self._patch_societies),
                ("camel.societies.workforce.workforce", self._patch_workforces),
                ("camel.societies.workforce.single_agent_worker", self._patch_workers),
                ("camel.societies.workforce.role_playing_worker", self._patch_role_players),
            ):
                self.patches.on_import(name, patch)

    def _wrap(self, owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
        self.patches.wrap(owner, name, wrap)

    # -- one method for each module

    def _patch_models(self, module: Any) -> None:
        place, backend = "camel.model", module.BaseModelBackend
        self._wrap(backend, "run", around(self._calls.begin_run, place))
        self._wrap(backend, "arun", around(self._calls.begin_arun, place))

    def _patch_agents(self, module: Any) -> None:
        agent, capture = module.ChatAgent, self.capture

        def begin(member: Any, *args: Any, **kwargs: Any) -> Entry | None:
            if streams(member):  # a stream is a turn when it is read
                self._calls.note_context(member)
                return None
            return capture.begin_turn(member, args[0] if args else kwargs.get("input_message"))

        self._wrap(agent, "step", _entered("camel.step", begin, capture.end_turn))
        self._wrap(agent, "astep", _entered("camel.step", begin, capture.end_turn))
        self._wrap(agent, "_stream", around(self._calls.begin_stream, "camel.stream"))
        self._wrap(agent, "_astream", around(self._calls.begin_stream, "camel.stream"))
        run, streamed = (
            around(begin, "camel.tool") for begin in (self._tools.begin, self._tools.begin_streamed)
        )
        self._wrap(agent, "_execute_tool", run)
        self._wrap(agent, "_aexecute_tool", run)
        self._wrap(agent, "_execute_tool_from_stream_data", streamed)
        self._wrap(agent, "_aexecute_tool_from_stream_data", streamed)

    def _patch_tools(self, module: Any) -> None:
        tool = module.FunctionTool
        for name in ("__call__", "async_call"):
            self._wrap(tool, name, around(begin_function, "camel.tool"))

    def _patch_societies(self, module: Any) -> None:
        society = module.RolePlaying

        def begin(playing: Any, *_: Any, **kwargs: Any) -> Entry | None:
            self._cover(type(playing), society)
            return self._societies.begin_society(playing, "init", kwargs)

        self._wrap(
            society, "__init__", _entered("camel.society", begin, self._societies.end_society)
        )
        for name in _SOCIETY_PHASES:
            self._wrap_society(society, name, society)

    def _cover(self, kind: type, society: type) -> None:
        """Wrap what a subclass overrides, such as OWL's `step`."""
        with self.patches.transaction():
            for owner in kind.__mro__:
                for name in _SOCIETY_PHASES:
                    inherits = issubclass(owner, society) and name in owner.__dict__
                    if inherits and not self.patches.is_patched(owner, name):
                        self._wrap_society(owner, name, society)

    def _wrap_society(self, owner: type, name: str, society: type) -> None:
        def begin(playing: Any, *_: Any, **__: Any) -> Entry | None:
            self._cover(type(playing), society)
            return self._societies.begin_society(playing, _SOCIETY_PHASES[name], {})

        wrapper = _entered("camel.society", begin, self._societies.end_society)
        self._wrap(owner, name, wrapper)

    def _patch_workforces(self, module: Any) -> None:
        workforce, societies = module.Workforce, self._societies
        place, end = "camel.workforce", societies.end_workforce
        for name in ("process_task", "process_task_async"):
            self._wrap(workforce, name, _entered(place, societies.begin_workforce, end))
        self._wrap(workforce, "start", _entered(place, societies.begin_node, _nothing))
        for name, purpose in (
            ("_decompose_task", "decompose"),
            ("_analyze_task", "analyse"),
            ("_find_assignee", "assign"),
            ("_create_worker_node_for_task", "create_worker"),
        ):
            self._wrap(workforce, name, _entered(place, self._managing(purpose), _nothing))
        recovery = _entered(place, societies.note_recovery, _nothing)
        self._wrap(workforce, "_apply_recovery_strategy", recovery)

    def _managing(self, purpose: str) -> Begin:
        def begin(workforce: Any, tasks: Any, *_: Any, **__: Any) -> Entry | None:
            return self._societies.begin_managing(workforce, tasks, purpose)

        return begin

    def _patch_workers(self, module: Any) -> None:
        worker, societies = module.SingleAgentWorker, self._societies
        work = _entered("camel.worker", societies.begin_work, societies.end_work)
        self._wrap(worker, "_process_task", work)
        self._wrap(worker, "_get_worker_agent", self._wrap_clone)

    def _wrap_clone(self, original: Any) -> Any:
        async def get_worker_agent(worker: Any, *args: Any, **kwargs: Any) -> Any:
            agent = await original(worker, *args, **kwargs)
            with guard("camel.worker"):
                self._societies.note_clone(worker, agent)
            return agent

        return get_worker_agent

    def _patch_role_players(self, module: Any) -> None:
        work = _entered("camel.worker", self._societies.begin_work, self._societies.end_work)
        self._wrap(module.RolePlayingWorker, "_process_task", work)


def _nothing(entry: Entry, result: Any, error: BaseException | None) -> None:
    """There is nothing to note at the end."""


def _entered(where: str, begin: Begin, end: End) -> Callable[[Any], Any]:
    """Wrap a method: `begin` and `end` around it, and the entry's place inside it."""

    def start(owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        entry = begin(owner, *args, **kwargs)
        return None if entry is None else EnteredCall(entry, end, owner, args, kwargs)

    return around(start, where)
