"""The common schema: what every adapter and format makes, and everything else reads.

A `Trace` is one run of a multi-agent system. What was *observed* (task, steps, messages, agents,
outcome) lives in `Trace.observed`; what is *known about* the run (ground truth, labels) lives
beside it. Attribution is handed an `Observed`, so it cannot see a label even by mistake, and the
ground truth only where the caller passes it on (settings w/ G and w/o G of arXiv 2509.03312).

Every message is stored once, under the hash of its content. What a step read is one index into
`Observed.contexts`, a tree of prompt prefixes: a link is a message and the link before it. A
conversation of n steps in which each re-reads the whole history costs O(n) links, not O(n²).

Steps are 0-based. Times are seconds since the epoch (UTC).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from agentracer.encoding import clean_text, to_json
from agentracer.notebook_display import render_html

__all__ = [
    "SCHEMA_VERSION",
    "AgentInfo",
    "ContextLink",
    "Ending",
    "ErrorInfo",
    "FrozenRecord",
    "GroundTruth",
    "Label",
    "Message",
    "ModelCall",
    "Observed",
    "Outcome",
    "Step",
    "StepKind",
    "Text",
    "TokenUsage",
    "ToolCall",
    "ToolInfo",
    "ToolRequest",
    "Trace",
    "message_id",
    "message_shape",
]

SCHEMA_VERSION = "1.0"
"""Major.minor. Readers refuse another major version and accept older minor ones."""

Seconds = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, BeforeValidator(lambda v: clean_text(v) if isinstance(v, str) else v)]
Json = Annotated[JsonValue, BeforeValidator(to_json)]

StepKind = Literal["llm", "message", "tool", "node"]
"""`llm`: a model call and the tool calls it asked for. `message`: an utterance of an imported log.
`tool`: a tool run that no recorded model call asked for. `node`: a piece of plain code of the
system, such as a graph node that calls no model."""

Ending = Literal["finished", "raised", "interrupted", "cancelled", "abandoned", "unfinished"]
"""How a run ended: `interrupted` waits for a human, `abandoned` means that the caller stopped
reading (an early `break` from a stream), `unfinished` that the process died or still runs."""


class FrozenRecord(BaseModel):
    """A part of a trace or verdict: immutable, and without fields that are not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolRequest(FrozenRecord):
    """A tool call as a model wrote it."""

    id: Text = ""
    name: Text
    arguments: Json = None


class ToolCall(ToolRequest):
    """A tool call and its result. `result` and `error` stay None where it never ran."""

    result: Json = None
    error: ErrorInfo | None = None
    started_at: Seconds | None = None
    ended_at: Seconds | None = None


class Message(FrozenRecord):
    """One message of a prompt. Non-text parts (images and such) are in `parts`."""

    role: Text
    content: Text = ""
    name: Text | None = None
    tool_calls: tuple[ToolRequest, ...] = ()
    tool_call_id: Text | None = None
    parts: Json = None


class ContextLink(FrozenRecord):
    """A prompt prefix: the message `message` after the prefix `parent` (None: at the start)."""

    parent: int | None
    message: str


class ErrorInfo(FrozenRecord):
    """An exception, or a failure that a tool or a server reported."""

    type: Text
    message: Text = ""
    traceback: Text | None = None


class TokenUsage(FrozenRecord):
    """Tokens of one model call."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class ModelCall(FrozenRecord):
    """Which model was called, and how. `tools` are the names offered; see `AgentInfo.tools`."""

    name: Text | None = None
    parameters: Json = None
    tools: tuple[Text, ...] = ()


class ToolInfo(FrozenRecord):
    """A tool as it was described to a model."""

    name: Text
    description: Text | None = None
    parameters: Json = None


class AgentInfo(FrozenRecord):
    """One agent of the system."""

    name: Text = Field(min_length=1)
    role: Text | None = None
    system_prompt: Text | None = None
    tools: tuple[ToolInfo, ...] = ()


class Step(FrozenRecord):
    """One action of one agent.

    Attributes:
        index: 0-based position in the trace, in order of start.
        agent: who acted.
        kind: see `StepKind`.
        content: what it wrote.
        to: whom it addressed, where that is known.
        reads: what it read, as an index into `Observed.contexts`; None if that was not recorded.
        tool_calls: the calls that it asked for, with what came of them.
        parent: the step inside which this one ran (an agent called as a tool), if any.
        attributes: what only one framework knows; see that framework's adapter.
    """

    index: int = Field(ge=0)
    agent: Text = Field(min_length=1)
    kind: StepKind = "message"
    content: Text = ""
    to: Text | None = None
    reads: int | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    error: ErrorInfo | None = None
    model: ModelCall | None = None
    usage: TokenUsage | None = None
    started_at: Seconds | None = None
    ended_at: Seconds | None = None
    parent: int | None = None
    attributes: dict[Text, Json] = Field(default_factory=dict)


class Outcome(FrozenRecord):
    """How the run ended. `success` is None where it is unknown."""

    success: bool | None = None
    ending: Ending = "finished"
    answer: Text | None = None
    error: ErrorInfo | None = None


class GroundTruth(FrozenRecord):
    """The right answer, and what a checker that knows it said of this run."""

    answer: Json = None
    feedback: Text | None = None


class Label(FrozenRecord):
    """Who and what made the run fail, according to `source` (never an input of attribution)."""

    agent: Text
    step: int = Field(ge=0)
    reason: Text | None = None
    source: Literal["human", "replay", "injection"] = "human"
    attributes: dict[Text, Json] = Field(default_factory=dict)


class Observed(FrozenRecord):
    """What could be seen of a run from outside: all that attribution may look at."""

    task: Text = ""
    framework: Text | None = None
    agents: tuple[AgentInfo, ...] = ()
    messages: dict[str, Message] = Field(default_factory=dict)
    contexts: tuple[ContextLink, ...] = ()
    steps: tuple[Step, ...] = ()
    outcome: Outcome = Field(default_factory=Outcome)

    @model_validator(mode="after")
    def _references_resolve(self) -> Self:
        for position, link in enumerate(self.contexts):
            if link.message not in self.messages:
                raise ValueError(f"contexts[{position}] names the unknown message {link.message}")
            if link.parent is not None and not 0 <= link.parent < position:
                raise ValueError(f"contexts[{position}].parent must be an earlier link")
        for position, step in enumerate(self.steps):
            if step.index != position:
                raise ValueError(f"steps[{position}].index is {step.index}, not {position}")
            if step.reads is not None and not 0 <= step.reads < len(self.contexts):
                raise ValueError(f"steps[{position}].reads is not an index into contexts")
            if step.parent is not None and not 0 <= step.parent < len(self.steps):
                raise ValueError(f"steps[{position}].parent is not a step of this trace")
        return self

    @property
    def agent_names(self) -> tuple[str, ...]:
        """Agents that acted, in order of their first step: the only ones that can be blamed."""
        return tuple(dict.fromkeys(step.agent for step in self.steps))

    def reads(self, step: Step | int) -> list[Message]:
        """The messages that a step read, oldest first. O(length of that prompt)."""
        position = (self.steps[step] if isinstance(step, int) else step).reads
        messages = []
        while position is not None:
            link = self.contexts[position]
            messages.append(self.messages[link.message])
            position = link.parent
        return messages[::-1]

    def text(self, step: Step | int) -> str:
        """What a step wrote, with the tool calls it asked for and their results, as plain text."""
        step = self.steps[step] if isinstance(step, int) else step
        return "\n".join([step.content, *_tool_lines(step.tool_calls)]).strip()


def _tool_lines(calls: Sequence[ToolCall]) -> Iterator[str]:
    for call in calls:
        yield f"{call.name}({_compact(call.arguments)})"
        if call.error is not None:
            yield f"-> {call.error.type}: {call.error.message}"
        elif call.result is not None:
            yield f"-> {_compact(call.result)}"


def _compact(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Trace(FrozenRecord):
    """One run, and what is known about it.

    Attributes:
        id: unique; sorts by time for recorded runs.
        observed: the run itself.
        ground_truth: the right answer, if known. Not seen by attribution w/o G.
        labels: who really was to blame, if known. Never seen by attribution.
        parent: the trace that this one replays, continues or was forked from.
        replayable: False for imported traces, which can be attributed but not replayed.
        dropped: recorded events that were lost (a full queue, a torn line), by reason.
        metadata: where the trace came from.
    """

    schema_version: str = SCHEMA_VERSION
    id: Text
    observed: Observed
    ground_truth: GroundTruth | None = None
    labels: tuple[Label, ...] = ()
    parent: Text | None = None
    replayable: bool = False
    started_at: Seconds | None = None
    ended_at: Seconds | None = None
    dropped: dict[Text, int] = Field(default_factory=dict)
    metadata: dict[Text, Json] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _known_version(cls, data: Any) -> Any:
        if isinstance(data, dict):
            version = str(data.get("schema_version", SCHEMA_VERSION))
            if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
                raise ValueError(f"schema_version {version} is not readable by {SCHEMA_VERSION}")
        return data

    @property
    def task(self) -> str:
        """What the system was asked to do."""
        return self.observed.task

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, in order of start."""
        return self.observed.steps

    @property
    def agents(self) -> tuple[AgentInfo, ...]:
        """The agents, in order of appearance."""
        return self.observed.agents

    @property
    def outcome(self) -> Outcome:
        """How the run ended."""
        return self.observed.outcome

    def to_data(self) -> dict[str, Any]:
        """The trace as JSON data in the schema of this version; defaults are left out."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        return {"schema_version": self.schema_version, **data}

    def to_json(self, *, indent: int | None = None) -> str:
        """The trace as JSON text in the schema of this version; defaults are left out."""
        return json.dumps(self.to_data(), ensure_ascii=False, indent=indent, allow_nan=False)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of `to_json`."""
        return cls.model_json_schema()

    def _repr_html_(self) -> str:
        """The run in a notebook."""
        return render_html(self)


ToolCall.model_rebuild()


def message_id(message: dict[str, Any]) -> str:
    """The content address of a message given as JSON data: 24 hex digits (BLAKE2b-96)."""
    canonical = json.dumps(message, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=12).hexdigest()


def message_shape(message: dict[str, Any]) -> str:
    """As `message_id`, but without the ids of tool calls, which differ from run to run.

    Two messages of one shape say the same; frameworks may give the calls in them random ids.
    """
    bare = {key: value for key, value in message.items() if key != "tool_call_id" and value}
    if "tool_calls" in bare:
        calls = bare["tool_calls"]
        bare["tool_calls"] = [[call["name"], call.get("arguments")] for call in calls]
    return message_id(bare)
