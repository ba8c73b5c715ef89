"""Model and tool calls as steps of a run: begin, ask the replay, end.

Each is asked of the replay first, if there is one, and captured in the same way whether it was
answered or ran, so that the trace of a replay is a trace like any other.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentracer.encoding import to_json
from agentracer.recorder import describe_error
from agentracer.recording import Run
from agentracer.replay.session import ModelAnswer, ToolAnswer
from agentracer.trace import StepKind

__all__ = ["ModelStep", "ToolStep", "replay_mode"]


def replay_mode(
    run: Run,
    answer: ModelAnswer | ToolAnswer | None,
    sampling: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Attributes that say how a replay answered a step; nothing outside of replays.

    Args:
        run: the replay, or any other run.
        answer: what the replay gives; None if the call runs.
        sampling: parameters with which the replay lets a model call run.
    """
    if run.replay is None:
        return {}
    mode = {"replay": answer.mode if answer is not None else "live"}
    return {**mode, "sampling": dict(sampling)} if sampling else mode


class ModelStep:
    """One model call, which is one step.

    Attributes:
        index: of the step.
        answer: what the replay gives instead; None to call the model.
        sampling: parameters that the replay sets where the model is called.
    """

    def __init__(
        self,
        run: Run,
        agent: str,
        reads: Sequence[str],
        *,
        path: str = "",
        shapes: Sequence[str] | None = None,
        attributes: Mapping[str, Any] | None = None,
        accepts: Callable[[str], bool] = frozenset[str]().__contains__,
        **fields: Any,
    ) -> None:
        """Ask the replay, and begin the step.

        Args:
            run: which it belongs to.
            agent: who calls.
            reads: ids of the prompt's messages.
            path: the place in the system.
            shapes: what the replay compares; `RunRecorder.shapes` of the reads if None.
            attributes: of the step, besides the path and the replay's mode.
            accepts: whether the model takes the sampling parameter of this name for one call.
            **fields: other arguments of `RunRecorder.begin_step`.
        """
        self._recorder, self.answer = run.recorder, None
        self.sampling: dict[str, Any] = {}
        if run.replay is not None:
            compared = shapes if shapes is not None else run.recorder.shapes(reads)
            self.answer = run.replay.model_call(agent, compared, path=path)
            if self.answer is None:
                model = str((fields.get("model") or {}).get("name") or "the model")
                self.sampling = run.replay.live_parameters(model, accepts)
        place = {"path": path} if path else {}
        self.index = self._recorder.begin_step(
            agent,
            reads=reads,
            attributes={
                **place,
                **(attributes or {}),
                **replay_mode(run, self.answer, self.sampling),
            },
            **fields,
        )

    def end(self, error: BaseException | None = None, **fields: Any) -> None:
        """The model has answered, or not; `fields` are those of `RunRecorder.end_step`."""
        if isinstance(error, Exception):
            fields["error"] = describe_error(error)
        self._recorder.end_step(self.index, **fields)


class ToolStep:
    """One tool call: part of the step whose model asked for it, or a step of its own.

    Attributes:
        index: of the step.
        call_id: of the call.
        is_own_step: whether no model asked for it.
        answer: what the replay gives instead; None to run the tool.
    """

    def __init__(
        self,
        run: Run,
        agent: str,
        name: str,
        arguments: Any,
        *,
        call_id: str | None = None,
        step: int | None = None,
        path: str = "",
        rewrites: bool = False,
        kind: StepKind = "tool",
        attributes: Mapping[str, Any] | None = None,
        started_at: float | None = None,
        **fields: Any,
    ) -> None:
        """Ask the replay, and begin the call.

        Args:
            run: which it belongs to.
            agent: who acts.
            name: the tool.
            arguments: what it is called with.
            call_id: the id under which a model asked for it, if one did.
            step: the step that asked for it; None for a step of its own.
            path: the place in the system.
            rewrites: whether the tool can be run with other arguments: see `ToolAnswer.arguments`.
            kind: of a step of its own.
            attributes: of a step of its own.
            started_at: seconds since the epoch; now if None.
            **fields: other arguments of `RunRecorder.begin_step`, for a step of its own.
        """
        recorder = self._recorder = run.recorder
        self.is_own_step, self.call_id = step is None, call_id or f"run-{secrets.token_hex(8)}"
        self.answer: ToolAnswer | None = None
        if run.replay is not None:
            self.answer = run.replay.tool_call(
                agent,
                name,
                to_json(arguments),
                call_id=None if step is None else call_id,
                path=path,
                rewrites=rewrites,
            )
        started_at = time.time() if started_at is None else started_at
        if step is None:
            place = {"path": path} if path else {}
            step = recorder.begin_step(
                agent,
                kind=kind,
                started_at=started_at,
                attributes={**place, **(attributes or {}), **replay_mode(run, self.answer)},
                **fields,
            )
            recorder.tool_call(step, id=self.call_id, name=name, arguments=arguments)
        self.index = step
        recorder.tool_call(step, id=self.call_id, started_at=started_at)

    def end(
        self, result: Any = None, error: BaseException | Mapping[str, Any] | None = None
    ) -> None:
        """The tool has returned or raised; one that was cancelled has not ended."""
        failure = error
        if isinstance(error, BaseException):
            if not isinstance(error, Exception):
                return
            failure = describe_error(error)
        ended = time.time()
        self._recorder.tool_call(
            self.index, id=self.call_id, result=result, error=failure, ended_at=ended
        )
        if self.is_own_step:
            self._recorder.end_step(self.index)
