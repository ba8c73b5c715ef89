"""Every feature of the ranker, assembled from where each is declared.

The signs are knowledge, not results: a step that makes figures up is never *less* suspicious for
it. They keep a fit on few labels from learning nonsense. A prior other than 0 is a guess, for what
is too rare to be measured. Fits start from the priors and move as far as the data asks for.
"""

from __future__ import annotations

from agentracer.attribution.embedded.checks import KINDS
from agentracer.attribution.embedded.kinds import Declarations, Feature, FindingKind, Sign
from agentracer.attribution.embedded.model.features import FIRST, MANAGED, SHAPE

__all__ = [
    "AGENT",
    "CATALOGUE",
    "CONTENT_PENALTY_SCALE",
    "SHAPE_PENALTY_SCALE",
    "STEP",
    "bounds",
    "feature_of",
    "is_of_one_system",
    "penalty_scale",
    "prior",
]

AGENT = "agent: "
"""Prefix of the features by which an adapted model knows an agent by its name."""

STEP = "step: "
"""Prefix of the features by which an adapted model knows a step by its number."""

SHAPE_PENALTY_SCALE = 200.0
"""How much more strongly weights of a run's shape are held to their start than those of checked
content: what is checked holds for any system, shape is that of the systems trained on. Of 1, 10, 50
and 200 the strongest within a standard error of the best on TracerTraj with whole frameworks,
topologies and domains left out."""

CONTENT_PENALTY_SCALE = 0.03
"""The part of the penalty by which weights of checked content are held where a model is adapted: a
few runs hold many habits that mean nothing, but what is checked means the same in all of them.
Chosen of 0.01, 0.03, 0.1, 0.3 and 1 on Who&When's development half."""


def _first(kind: FindingKind) -> Feature:
    """The feature of the first step of a run with a finding."""
    wording = f"is the first that {kind.wording}" if kind.wording else ""
    return Feature(FIRST + kind.name, kind.sign, wording, topic=kind.topic or kind.name)


_MARKED = {kind: _first(kind) for kind in KINDS if kind.marks_first}

CATALOGUE: dict[str, Feature] = {
    feature.name: feature for feature in Declarations(SHAPE, KINDS, _MARKED.values())
}
"""Every feature by its name; copies for managed runs are not listed."""

# What was checked and points one way is a finding in any system. What may point either way (who
# tests code, who changes a plan) is a habit of the systems trained on, as their shape is.
_DIRECTED = frozenset(
    feature.name for feature in (*KINDS, *_MARKED.values()) if feature.sign is not Sign.EITHER
)


def is_of_one_system(name: str) -> bool:
    """Whether a feature means something in one system alone: an agent's name, a step's number."""
    return name.startswith((AGENT, STEP))


def feature_of(name: str) -> Feature | None:
    """The feature behind the name of a weight; that of a copy for managed runs is the original's.

    None for the features of one system, which are not declared.

    Raises:
        ValueError: no feature has this name.
    """
    if is_of_one_system(name):
        return None
    feature = CATALOGUE.get(name.removeprefix(MANAGED))
    if feature is None:
        raise ValueError(f"no feature is called {name!r}")
    return feature


def bounds(name: str) -> tuple[float | None, float | None]:
    """The interval in which a weight may lie; copies and features of one system are free.

    Raises:
        ValueError: no feature has this name.
    """
    feature = feature_of(name)
    sign = Sign.EITHER if feature is None or name.startswith(MANAGED) else feature.sign
    return (0.0 if sign is Sign.AGAINST else None), (0.0 if sign is Sign.FOR else None)


def penalty_scale(name: str) -> float:
    """The factor by which the penalty of a weight is multiplied.

    Raises:
        ValueError: no feature has this name.
    """
    feature = feature_of(name)
    directed = feature is not None and feature.name in _DIRECTED
    return 1.0 if directed else SHAPE_PENALTY_SCALE


def prior(name: str) -> float:
    """The weight that a fit of a feature starts from; 0 for copies and features of one system.

    Raises:
        ValueError: no feature has this name.
    """
    feature = feature_of(name)
    return 0.0 if feature is None or name.startswith(MANAGED) else feature.prior
