"""The run that a call of a client belongs to, and what is known of it."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from agentracer._guard import guard
from agentracer.adapters.clients.wire import WireProtocol, mark
from agentracer.adapters.kit.calls import ToolStep
from agentracer.adapters.kit.text import PromptCache
from agentracer.adapters.kit.threads import enclosing_run
from agentracer.recorder import ending_of
from agentracer.recording import Run, current_run, open_run

__all__ = ["ClientRun", "enclosing_call", "run_of_caller"]

enclosing_call: contextvars.ContextVar[ToolStep | None] = contextvars.ContextVar(
    "agentracer_enclosing_call", default=None
)
"""The tool call that the calling code runs in."""


_IDLE_SECONDS: Final = 60.0
_MOST_CONVERSATIONS: Final = 100  # of one run whose messages are kept


class ClientRun:
    """What the calls of one run have in common.

    Attributes:
        run: the run.
        last_active: when a call began or ended last, on the monotonic clock.
    """

    _of: ClassVar[weakref.WeakKeyDictionary[Run, ClientRun]] = weakref.WeakKeyDictionary()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, run: Run) -> None:
        self._run = weakref.ref(run)
        self.last_active = time.monotonic()
        self._prompts: dict[str, PromptCache] = {}
        self._task_is_known = False
        self._requested: list[tuple[int, str, str, Any]] = []  # step, call id, tool, arguments
        self._answered: set[str] = set()
        self._conversations: dict[str, list[Any]] = {}
        self._mutex = threading.Lock()

    @classmethod
    def of(cls, run: Run) -> ClientRun:
        """The state of a run."""
        with cls._lock:
            state = cls._of.get(run)
            if state is None:
                state = cls._of[run] = cls(run)
            return state

    @property
    def run(self) -> Run:
        """The run, which outlives the state."""
        run = self._run()
        if run is None:
            raise RuntimeError("the run is gone")
        return run

    def note_requests(self, step: int, calls: Sequence[Mapping[str, Any]]) -> None:
        """Remember the tool calls that a step asked for, until they are made."""
        with self._mutex:
            self._requested += [
                (step, call["id"], call["name"], call.get("arguments"))
                for call in calls
                if "result" not in call
            ]

    def take_request(self, name: str, arguments: Any) -> tuple[int, str] | None:
        """The oldest call of a tool that a model asked for and that was not made yet.

        Returns:
            The step and the id of the call; None if no model asked.
        """
        with self._mutex:
            requests = [request for request in self._requested if request[2] == name]
            if not requests:
                return None
            same = (request for request in requests if request[3] == arguments)
            chosen = next(same, requests[0])
            self._requested.remove(chosen)
            self._answered.add(chosen[1])
            return chosen[0], chosen[1]

    def reads(self, protocol: WireProtocol, agent: str, items: Sequence[Any]) -> list[str]:
        """The ids of a prompt's messages, storing those that are new.

        New results of tools are results of the calls, where no `agentracer.tool` saw them.
        """
        cache = self._prompts.get(protocol.path)
        if cache is None:

            def convert(item: Any) -> list[dict[str, Any]]:
                messages = protocol.fields(item)
                for message in messages:
                    if message["role"] == "tool":
                        self._note_result(message)
                return messages

            cache = self._prompts[protocol.path] = PromptCache(convert, mark)
        return cache.ids(self.run.recorder, agent, items)

    def describe(self, framework: str, protocol: WireProtocol, items: Sequence[Any]) -> None:
        """Say what the run is asked: what the user says in its first prompt."""
        if self._task_is_known:
            return
        self._task_is_known = True
        messages = (message for item in items for message in protocol.fields(item))
        asked = (m["content"] for m in messages if m["role"] == "user" and m.get("content"))
        self.run.describe(task=next(asked, None), framework=framework)

    def _note_result(self, message: Mapping[str, Any]) -> None:
        """Take the result of a tool from the prompt, unless it is recorded already."""
        recorder, call_id = self.run.recorder, message.get("tool_call_id")
        step = None if call_id in self._answered else recorder.caller(call_id)
        if step is not None and call_id is not None:
            self._answered.add(call_id)
            result = message.get("content") or message.get("parts") or []
            recorder.tool_call(step, id=call_id, result=result)
            with self._mutex:
                self._requested = [r for r in self._requested if r[1] != call_id]

    def conversation(self, response_id: str | None) -> list[Any]:
        """The items up to a response that the provider keeps; empty if it is not known."""
        return self._conversations.get(str(response_id), []) if response_id else []

    def keep_conversation(self, response_id: str, items: list[Any]) -> None:
        """Remember the items up to a response, for requests that go on from it."""
        with self._mutex:
            self._conversations[response_id] = items
            while len(self._conversations) > _MOST_CONVERSATIONS:
                del self._conversations[next(iter(self._conversations))]


class _Holder:
    """Holds a run that was opened for a context.

    The run ends with the task of asyncio in which it was opened, else when nothing of the context
    is alive any more: a thread is done, or the process ends.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        task = _current_task()
        if task is not None:
            task.add_done_callback(lambda done: _end(run, _failure(done)))
        weakref.finalize(self, _end_with_process, run)
        self._may_serve = task is None and threading.current_thread() is not threading.main_thread()

    @property
    def is_idle(self) -> bool:
        """Whether what follows is a run of its own: nothing was called for a while."""
        last = ClientRun.of(self.run).last_active
        return self._may_serve and time.monotonic() - last > _IDLE_SECONDS


_opened: contextvars.ContextVar[_Holder | None] = contextvars.ContextVar(
    "agentracer_opened_run", default=None
)


def run_of_caller() -> ClientRun:
    """The run that the calling code belongs to.

    That of the `record()` block or framework around it. Where there is none, a run is opened for
    the context: for a script it ends with the process, for a task of asyncio with the task, and in
    another thread, which may serve one request after another, after a minute without a call.
    """
    run = current_run() or enclosing_run()
    if run is not None:
        return ClientRun.of(run)
    holder = _opened.get()
    if holder is None or holder.run.is_finished or holder.is_idle:
        holder = _Holder(open_run())
        _opened.set(holder)
    return ClientRun.of(holder.run)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop
        return None


def _failure(task: asyncio.Future[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _end_with_process(run: Run) -> None:
    """End a run whose context is gone: with what has ended the program, if anything did."""
    _end(run, getattr(sys, "last_value", None))


def _end(run: Run, error: BaseException | None) -> None:
    with guard("clients.end_run"):
        ending = ending_of(error) if isinstance(error, asyncio.CancelledError) else None
        run.finish(ending, error if isinstance(error, Exception) else None)
