"""Attribution backends: their base class, and how a spec such as `vllm:PATH` finds one.

A backend gets an `Observed` and never a `Trace`: it cannot see the labels, and sees the ground
truth only where the caller passes it on. The code of a backend is imported when a spec names it.
"""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable

from agentracer.errors import AgentracerError, BackendError, UnknownModel
from agentracer.trace import GroundTruth, Observed
from agentracer.usage import Usage
from agentracer.verdict import LIKELY_STEPS_COVERAGE, Basis, Candidate

__all__ = [
    "ENTRY_POINT_GROUP",
    "Backend",
    "Factory",
    "Item",
    "Judgement",
    "SupportsAttribute",
    "as_backend",
    "create_backend",
    "known_models",
]

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

Item = tuple[Observed, GroundTruth | None]
"""A run to be judged, and the right answer where the backend may see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The result of a method or backend for one run.

    Attributes:
        candidates: every step that was ranked, best first; agents and steps must be of the run.
        agent: the agent to blame where it is not that of the first candidate.
        agents: share of the blame by agent, summing to at most 1.
        confidence: how sure the method is of agent and step, from 0 to 1; a probability only where
            `calibrated` is true. None where the method has no measure of it.
        calibrated: whether `confidence` was measured on runs of this shape.
        reason: why; that of the first candidate if empty.
        abstain_reason: why no agent is named, whatever candidates there are.
        likely_steps: see `agentracer.verdict.Verdict`; likewise `coverage`.
        notes: how the result was reached: windows, retries, shortened text.
        versions: what the result depends on (weights, prompt hashes).
        usage: model calls and tokens; the `Tracer` adds the time.
        basis: see `agentracer.verdict.Verdict`.
    """

    candidates: tuple[Candidate, ...] = ()
    agent: str | None = None
    agents: Mapping[str, float] = field(default_factory=dict)
    confidence: float | None = None
    calibrated: bool = False
    reason: str = ""
    abstain_reason: str | None = None
    likely_steps: tuple[int, ...] = ()
    coverage: float = LIKELY_STEPS_COVERAGE
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    basis: Basis = "judge"


@runtime_checkable
class SupportsAttribute(Protocol):
    """The least that an object needs so that a `Tracer` can use it as a backend.

    Attributes:
        name: of the backend, such as `embedded`.
        method: its strategy, such as `rules` or `all-at-once`.
    """

    name: str
    method: str

    def attribute(self, run: Observed, *, ground_truth: GroundTruth | None) -> Judgement:
        """Judge a run of at least one step. `ground_truth` is None in the setting w/o G."""
        ...


class Backend(ABC):
    """Finds the decisive error in one run: the base class of attribution backends.

    Only `attribute` has to be written. Everything else has a default.

    Attributes:
        name: of the backend, such as `embedded`.
        method: its strategy, such as `rules` or `all-at-once`.
        trained_ids: ids of the traces whose labels it has seen in training.
    """

    name: str
    method: str
    trained_ids: frozenset[str] = frozenset()

    @property
    def batch_size(self) -> int:
        """Runs that are best attributed at a time."""
        return 1

    @property
    def batches_in_process(self) -> bool:
        """Whether `attribute_batch` computes several runs faster than one after the other.

        Where it does not (a model server, plain code), `attribute_many` uses threads instead.
        """
        return False

    @abstractmethod
    def attribute(self, run: Observed, *, ground_truth: GroundTruth | None) -> Judgement:
        """Judge a run of at least one step. `ground_truth` is None in the setting w/o G."""

    def attribute_batch(self, items: Sequence[Item]) -> list[Judgement | AgentracerError]:
        """Judge several runs; one result for each, an error where its run failed."""
        return [self._attribute_or_error(*item) for item in items]

    def _attribute_or_error(
        self, run: Observed, ground_truth: GroundTruth | None
    ) -> Judgement | AgentracerError:
        try:
            return self.attribute(run, ground_truth=ground_truth)
        except AgentracerError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one bad run must not cost the others of a batch
            failure = contract_error(self.name, f"failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            return failure

    def with_options(self, **options: Any) -> Backend:
        """Return the same backend with other options of `Tracer`.

        The default has none: it accepts what makes no difference to it, and refuses the rest.

        Raises:
            ValueError: the backend has no such option.
        """
        irrelevant = {"concurrency", "seed"}
        if options.get("method") == self.method:
            irrelevant.add("method")
        unknown = sorted(set(options) - irrelevant)
        if unknown:
            raise ValueError(
                f"the backend {self.name!r} has no option {', '.join(unknown)}\n"
                "  remedy: leave it out, or use a language model, such as transformers:PATH"
            )
        return self

    def without_defenses(self) -> Backend | None:
        """Return the same backend without its defences against hostile text, to measure them.

        None where it has none that could be switched off.
        """
        return None


class _AdaptedBackend(Backend):
    """Wraps a backend that does not inherit from `Backend`, as all did until 0.1.0.

    The optional members which a backend could have then are used under their earlier names, see
    `_EARLIER_MEMBERS`; everything else has the default of `Backend`.
    """

    def __init__(self, wrapped: SupportsAttribute) -> None:
        self.wrapped = wrapped
        self.name, self.method = wrapped.name, wrapped.method
        self.trained_ids = frozenset(getattr(wrapped, "trained_ids", ()))
        self._batch_method = getattr(wrapped, "attribute_batch", None)

    @property
    def batch_size(self) -> int:
        return getattr(self.wrapped, "batch", None) or super().batch_size

    @property
    def batches_in_process(self) -> bool:
        return self._batch_method is not None and not getattr(self.wrapped, "remote", False)

    def attribute(self, run: Observed, *, ground_truth: GroundTruth | None) -> Judgement:
        return self.wrapped.attribute(run, ground_truth=ground_truth)

    def attribute_batch(self, items: Sequence[Item]) -> list[Judgement | AgentracerError]:
        if self._batch_method is None:
            return super().attribute_batch(items)
        return list(self._batch_method(items))

    def with_options(self, **options: Any) -> Backend:
        configured = getattr(self.wrapped, "configured", None)
        if configured is None or not options:
            return super().with_options(**options)
        return _adapted(configured(**options))

    def without_defenses(self) -> Backend | None:
        undefended = getattr(self.wrapped, "undefended", None)
        return None if undefended is None else _adapted(undefended())


_EARLIER_MEMBERS = {
    "attribute_batch": "attribute_batch",
    "batch": "batch_size",
    "configured": "with_options",
    "remote": "batches_in_process (which means the opposite)",
    "undefended": "without_defenses",
}
"""By name of an optional member of a backend in 0.1.0, the member of `Backend` that replaces it."""


def _adapted(backend: SupportsAttribute) -> Backend:
    return backend if isinstance(backend, Backend) else _AdaptedBackend(backend)


def as_backend(backend: SupportsAttribute) -> Backend:
    """Return `backend` itself if it inherits from `Backend`, else a wrapper with the defaults.

    The wrapper uses the optional members that backends could have in agentracer 0.1.0, such as
    `configured`, and a `DeprecationWarning` says what replaces them.

    Raises:
        TypeError: it lacks `name`, `method` or `attribute`.
    """
    if isinstance(backend, Backend):
        return backend
    if isinstance(backend, type) or not isinstance(backend, SupportsAttribute):
        raise TypeError(
            f"{backend!r} is not an attribution backend\n"
            '  remedy: pass a spec such as "embedded", or an instance of a class that inherits '
            "from agentracer.attribution.Backend"
        )
    earlier = [name for name in _EARLIER_MEMBERS if hasattr(backend, name)]
    if earlier:
        renamed = [
            f"{old} to {_EARLIER_MEMBERS[old]}" for old in earlier if old != "attribute_batch"
        ]
        rename = f", and rename {', '.join(renamed)}" if renamed else ""
        warnings.warn(
            f"the backend {backend.name!r} ({type(backend).__qualname__}) has {', '.join(earlier)} "
            "but does not inherit from agentracer.attribution.Backend; agentracer 0.4 will ignore "
            f"these\n  remedy: inherit from Backend{rename}",
            DeprecationWarning,
            stacklevel=3,
        )
    return _adapted(backend)


def contract_error(name: str, problem: str) -> BackendError:
    """Return the error for a backend that failed or returned what it must not."""
    return BackendError(
        f"backend {name!r} {problem}\n"
        "  remedy: report it to the author of the backend, or use model='embedded'"
    )


Factory = Callable[[str], SupportsAttribute]
"""Makes a backend from what follows the first colon of a spec (empty if there is none)."""


def create_backend(spec: str) -> Backend:
    """Create the backend for a spec: `embedded`, or `SCHEME:ARGUMENT` such as `vllm:PATH`.

    Raises:
        UnknownModel: no backend has the scheme; the message lists the schemes there are.
        TypeError: the factory of a plug-in returned something else than a backend.
        AgentracerError: raised by the backend's factory, such as `MissingExtra`.
    """
    scheme, _, argument = spec.partition(":")
    point = _points().get(scheme)
    if point is None:
        raise UnknownModel(
            f"there is no attribution backend for {spec!r}\n"
            f"  remedy: use one of {', '.join(known_models())}, "
            f"or install a plug-in with the entry point group {ENTRY_POINT_GROUP!r}"
        )
    return as_backend(_load(point)(argument))


def known_models() -> tuple[str, ...]:
    """Return the schemes of specs: the built-in ones first, then those of plug-ins."""
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
            f"{type(error).__name__}: {error}\n  remedy: reinstall its package, or use another spec"
        ) from error
    return factory
