"""The run that a call belongs to, and context variables for the calls that enclose it."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from agentracer.adapters.kit.patching import Patches
from agentracer.recorder import ending_of
from agentracer.recording import Run, current_run, open_run

__all__ = ["RunScope", "hear_inner_steps", "in_model_call", "inner_step_said", "using"]

_T = TypeVar("_T")


@contextlib.contextmanager
def using(variable: contextvars.ContextVar[_T] | None, value: _T) -> Iterator[None]:
    """Set a context variable for a moment.

    A coroutine or generator may be closed in another context than it ran in; then there is nothing
    to put back.
    """
    if variable is None:
        yield
        return
    token = variable.set(value)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            variable.reset(token)


in_model_call: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar(
    "agentracer_in_model_call", default=False
)
"""Whether an adapter records a model call around the calling code: what that code calls is part of
it. For calls that a framework makes in a task of their own, where no frame says who calls."""

_inner_step_listeners: Final[list[Callable[[str], None]]] = []


def hear_inner_steps(listener: Callable[[str], None], patches: Patches) -> None:
    """Have a framework's adapter told of steps that code inside of it takes, by another adapter.

    Args:
        listener: called, in the context of that code, with the text of each such step.
        patches: until they are undone.
    """
    _inner_step_listeners.append(listener)
    patches.undo_with(lambda: _inner_step_listeners.remove(listener))


def inner_step_said(text: str) -> None:
    """Tell the frameworks around the calling code that a step of this text was recorded."""
    for listener in tuple(_inner_step_listeners):
        listener(text)


class RunScope:
    """A top-level run of a framework: the `Run` that it belongs to, and how it ends.

    Attributes:
        run: that of the enclosing `record()` block, else one that is opened for this alone.
        owned: whether it was opened for this alone.
        errors: exceptions that some step accounts for already.
    """

    def __init__(self, framework: str, run: Run | None = None) -> None:
        self.framework = framework
        self.run: Run | None = run if run is not None else current_run()
        self.owned = self.run is None
        self.errors: list[BaseException] = []

    def open(self, task: str | None) -> Run:
        """Open a run, or describe the one there is."""
        if self.run is None:
            self.run = open_run(framework=self.framework, task=task)
        else:
            self.run.describe(task=task, framework=self.framework)
        return self.run

    def is_new(self, error: BaseException) -> bool:
        """Whether an exception is a failure that no step accounts for; from now on one does."""
        if not isinstance(error, Exception):
            return False
        cause: BaseException | None = error
        while cause is not None:
            if any(known is cause for known in self.errors):
                return False
            cause = cause.__cause__
        self.errors.append(error)
        return True

    def end(
        self,
        result: Any = None,
        answer: Any = None,
        error: BaseException | None = None,
        *,
        ending: str | None = None,
    ) -> None:
        """The framework's run has ended; so has the `Run`, if it was opened for it.

        Args:
            result: what it returned.
            answer: its final answer.
            error: what it raised.
            ending: how it ended; after the error, if None.
        """
        if self.run is None:
            return
        ending = ending or ending_of(error)
        if error is None or (ending == "abandoned" and not self.owned):
            self.run.framework_ended(result, answer, ending)
        if self.owned:
            self.run.finish(ending, error if isinstance(error, Exception) else None)
