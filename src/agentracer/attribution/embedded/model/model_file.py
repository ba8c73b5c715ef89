"""A model, and its file: weights, calibration, and where both come from. JSON, never code."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from agentracer.attribution.embedded.model.calibration import Calibration
from agentracer.attribution.embedded.model.catalogue import feature_of, is_of_one_system
from agentracer.attribution.embedded.model.features import FEATURES_VERSION
from agentracer.attribution.embedded.model.format_1 import upgraded
from agentracer.errors import FormatError

__all__ = ["DEFAULT", "Model", "load_model", "shipped_model"]

DEFAULT = "transfer"
"""The weights that `Tracer("embedded")` uses: the better ones on systems held out from both."""

_FORMAT = "agentracer-embedded"
_FORMAT_VERSION = 2
_READABLE_FEATURES = frozenset({"6", FEATURES_VERSION})
"""Version 6 had the same features; its checks read some figures and names that were none."""
_LARGEST_FILE = 5_000_000  # bytes
_REMEDY = "give a file written by `agentracer adapt` or training/embedded.py of this version"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained ranker.

    Attributes:
        name: in verdicts.
        weights: name of a feature (see `catalogue`) -> its weight.
        agent_power: of the agent head; see `ranker`. It is not fitted: every model has 1.5, set
            by hand.
        calibration: how its probabilities relate to hits.
        trained_on: what it was fitted to, for people and for the model card.
    """

    name: str
    weights: dict[str, float]
    agent_power: float = 1.5
    calibration: Calibration = field(default_factory=Calibration)
    trained_on: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def is_adapted(self) -> bool:
        """Whether it was adapted to one system and knows its agents by name."""
        return any(map(is_of_one_system, self.weights))

    def to_json(self) -> str:
        """The file."""
        data = {
            "format": _FORMAT,
            "format_version": _FORMAT_VERSION,
            "features": FEATURES_VERSION,
            "name": self.name,
            "agent_power": self.agent_power,
            "weights": {k: round(w, 5) for k, w in sorted(self.weights.items()) if round(w, 5)},
            "calibration": self.calibration.as_dict(),
            "trained_on": self.trained_on,
        }
        return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path | str) -> None:
        """Write the file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")


def load_model(path: Path | str) -> Model:
    """Read a model file, also one written by version 0.1.0. Nothing in it is ever run.

    Raises:
        FormatError: it cannot be read, is no model, names an unknown feature, or needs another
            version of the features.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise FormatError("too large for a model", source=path, remedy=_REMEDY)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot be read: {error}", source=path, remedy=_REMEDY) from error
    return _parse(text, path)


@cache
def shipped_model(name: str = DEFAULT) -> Model:
    """A model that is part of the package."""
    file = resources.files("agentracer.attribution.embedded") / "weights" / f"{name}.json"
    return _parse(file.read_text(encoding="utf-8"), f"weights/{name}.json")


def _parse(text: str, source: str | Path) -> Model:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}", source=source, remedy=_REMEDY) from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise FormatError("not a model of the embedded tracer", source=source, remedy=_REMEDY)
    version, features = data.get("format_version"), data.get("features")
    if version not in {1, _FORMAT_VERSION} or features not in _READABLE_FEATURES:
        problem = (
            f"made for format {version} and features {features!r}; "
            f"this version reads formats 1 and {_FORMAT_VERSION} and features {FEATURES_VERSION!r}"
        )
        raise FormatError(problem, source=source, remedy="train or adapt it again")
    try:
        model = _model_of(upgraded(data) if version == 1 else data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"a field is missing or wrong: {type(error).__name__}: {error}"
        raise FormatError(problem, source=source, remedy=_REMEDY) from error
    if not all(map(math.isfinite, model.weights.values())) or not model.agent_power >= 1:
        raise FormatError("a weight is not a finite number", source=source, remedy=_REMEDY)
    return model


def _model_of(data: dict[str, Any]) -> Model:
    weights = {str(name): float(weight) for name, weight in data["weights"].items()}
    for name in weights:
        feature_of(name)  # a ValueError for a name that no feature has
    return Model(
        name=str(data["name"]),
        weights=weights,
        agent_power=float(data["agent_power"]),
        calibration=Calibration.from_dict(data["calibration"]),
        trained_on=dict(data.get("trained_on", {})),
    )
