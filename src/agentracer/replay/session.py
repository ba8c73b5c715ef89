"""Decide for each call of a rerun: answer it from the record, override it, or run it live.

This is *forced prefix* replay. The system is run again from its task. Every call of a step that had
finished before the target step began is answered from the record; the target is overridden; what
comes after runs live. Calls are matched by (agent, place, kind) and their turn within it, never by
a global index, and where an agent runs several times at once, by what was read.

It knows traces and no framework: adapters ask it for each call and translate its answers.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentracer.call_nesting import CallNesting
from agentracer.replay.divergence import Divergence, DivergenceKind
from agentracer.replay.exceptions import recorded_error
from agentracer.replay.override import UNSET, Override, never_ran
from agentracer.replay.policy import LIVE, ToolPolicy
from agentracer.replay.prefix import RecordPrefix, expected_steps
from agentracer.replay.sampling import OWN_SAMPLING, SamplingParameters
from agentracer.trace import ErrorInfo, Message, Step, ToolCall, ToolRequest, Trace, message_shape

__all__ = [
    "HANDOFF",
    "UNSET",
    "ModelAnswer",
    "Override",
    "ReplaySession",
    "ToolAnswer",
    "recorded_error",
]

HANDOFF: Final = "$goto"
"""Key of a tool result that hands over to another agent. Such a tool is part of how the system is
wired, so it runs again in a replay rather than being answered."""

Mode = Literal["recorded", "override", "refused"]


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model call is answered with instead of calling the model."""

    step: int
    mode: Mode
    content: str
    tool_calls: tuple[ToolRequest, ...]
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool call is answered with instead of running the tool.

    Attributes:
        arguments: set where the tool does run, but with these arguments. Only adapters that pass
            `rewrites=True` to `ReplaySession.tool_call` are ever given such an answer.
    """

    step: int
    mode: Mode
    result: Any = None
    error: ErrorInfo | None = None
    arguments: Any = UNSET


class _RecordedCall:
    """One recorded tool call, and whether the rerun has come to it."""

    __slots__ = ("position", "step", "used")

    def __init__(self, step: Step, position: int) -> None:
        self.step, self.position, self.used = step, position, False

    @property
    def call(self) -> ToolCall:
        return self.step.tool_calls[self.position]


class ReplaySession:
    """One rerun of one trace. Safe for threads.

    Args:
        trace: the record.
        override: what to change; None replays the whole record. Of several overrides, the first
            one's step is the target; the later ones are applied when the rerun, which is live by
            then, comes to the same turn of the same agent.
        keep: answer only these steps from the record, unchanged; all others run live. Not together
            with an override.
        policy: which tools may really run.
        sampling: parameters of live model calls.

    Attributes:
        trace: the record.
        divergences: where the rerun asked for something that the record does not have, or read
            another prompt than the recorded one.
        refused: names of the tools that the policy did not let run.
        answered: how many calls were answered without running anything.
        live: how many calls ran.
    """

    def __init__(
        self,
        trace: Trace,
        override: Override | Sequence[Override] | None = None,
        *,
        keep: RecordPrefix | None = None,
        policy: ToolPolicy = LIVE,
        sampling: SamplingParameters = OWN_SAMPLING,
    ) -> None:
        changes = () if override is None else override
        changes = (changes,) if isinstance(changes, Override) else changes
        self.trace, self._policy = trace, policy
        self._overrides = {change.step: change for change in changes}
        self._target = min(self._overrides, default=len(trace.steps))
        self._target_reached = not self._overrides
        self._keep = keep
        self._sampling = sampling.values()
        self._nesting = CallNesting(trace.observed)
        self._unanswered = set() if keep is None else expected_steps(self._nesting, keep)
        self._lock = threading.Lock()
        self._models: dict[tuple[str, str], list[Step]] = defaultdict(list)
        self._tools: dict[tuple[str, str], list[_RecordedCall]] = defaultdict(list)
        self._calls: dict[str, list[_RecordedCall]] = defaultdict(list)
        self._handoffs: set[str] = set()
        self._shapes = {name: _shape(name, m) for name, m in trace.observed.messages.items()}
        self._read: dict[int, list[str]] = {}
        self.divergences: list[Divergence] = []
        self.refused: list[str] = []
        self.answered = self.live = 0
        self._receipt_calls = 0
        self._different: list[dict[str, Any]] = []
        for step in trace.steps:
            self._index(step)

    @property
    def kept(self) -> int | None:
        """How many answers of the record are kept; None for a replay with or without overrides."""
        return None if self._keep is None else self._keep.length

    @property
    def in_prefix(self) -> bool:
        """Whether answers that are to be given from the record are still outstanding."""
        if self._keep is not None:
            return bool(self._unanswered)
        return not self._target_reached

    @property
    def receipt(self) -> dict[str, Any]:
        """How many calls of the prefix were answered, and which of them asked for something else.

        Returns:
            `calls`, `identical`, and `different`: the step of each call whose prompt or arguments
            are not the recorded ones, and for a tool its name.
        """
        return {
            "calls": self._receipt_calls,
            "identical": self._receipt_calls - len(self._different),
            "different": list(self._different),
        }

    def _note_receipt(self, step: int, tool: str | None, identical: bool) -> None:
        self._receipt_calls += 1
        if not identical:
            self._different.append({"step": step} if tool is None else {"step": step, "tool": tool})

    def model_call(self, agent: str, reads: Sequence[str], *, path: str = "") -> ModelAnswer | None:
        """Answer a model call, or None to let it run.

        Args:
            agent: who calls.
            reads: the messages of the prompt, as `RunRecorder.shapes` gives them.
            path: the place in the system, as in `Step.attributes["path"]`.
        """
        with self._lock:
            step = self._take(self._models.get((agent, path), []), list(reads))
            if step is None:
                self._count_live(
                    Divergence(
                        DivergenceKind.EXTRA_MODEL_CALL,
                        f"{agent} makes a model call more than was recorded",
                        agent=agent,
                    )
                )
                return None
            override = self._overrides.get(step.index)
            if override is None and not self._answerable(step):
                self._count_live(None)
                return None
            # Behind the target the run is another one, so what is read there differs rightly.
            if list(reads) != self.reads(step) and step.index <= self._target:
                self._note(
                    Divergence(
                        DivergenceKind.OTHER_PROMPT,
                        f"{agent} reads another prompt than at step {step.index} of the record",
                        agent=agent,
                        step=step.index,
                    )
                )
            self.answered += 1
            self._unanswered.discard(step.index)
            if step.index < self._target:
                self._note_receipt(step.index, None, list(reads) == self.reads(step))
            if override is None:
                calls = tuple(_request(call) for call in step.tool_calls)
                return ModelAnswer(step.index, "recorded", step.content, calls, step.error)
            if step.index == self._target:
                self._target_reached = True
            content, calls = override.answer(step)
            error = override.error if not step.tool_calls else None
            return ModelAnswer(step.index, "override", content, calls, error)

    def live_parameters(self, model: str, accepts: Callable[[str], bool]) -> dict[str, Any]:
        """Return the sampling parameters of a model call that runs.

        Args:
            model: its name, for people.
            accepts: whether the model takes the parameter of this name for one call.

        Returns:
            Parameters by name, only such as the model takes. Those that it does not are noted as a
            divergence, for the replay does not measure what was asked.
        """
        missing = [name for name in self._sampling if not accepts(name)]
        if missing:
            with self._lock:
                self._note(
                    Divergence(
                        DivergenceKind.UNSUPPORTED_SAMPLING,
                        f"{model} takes no {' and no '.join(missing)} for a single call",
                    )
                )
        return {k: value for k, value in self._sampling.items() if k not in missing}

    def tool_call(
        self,
        agent: str,
        name: str,
        arguments: Any,
        *,
        call_id: str | None = None,
        path: str = "",
        rewrites: bool = False,
    ) -> ToolAnswer | None:
        """Answer a tool call, or None to let the tool run.

        Args:
            agent: on whose behalf it runs.
            name: the tool.
            arguments: as JSON data.
            call_id: the id under which a model asked for it, if one did.
            path: the place in the system.
            rewrites: whether the adapter can run the tool with other arguments when told to (see
                `ToolAnswer.arguments`).
        """
        with self._lock:
            turn = self._find_call(agent, name, arguments, call_id, path)
            if turn is None:
                extra = Divergence(
                    DivergenceKind.EXTRA_TOOL_CALL,
                    f"{agent} runs {name} more often than was recorded",
                    agent=agent,
                    tool=name,
                )
                return self._live_tool(extra, name, arguments)
            override = self._overrides.get(turn.step.index)
            if override is not None:
                return self._overridden_tool(turn, override, name, arguments, rewrites)
            if not self._answerable(turn.step):
                return self._live_tool(None, name, arguments)
            return self._recorded_tool(turn, agent, name, arguments)

    def finish(self) -> list[Divergence]:
        """Return all divergences; to be called when the rerun has ended."""
        for step in sorted(self._unanswered):
            self._note(
                Divergence(
                    DivergenceKind.TARGET_NOT_REACHED,
                    f"the rerun ended without coming to step {step}, which was to be kept",
                    agent=self.trace.steps[step].agent,
                    step=step,
                )
            )
        if not self._target_reached:
            self._note(
                Divergence(
                    DivergenceKind.TARGET_NOT_REACHED,
                    f"the rerun ended before it came to step {self._target}",
                    step=self._target,
                )
            )
        return self.divergences

    # -- tools

    def _overridden_tool(
        self, turn: _RecordedCall, override: Override, name: str, arguments: Any, rewrites: bool
    ) -> ToolAnswer | None:
        if turn.step.index == self._target:
            self._target_reached = True
        if override.changes_message:
            return self._live_tool(None, name, arguments)
        step, concerned = turn.step, turn.position == override.call
        if concerned and override.error is not None:
            self.answered += 1
            return ToolAnswer(step.index, "override", error=override.error)
        if concerned and override.result is not UNSET:
            self.answered += 1
            return ToolAnswer(step.index, "override", override.result)
        if concerned and override.arguments is not UNSET:
            answer = self._live_tool(None, name, override.arguments)
            if answer is not None or step.kind == "llm":
                return answer
            if not rewrites:
                self._note(
                    Divergence(
                        DivergenceKind.UNSUPPORTED_OVERRIDE,
                        f"this adapter cannot run {name} with other arguments at step "
                        f"{step.index}: override its result instead",
                        agent=step.agent,
                        tool=name,
                        step=step.index,
                    )
                )
                return None
            return ToolAnswer(step.index, "override", arguments=override.arguments)
        if step.index > self._target:
            return self._live_tool(None, name, arguments)
        return self._recorded_tool(turn, step.agent, name, arguments)

    def _recorded_tool(
        self, turn: _RecordedCall, agent: str, name: str, arguments: Any
    ) -> ToolAnswer | None:
        call = turn.call
        self._unanswered.discard(turn.step.index)
        if self._keep is None and self._nesting.has_inner_steps(turn.step.index, turn.position):
            # How the system is wired: it runs again, and what runs inside is answered, for the
            # step that is overridden may lie inside.
            self._count_live(None)
            return None
        if never_ran(call) or _is_handoff(call.result):
            return self._live_tool(None, name, arguments)
        if self._keep is not None and not self._keep.keeps(call):
            return self._live_tool(None, name, arguments)
        if not _restorable(call.result):
            unrestorable = Divergence(
                DivergenceKind.UNRESTORABLE_RESULT,
                f"{agent} runs {name}, whose result cannot be restored from JSON",
                agent=agent,
                tool=name,
                step=turn.step.index,
            )
            return self._live_tool(unrestorable, name, arguments)
        self.answered += 1
        self._note_receipt(turn.step.index, name, call.arguments == arguments)
        return ToolAnswer(turn.step.index, "recorded", call.result, call.error)

    def _live_tool(
        self, divergence: Divergence | None, name: str, arguments: Any
    ) -> ToolAnswer | None:
        """Let a tool run, if the policy does."""
        if not self._policy.runs(name) and name not in self._handoffs:
            recorded = self._known_result(name, arguments)
            if self._policy.others == "recorded" and recorded is not None:
                self.answered += 1
                call = recorded.call
                return ToolAnswer(recorded.step.index, "recorded", call.result, call.error)
            self.refused.append(name)
            refusal = f"the replay's policy does not let {name} run"
            return ToolAnswer(-1, "refused", error=ErrorInfo(type="ToolRefused", message=refusal))
        self._count_live(divergence)
        return None

    def _known_result(self, name: str, arguments: Any) -> _RecordedCall | None:
        turns = (
            _RecordedCall(step, k) for step in self.trace.steps for k in range(len(step.tool_calls))
        )
        return next(
            (
                turn
                for turn in turns
                if turn.call.name == name
                and turn.call.arguments == arguments
                and not never_ran(turn.call)
                and _restorable(turn.call.result)
            ),
            None,
        )

    # -- matching

    def _index(self, step: Step) -> None:
        path = str(step.attributes.get("path", ""))
        if step.kind == "llm":
            self._models[step.agent, path].append(step)
        for position, call in enumerate(step.tool_calls):
            turn = _RecordedCall(step, position)
            if _is_handoff(call.result):
                self._handoffs.add(call.name)
            if step.kind == "llm":
                self._calls[call.id].append(turn)
            else:
                self._tools[path or step.agent, call.name].append(turn)

    def _take(self, lane: list[Step], reads: list[str]) -> Step | None:
        """The recorded turn that this call repeats: the one that read most nearly the same.

        Turns that run at once come in any order, so the next one may be another's: an agent whose
        own turn read something new must not be given what its sibling said.
        """
        if not lane:
            return None
        closest = max(range(len(lane)), key=lambda i: (_similarity(self.reads(lane[i]), reads), -i))
        return lane.pop(closest)

    def _find_call(
        self, agent: str, name: str, arguments: Any, call_id: str | None, path: str
    ) -> _RecordedCall | None:
        calls = self._calls.get(call_id, []) if call_id else []
        turn = _best(calls, agent, name, arguments)
        if turn is None and calls and not self._target_reached:
            # A node that runs once more (a retry, a resumed interrupt) repeats its calls.
            turn = _best(calls, agent, name, arguments, used=True)
        if turn is None and not calls:
            turn = _best(self._tools.get((path or agent, name), []), agent, name, arguments)
        if turn is not None:
            turn.used = True
        return turn

    def _answerable(self, step: Step) -> bool:
        """Whether a step is kept, or had finished before the target began."""
        if self._keep is not None:
            return step.index in self._keep.steps
        if step.index >= self._target:
            return False
        if self._target >= len(self.trace.steps):
            return True
        began = self.trace.steps[self._target].started_at
        return began is None or step.ended_at is None or step.ended_at <= began

    def reads(self, step: Step) -> list[str]:
        """What a recorded step read, as `RunRecorder.shapes` gives it."""
        message_shapes = self._read.get(step.index)
        if message_shapes is None:
            observed, position, ids = self.trace.observed, step.reads, []
            while position is not None:
                link = observed.contexts[position]
                ids.append(self._shapes[link.message])
                position = link.parent
            message_shapes = self._read[step.index] = ids[::-1]
        return message_shapes

    # -- bookkeeping

    def _count_live(self, divergence: Divergence | None) -> None:
        """Count a live call; before the target, one that is not in the record is a divergence.

        Beside a kept prefix other branches are live from the start, so there it is none.
        """
        self.live += 1
        if divergence is not None and not self._target_reached and self._keep is None:
            self._note(divergence)

    def _note(self, divergence: Divergence) -> None:
        if divergence not in self.divergences:
            self.divergences.append(divergence)


def _best(
    turns: Sequence[_RecordedCall], agent: str, name: str, arguments: Any, *, used: bool = False
) -> _RecordedCall | None:
    """The recorded call that this one repeats. Ids may repeat, so they are not enough."""

    def fit(turn: _RecordedCall) -> tuple[bool, bool, bool]:
        call = turn.call
        return call.name == name, call.arguments == arguments, turn.step.agent == agent

    free = [turn for turn in turns if turn.used == used and turn.call.name == name]
    return max(free, key=fit, default=None)  # of equals, max gives the first


def _similarity(recorded: list[str], reads: list[str]) -> float:
    """1 for the same prompt, else the share of messages that both have (always less than 1)."""
    if recorded == reads:
        return 1.0
    ours, theirs = Counter(recorded), Counter(reads)
    union = sum((ours | theirs).values())
    return 0.99 * sum((ours & theirs).values()) / union if union else 0.0


def _shape(identity: str, message: Message) -> str:
    if not message.tool_calls and message.tool_call_id is None:
        return identity
    return message_shape(message.model_dump(mode="json", exclude_defaults=True))


def _is_handoff(result: Any) -> bool:
    return isinstance(result, dict) and HANDOFF in result


def _restorable(result: Any) -> bool:
    """Whether a recorded result is what the tool returned, not a description of it."""
    if isinstance(result, dict):
        return not any(key.startswith("$") for key in result) and all(
            _restorable(item) for item in result.values()
        )
    return all(_restorable(item) for item in result) if isinstance(result, list) else True


def _request(call: ToolCall) -> ToolRequest:
    return ToolRequest(id=call.id, name=call.name, arguments=call.arguments)
