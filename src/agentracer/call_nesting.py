"""Which steps ran inside a tool call, and when the result of such a call became known.

An agent that is used as a tool acts inside a call of another agent. The call belongs to the caller,
the steps inside belong to the inner agent, and the result follows the last of them: it is what they
made, and nobody could read it earlier, though it is stored with the caller's step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from agentracer.trace import Observed, Step, ToolCall

__all__ = ["CallNesting", "CallRef"]

_SHORTEST_ANSWER = 20  # characters; equal texts that are shorter may be equal by chance


class CallRef(NamedTuple):
    """A tool call: the step that asked for it, and its position among that step's calls."""

    step: int
    position: int


class CallNesting:
    """The tool calls of a run in which recorded steps ran.

    A step names the call by its `parent` and the attribute `inside_call`. Without that attribute
    the times of the parent's calls tell, or what they returned. In a run that records no parents,
    such as an imported log, a step ran inside an earlier call of another agent if the call returned
    the very text that the step's agent wrote before the caller's next turn. Linear in the text.

    Attributes:
        run: the run.
        enclosing: step -> the innermost call in which it ran; only steps inside a call.
    """

    def __init__(self, run: Observed) -> None:
        self.run = run
        self.enclosing: dict[int, CallRef] = {}
        if any(step.parent is not None for step in run.steps):
            for step in run.steps:
                if step.parent is not None:
                    self._place(step, run.steps[step.parent])
        else:
            self._infer()
        self._last: dict[CallRef, int] = {}
        for step in run.steps if self.enclosing else ():
            for ref in self.calls_around(step.index):
                self._last[ref] = step.index
        self._follow: dict[int, list[CallRef]] = defaultdict(list)
        # The inner call ends first, so it comes first where both follow the same step.
        for ref in sorted(self._last, reverse=True):
            self._follow[self._last[ref]].append(ref)

    def has_inner_steps(self, step: int, position: int) -> bool:
        """Whether recorded steps ran inside a call, so that its result is not the caller's act."""
        return (step, position) in self._last

    @property
    def calls_with_inner_steps(self) -> frozenset[CallRef]:
        """The calls in which recorded steps ran."""
        return frozenset(self._last)

    def call(self, ref: CallRef) -> ToolCall:
        """The call itself."""
        return self.run.steps[ref.step].tool_calls[ref.position]

    def calls_around(self, step: int) -> Iterator[CallRef]:
        """The calls in which a step ran, innermost first."""
        above: int | None = step
        seen: set[int] = set()
        while above is not None and above not in seen:
            seen.add(above)
            ref = self.enclosing.get(above)
            if ref is not None:
                yield ref
            above = ref.step if ref is not None else self.run.steps[above].parent

    def result_follows(self, step: int, position: int) -> int:
        """The step after which the result of a call was known: the last one inside it."""
        return self._last.get(CallRef(step, position), step)

    def results_after(self, step: int) -> Iterator[tuple[CallRef, ToolCall]]:
        """The calls whose results became known after a step and before the next one.

        These are the step's own calls but for those with steps inside, and the calls of earlier
        steps that end with this one. Over all steps, every call is given once.
        """
        for position, call in enumerate(self.run.steps[step].tool_calls):
            if not self.has_inner_steps(step, position):
                yield CallRef(step, position), call
        for ref in self._follow.get(step, ()):
            yield ref, self.call(ref)

    def as_it_ended(self, step: Step, *, before: int | None = None) -> Step:
        """A step without the results of its calls that were not known yet.

        Args:
            step: the step.
            before: known is what was known when that step began; by default, when the step itself
                had ended.
        """
        calls = tuple(
            call.model_copy(update={"result": None, "error": None})
            if self._is_later(step.index, position, before)
            else call
            for position, call in enumerate(step.tool_calls)
        )
        return step if calls == step.tool_calls else step.model_copy(update={"tool_calls": calls})

    def _is_later(self, step: int, position: int, before: int | None) -> bool:
        last = self.result_follows(step, position)
        return last != step and (before is None or last >= before)

    def _place(self, step: Step, parent: Step) -> None:
        position = _call_around(parent, step)
        if position is not None:
            self.enclosing[step.index] = CallRef(parent.index, position)

    def _infer(self) -> None:
        """Find agents used as tools by what their calls returned."""
        steps = self.run.steps
        callers = [step for step in steps if any(_text(call) for call in step.tool_calls)]
        if not callers or len(self.run.agent_names) < 2:
            return
        next_turn: dict[int, int] = {}
        coming: dict[str, int] = {}
        for step in reversed(steps):
            next_turn[step.index] = coming.get(step.agent, len(steps))
            coming[step.agent] = step.index
        for caller in callers:
            between = steps[caller.index + 1 : next_turn[caller.index]]
            for position, call in enumerate(caller.tool_calls):
                answer = next((step for step in between if self._answers(call, step)), None)
                if answer is None:
                    continue
                for step in between:
                    if step.agent == answer.agent and step.index <= answer.index:
                        self.enclosing[step.index] = CallRef(caller.index, position)

    def _answers(self, call: ToolCall, step: Step) -> bool:
        """Whether a call returned what a step wrote, and the step had not read it."""
        text = _text(call)
        if not text or step.kind not in ("llm", "message") or step.content.strip() != text:
            return False
        if len(text) < _SHORTEST_ANSWER and step.agent.casefold() not in call.name.casefold():
            return False
        ended, started = call.ended_at, step.started_at
        if ended is not None and started is not None and started > ended:
            return False
        return all(message.content.strip() != text for message in self.run.reads(step))


def _text(call: ToolCall) -> str:
    return call.result.strip() if isinstance(call.result, str) and call.error is None else ""


def _call_around(parent: Step, step: Step) -> int | None:
    """The call of a step's parent in which it ran: by its id, else by the times."""
    named = step.attributes.get("inside_call")
    if named is not None:
        ids = [call.id for call in parent.tool_calls]
        return ids.index(named) if named in ids else None
    fits = [k for k, call in enumerate(parent.tool_calls) if _ran_during(call, step)]
    if len(fits) > 1:
        text = step.content.strip()
        exact = [k for k in fits if text and text in _text(parent.tool_calls[k])]
        timed = [k for k in fits if parent.tool_calls[k].started_at is not None]
        # Of several at once the latest is the likeliest; without times, none is.
        return exact[-1] if exact else timed[-1] if timed else None
    return fits[0] if fits else None


def _ran_during(call: ToolCall, step: Step) -> bool:
    """Whether a step can have run during a call of its parent, as far as the times are known."""
    if call.started_at is None and call.ended_at is None:
        return call.result is not None or call.error is not None
    started = step.started_at
    if started is None:
        return True
    return (call.started_at is None or call.started_at <= started) and (
        call.ended_at is None or started <= call.ended_at
    )
