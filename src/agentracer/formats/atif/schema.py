"""ATIF documents as pydantic models, as lax as a reader should be.

Unknown fields are ignored, and null stands for an empty list or object where writers use it so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "EXTRA_KEY",
    "VERSION",
    "AtifAgent",
    "AtifStep",
    "AtifToolCall",
    "Observation",
    "ObservationResult",
    "StepMetrics",
    "Trajectory",
    "TrajectoryReference",
]

VERSION = "ATIF-v1.7"
EXTRA_KEY = "agentracer"
"""The key of `extra` that holds what ATIF has no field for, in documents that we wrote."""

_MAX_STEPS = 1_000_000


def _object(value: Any) -> Any:
    return {} if value is None else value


def _list(value: Any) -> Any:
    return [] if value is None else value


_Extra = Annotated[dict[str, Any], BeforeValidator(_object)]


class _AtifModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TrajectoryReference(_AtifModel):
    """A trajectory of a sub-agent: embedded by its id, or in another file by its path."""

    trajectory_id: str | None = None
    trajectory_path: str | None = None


class ObservationResult(_AtifModel):
    """The result of one tool call, or of none."""

    source_call_id: str | None = None
    content: str | list[dict[str, Any]] | None = None
    subagent_trajectory_ref: Annotated[list[TrajectoryReference], BeforeValidator(_list)] = []
    extra: _Extra = {}


class Observation(_AtifModel):
    """Everything that the environment returned for one step."""

    results: list[ObservationResult] = []


class AtifToolCall(_AtifModel):
    """A tool call that the agent asked for."""

    tool_call_id: str
    function_name: str
    arguments: Any = None
    extra: _Extra = {}


class StepMetrics(_AtifModel):
    """The tokens of one step."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class AtifStep(_AtifModel):
    """One turn of the user, the system or the agent."""

    step_id: int
    timestamp: str | None = None
    source: Literal["system", "user", "agent"]
    model_name: str | None = None
    message: str | list[dict[str, Any]] = ""
    reasoning_content: str | None = None
    tool_calls: Annotated[list[AtifToolCall], BeforeValidator(_list)] = []
    observation: Observation | None = None
    metrics: StepMetrics | None = None
    llm_call_count: int | None = None
    extra: _Extra = {}


class AtifAgent(_AtifModel):
    """The agent or system that a trajectory is of."""

    name: str = Field(min_length=1)
    version: str | None = None
    model_name: str | None = None
    tool_definitions: Annotated[list[dict[str, Any]], BeforeValidator(_list)] = []
    extra: _Extra = {}


class Trajectory(_AtifModel):
    """A whole document."""

    schema_version: str
    session_id: str | None = None
    trajectory_id: str | None = None
    agent: AtifAgent
    steps: list[AtifStep] = Field(max_length=_MAX_STEPS)
    extra: _Extra = {}
    subagent_trajectories: Annotated[list[Trajectory], BeforeValidator(_list)] = []
