"""What an attribution backend is, and how a spec such as `vllm:PATH` finds one.

A backend is handed an `Observed` and never a `Trace`: it cannot see the labels, and the ground
truth only where the caller passes it on. This module knows names and contracts, and loads a
backend's code only when somebody asks for that backend.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from agentracer.errors import AgentracerError, UnknownModel
from agentracer.trace import GroundTruth, Observed
from agentracer.usage import Usage
from agentracer.verdict import LIKELY_STEPS_COVERAGE, Candidate

__all__ = ["ENTRY_POINT_GROUP", "Backend", "Factory", "Judgement", "create_backend", "known_models"]

ENTRY_POINT_GROUP = "agentracer.backends"

_BUILT_IN = {
    "embedded": "agentracer.attribution.embedded:EmbeddedBackend",
    "vllm": "agentracer.attribution.judge:vllm",
    "transformers": "agentracer.attribution.judge:transformers",
    "openai": "agentracer.attribution.judge:openai",
    "embedded+vllm": "agentracer.attribution.judge:embedded_vllm",
    "embedded+transformers": "agentracer.attribution.judge:embedded_transformers",
    "embedded+openai": "agentracer.attribution.judge:embedded_openai",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a backend found.

    Attributes:
        candidates: all that it ranked, best first; agents and steps must be of the run.
        agent: the agent to blame where the method does not take that of the first candidate.
        agents: share of the blame by agent, summing to at most 1.
        confidence: probability that agent and step are right.
        calibrated: whether `confidence` was measured on runs of this shape.
        reason: why; that of the first candidate if empty.
        abstain_reason: why it names nobody, whatever candidates there are.
        likely_steps: see `agentracer.verdict.Verdict`; likewise `coverage`.
        notes: what the reader should know of how the judgement was reached.
        versions: what the result depends on (weights, prompt hashes).
        usage: model calls and tokens; the `Tracer` adds the time.
    """

    candidates: tuple[Candidate, ...] = ()
    agent: str | None = None
    agents: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.0
    calibrated: bool = False
    reason: str = ""
    abstain_reason: str | None = None
    likely_steps: tuple[int, ...] = ()
    coverage: float = LIKELY_STEPS_COVERAGE
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)


@runtime_checkable
class Backend(Protocol):
    """Finds the decisive error in one run.

    Attributes:
        name: of the backend, such as `embedded`.
        method: its strategy, such as `rules` or `all-at-once`.
    """

    name: str
    method: str

    def attribute(self, run: Observed, *, ground_truth: GroundTruth | None) -> Judgement:
        """Judge a run of at least one step. `ground_truth` is None in the setting w/o G."""
        ...


Factory = Callable[[str], Backend]
"""Makes a backend from what follows the first colon of a spec (empty if there is none)."""


def create_backend(spec: str) -> Backend:
    """The backend for a spec: `embedded`, or `SCHEME:ARGUMENT` such as `vllm:PATH`.

    Raises:
        UnknownModel: no backend answers to the scheme; the message lists those that do.
        AgentracerError: what the backend's factory raises, such as `MissingExtra`.
    """
    scheme, _, argument = spec.partition(":")
    point = _points().get(scheme)
    if point is None:
        raise UnknownModel(
            f"no attribution backend answers to {spec!r}\n"
            f"  remedy: use one of {', '.join(known_models())}, "
            f"or install a plug-in with the entry point group {ENTRY_POINT_GROUP!r}"
        )
    return _load(point)(argument)


def known_models() -> tuple[str, ...]:
    """The schemes that can be asked for: the built-in ones first, then those of plug-ins."""
    return tuple(_points())


def _points() -> dict[str, EntryPoint]:
    points = {name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in _BUILT_IN.items()}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: (p.name, p.value)):
        if point.name not in points:
            points[point.name] = point
        elif points[point.name].value != point.value:
            _log.warning("backend plug-in %s=%s ignored: name taken", point.name, point.value)
    return points


def _load(point: EntryPoint) -> Factory:
    try:
        factory: Factory = point.load()
    except AgentracerError:
        raise
    except Exception as error:  # a plug-in's own code may raise anything on import
        raise UnknownModel(
            f"the backend {point.name}={point.value} cannot be loaded: "
            f"{type(error).__name__}: {error}\n  remedy: install its package anew, or another model"
        ) from error
    return factory
