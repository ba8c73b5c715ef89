"""Where the adapter meets CAMEL: what its methods become while it is installed.

Only what every program loads is touched at once; societies are hooked when they are imported.
Each wrapper asks `Capture` what to do inside a guard, and calls the original in any case.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from typing import Any, Final

from agentracer._guard import guard
from agentracer.adapters.camel.calls import Calls, streams
from agentracer.adapters.camel.capture import Capture, Scope
from agentracer.adapters.camel.places import HERE
from agentracer.adapters.camel.societies import Societies
from agentracer.adapters.camel.tools import Tools, wrap_async_tool, wrap_tool
from agentracer.adapters.kit.patching import Patches

__all__ = ["Seams"]

Begin = Callable[..., Scope | None]
End = Callable[[Scope, Any, BaseException | None], None]

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


class Seams:
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
        self._wrap(module.BaseModelBackend, "run", self._calls.wrap_run)
        self._wrap(module.BaseModelBackend, "arun", self._calls.wrap_arun)

    def _patch_agents(self, module: Any) -> None:
        agent, capture = module.ChatAgent, self.capture
        begin: Begin = lambda a, *args, **kw: (  # noqa: E731 - a stream is a turn when it is read
            None if streams(a) else capture.begin_turn(a, *_message(args, kw))
        )
        self._wrap(agent, "step", _around("camel.step", begin, capture.end_turn))
        self._wrap(agent, "astep", _around_async("camel.step", begin, capture.end_turn))
        self._wrap(agent, "_stream", self._calls.wrap_stream)
        self._wrap(agent, "_astream", self._calls.wrap_astream)
        # CAMEL runs these in threads of its own, which know nothing of where they were started.
        self._wrap(agent, "_step_impl", _around("camel.step", self._rejoin, _nothing))
        self._wrap(agent, "_execute_tool", self._tools.wrap_execute)
        self._wrap(agent, "_aexecute_tool", self._tools.wrap_aexecute)
        self._wrap(agent, "_execute_tool_from_stream_data", self._tools.wrap_stream_tool)
        self._wrap(agent, "_aexecute_tool_from_stream_data", self._tools.wrap_astream_tool)

    def _patch_tools(self, module: Any) -> None:
        self._wrap(module.FunctionTool, "__call__", wrap_tool)
        self._wrap(module.FunctionTool, "async_call", wrap_async_tool)

    def _patch_societies(self, module: Any) -> None:
        society = module.RolePlaying

        def begin(playing: Any, *_: Any, **kwargs: Any) -> Scope | None:
            self._cover(type(playing), society)
            return self._societies.begin_society(playing, "init", kwargs)

        self._wrap(
            society, "__init__", _around("camel.society", begin, self._societies.end_society)
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
        def begin(playing: Any, *_: Any, **__: Any) -> Scope | None:
            self._cover(type(playing), society)
            return self._societies.begin_society(playing, _SOCIETY_PHASES[name], {})

        around = _around_async if name.startswith("a") else _around
        self._wrap(owner, name, around("camel.society", begin, self._societies.end_society))

    def _patch_workforces(self, module: Any) -> None:
        workforce, societies = module.Workforce, self._societies
        place, end = "camel.workforce", societies.end_workforce
        self._wrap(
            workforce, "process_task", _around(place, societies.begin_blocking_workforce, end)
        )
        self._wrap(
            workforce, "process_task_async", _around_async(place, societies.begin_workforce, end)
        )
        self._wrap(workforce, "start", _around_async(place, societies.begin_node, _nothing))
        for name, purpose, around in (
            ("_decompose_task", "decompose", _around),
            ("_analyze_task", "analyse", _around),
            ("_find_assignee", "assign", _around_async),
            ("_create_worker_node_for_task", "create_worker", _around_async),
        ):
            self._wrap(workforce, name, around(place, self._managing(purpose), _nothing))
        recovery = _around_async(place, societies.note_recovery, _nothing)
        self._wrap(workforce, "_apply_recovery_strategy", recovery)

    def _managing(self, purpose: str) -> Begin:
        def begin(workforce: Any, tasks: Any, *_: Any, **__: Any) -> Scope | None:
            return self._societies.begin_managing(workforce, tasks, purpose)

        return begin

    def _patch_workers(self, module: Any) -> None:
        worker, societies = module.SingleAgentWorker, self._societies
        work = _around_async("camel.worker", societies.begin_work, societies.end_work)
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
        work = _around_async("camel.worker", self._societies.begin_work, self._societies.end_work)
        self._wrap(module.RolePlayingWorker, "_process_task", work)

    def _rejoin(self, agent: Any, *_: Any, **__: Any) -> Scope | None:
        place = self.capture.handed_over(agent)
        return Scope(place) if place is not None else None


def _message(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    return args[:1] or (kwargs.get("input_message"),)


def _nothing(scope: Scope, result: Any, error: BaseException | None) -> None:
    """There is nothing to note at the end."""


def _around(where: str, begin: Begin, end: End) -> Callable[[Any], Any]:
    """Wrap a method: `begin` and `end` around it, and the scope's place inside it."""

    def wrap(original: Any) -> Any:
        def method(subject: Any, *args: Any, **kwargs: Any) -> Any:
            scope: Scope | None = None
            with guard(where):
                scope = begin(subject, *args, **kwargs)
            if scope is None:
                return original(subject, *args, **kwargs)
            token = HERE.set(scope.place)
            try:
                result = original(subject, *args, **kwargs)
            except BaseException as error:
                with guard(where):
                    end(scope, None, error)
                raise
            finally:
                HERE.reset(token)
            with guard(where):
                end(scope, result, None)
            return result

        return method

    return wrap


def _around_async(where: str, begin: Begin, end: End) -> Callable[[Any], Any]:
    """As `_around`, for a coroutine function."""

    def wrap(original: Any) -> Any:
        async def method(subject: Any, *args: Any, **kwargs: Any) -> Any:
            scope: Scope | None = None
            with guard(where):
                scope = begin(subject, *args, **kwargs)
            if scope is None:
                return await original(subject, *args, **kwargs)
            token = HERE.set(scope.place)
            try:
                result = await original(subject, *args, **kwargs)
            except BaseException as error:
                with guard(where):
                    end(scope, None, error)
                raise
            finally:
                _reset(token)
            with guard(where):
                end(scope, result, None)
            return result

        return method

    return wrap


def _reset(token: Any) -> None:
    """Put the place back; a coroutine that is closed by another task has another context."""
    with contextlib.suppress(ValueError):
        HERE.reset(token)
