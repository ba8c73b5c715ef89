"""How a rerun left its record: typed, so that code decides by kind and never by wording."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agentracer.trace import Trace

__all__ = ["Divergence", "DivergenceKind", "recorded_divergences"]


class DivergenceKind(StrEnum):
    """What a rerun did that its record does not have."""

    EXTRA_MODEL_CALL = "extra_model_call"
    """An agent called its model more often than was recorded."""

    EXTRA_TOOL_CALL = "extra_tool_call"
    """A tool ran more often than was recorded."""

    OTHER_PROMPT = "other_prompt"
    """A model call was matched to a recorded step that had read another prompt."""

    UNRESTORABLE_RESULT = "unrestorable_result"
    """The record only describes what a tool returned, so the tool had to run."""

    UNSUPPORTED_OVERRIDE = "unsupported_override"
    """The adapter cannot make the change that the override asks for."""

    UNSUPPORTED_SAMPLING = "unsupported_sampling"
    """A model that was called live cannot take the sampling parameters of the replay."""

    TARGET_NOT_REACHED = "target_not_reached"
    """The rerun ended before the overridden step."""

    UNKNOWN = "unknown"
    """Written by release 0.1.0, which kept the message only."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """One place where a rerun does not follow its record.

    Attributes:
        kind: what happened; the one thing to decide by.
        message: the same as a sentence, for people.
        agent: the agent that made the call; None where no call is concerned.
        tool: the tool that was called; None for a model call.
        step: index of the recorded step; None where no step matches.
    """

    kind: DivergenceKind
    message: str
    agent: str | None = None
    tool: str | None = None
    step: int | None = None

    def __str__(self) -> str:
        return self.message

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data; attributes that are None are left out."""
        fields = {"agent": self.agent, "tool": self.tool, "step": self.step}
        present = {name: value for name, value in fields.items() if value is not None}
        return {"kind": self.kind.value, "message": self.message, **present}

    @classmethod
    def from_json(cls, data: Any) -> Divergence:
        """Read what `to_json` returned, or the plain sentence that release 0.1.0 wrote."""
        if isinstance(data, str):
            return cls(DivergenceKind.UNKNOWN, data)
        kind = data.get("kind")
        is_kind = kind in DivergenceKind.__members__.values()
        return cls(
            kind=DivergenceKind(kind) if is_kind else DivergenceKind.UNKNOWN,
            message=str(data.get("message", kind)),
            agent=data.get("agent"),
            tool=data.get("tool"),
            step=data.get("step"),
        )


def recorded_divergences(trace: Trace) -> list[Divergence]:
    """Return the divergences that `rerun` noted in `trace.metadata["replay"]`; [] without any."""
    facts: Any = trace.metadata.get("replay") or {}
    return [Divergence.from_json(item) for item in facts.get("divergences", ())]
