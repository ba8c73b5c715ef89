"""Workforces and RolePlayings: where runs begin and end, and what its task says of a step.

Step attributes in a Workforce: `purpose` (work, decompose, assign, analyse, create_worker), `task`,
`parent_task`, `attempt` (0 at first), `task_state` on the last step of an attempt, and `recovery`
on the analysis that chose one.

A RolePlaying has no call that runs it all. Outside of a `record()` block, its run lasts from its
first turn until a turn says `TASK_DONE` or is terminated, until it begins another chat, or until
nobody holds it any more.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping
from typing import Any

from agentracer._guard import guard
from agentracer.adapters.camel import convert
from agentracer.adapters.camel.capture import Capture, Entry
from agentracer.adapters.camel.scope import BASES, RunState, Scope, current_scope, label
from agentracer.recorder import ending_of
from agentracer.recording import Run, current_run

__all__ = ["Societies"]


@dataclasses.dataclass(slots=True)
class _Conversation:
    """A RolePlaying that no `record()` encloses: from its first step to the end of the task."""

    run: Run
    state: RunState
    spoke: bool = False


class Societies:
    """Enters and leaves societies and their parts."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._conversations: weakref.WeakKeyDictionary[Any, _Conversation] = (
            weakref.WeakKeyDictionary()
        )

    # -- workforces

    def begin_workforce(self, workforce: Any, task: Any, *_: Any, **__: Any) -> Entry | None:
        """`process_task_async` begins; inside of `process_task`, that counts."""
        here = current_scope.get()
        if here is not None and here.society is workforce and not here.state.finished:
            return None
        entry = self._capture.enter(lambda: task.content)
        entry.place = _inside(entry.place, workforce)
        entry.subject = workforce
        return entry

    def end_workforce(self, entry: Entry, task: Any, error: BaseException | None) -> None:
        """It has returned the task, with its result and state."""
        if entry.root is not None and entry.root.owned and _state_of(task) == "FAILED":
            entry.place.run.fail("the workforce reports that the task failed")
        self._capture.leave(entry, task, getattr(task, "result", None), error)

    def begin_node(self, workforce: Any, *_: Any, **__: Any) -> Entry | None:
        """A workforce starts to listen; one inside another adds to the path."""
        here = current_scope.get()
        if here is None or here.society is workforce:
            return None
        return Entry(_inside(here, workforce))

    def begin_work(self, node: Any, task: Any, *_: Any, **__: Any) -> Entry | None:
        """A worker begins a task."""
        here = current_scope.get()
        if here is None:
            return None
        path = here.path
        if hasattr(node, "summarize_agent"):  # a RolePlayingWorker: a society of its own
            path = (*path, convert.short(node.description))
        facts = {"purpose": "work", **_task_facts(task)}
        place = dataclasses.replace(here, path=path, attributes=facts, turn=None)
        return Entry(place, subject=task)

    def end_work(self, entry: Entry, state: Any, error: BaseException | None) -> None:
        """It has done it, or failed."""
        reached = "FAILED" if error is not None else getattr(state, "value", None)
        _annotate(entry.place, "work", entry.subject, task_state=reached)

    def begin_managing(self, workforce: Any, tasks: Any, purpose: str) -> Entry | None:
        """The coordinator or the task agent is about to be asked something."""
        here = current_scope.get()
        if here is None:
            return None
        several = isinstance(tasks, (list, tuple))
        facts = {"tasks": [t.id for t in tasks]} if several else _task_facts(tasks)
        return Entry(dataclasses.replace(here, attributes={"purpose": purpose, **facts}, turn=None))

    def note_recovery(self, workforce: Any, task: Any, decision: Any, *_: Any, **__: Any) -> None:
        """A strategy was chosen after a task failed or was done badly."""
        here = current_scope.get()
        if here is not None:
            strategy = getattr(decision, "recovery_strategy", None)
            chosen = getattr(strategy, "value", strategy)
            _annotate(here, "analyse", task, recovery=chosen or "retry")

    def note_clone(self, worker: Any, agent: Any) -> None:
        """A pooled clone is about to work for the agent that the user made."""
        if agent is not worker.worker:
            BASES[agent] = worker.worker

    # -- conversations

    def begin_society(self, society: Any, phase: str, kwargs: Mapping[str, Any]) -> Entry | None:
        """A RolePlaying is built (`init`), begins (`chat`) or takes a turn (`step`)."""
        here = current_scope.get()
        if here is not None and here.society is society:
            return None
        conversation = self._conversations.get(society)
        if phase == "chat" and conversation is not None and conversation.spoke:
            self._conclude(society)
        if phase == "chat" or (phase == "init" and not _asks_models(kwargs)):
            return None
        task = str(kwargs.get("task_prompt") or getattr(society, "task_prompt", "") or "")
        conversation = (
            self._conversations.get(society) if here is None and current_run() is None else None
        )
        if conversation is not None:
            entry = Entry(Scope(conversation.run, conversation.state, None))
        else:
            entry = self._capture.enter(lambda: task or None)
        if entry.root is not None and entry.root.owned:  # it goes on after this call
            conversation = _Conversation(entry.place.run, entry.place.state)
            self._conversations[society] = conversation
            weakref.finalize(society, _finish_conversation, conversation)
        entry.place = _inside(entry.place, society)
        entry.subject = (weakref.ref(society), phase, conversation)
        return entry

    def end_society(self, entry: Entry, result: Any, error: BaseException | None) -> None:
        """It is built, or has taken its turn; `TASK_DONE` ends a conversation."""
        reference, phase, conversation = entry.subject
        responses = result if isinstance(result, tuple) else ()
        if (
            phase == "step"
            and error is None
            and ((entry.root is not None) or conversation is not None)
        ):
            answer = next((text for text in map(convert.response_text, responses) if text), None)
            entry.place.run.framework_ended(result, answer)
        if conversation is None:
            return
        conversation.spoke = conversation.spoke or phase == "step"
        done = any(getattr(r, "terminated", False) for r in responses)
        done = done or "TASK_DONE" in (
            convert.response_text(responses[-1]) or "" if responses else ""
        )
        if error is not None or done:
            self._conclude(reference(), error)

    def _conclude(self, society: Any, error: BaseException | None = None) -> None:
        conversation = self._conversations.pop(society, None)
        if conversation is not None:
            _finish_conversation(conversation, error)


# -- small pieces


def _inside(place: Scope, society: Any) -> Scope:
    path = (*place.path, label(society))
    if place.turn is not None:  # a society that an agent calls as a tool
        path = (*place.path, place.turn.name, label(society))
    return dataclasses.replace(place, path=path, society=society, turn=None)


def _annotate(place: Scope, purpose: str, task: Any, **facts: Any) -> None:
    step = place.state.steps.get((purpose, getattr(task, "id", None)))
    present = {key: value for key, value in facts.items() if value is not None}
    if step is not None and present:
        place.run.recorder.update_step(step, attributes=present)


def _task_facts(task: Any) -> dict[str, Any]:
    parent = getattr(task, "parent", None)
    facts = {
        "task": getattr(task, "id", None),
        "parent_task": getattr(parent, "id", None),
        "attempt": getattr(task, "failure_count", None),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _state_of(task: Any) -> str | None:
    state = getattr(task, "state", None)
    return getattr(state, "value", state)


def _finish_conversation(conversation: _Conversation, error: BaseException | None = None) -> None:
    with guard("camel.conversation"):
        conversation.state.finished = True
        failure = error if isinstance(error, Exception) else None
        conversation.run.finish(ending_of(error) if error is not None else None, failure)


def _asks_models(kwargs: Mapping[str, Any]) -> bool:
    return bool(kwargs.get("with_task_specify", True) or kwargs.get("with_task_planner"))
