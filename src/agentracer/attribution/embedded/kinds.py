"""Declarations of what the ranker can see of a step: features, and the findings of checks.

A check declares its `FindingKind`s, and the feature module its `Feature`s, beside the code that
makes them. `model.catalogue` assembles all of them. Weights exist for declared names only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

__all__ = ["CHECKED_PRIOR", "Declarations", "Feature", "FindingKind", "FindingKinds", "Sign"]

CHECKED_PRIOR = 1.0
"""The prior of a finding against a step, so that it counts where no training run had it. A finding
in favour starts at 0: an agent that passes one thing on rightly may get the next one wrong. Of 0,
0.3, 0.6 and 1 the best with whole domains left out."""


class Sign(IntEnum):
    """Which way a weight may point."""

    FOR = -1  # evidence for the step: never makes it more suspicious
    EITHER = 0
    AGAINST = 1  # evidence against the step: never makes it less suspicious


@dataclass(frozen=True, eq=False)
class Feature:
    """Something that the ranker sees of a step. Compared by identity.

    Attributes:
        name: key of its weight in a model.
        sign: which way its weight may point.
        wording: its meaning as evidence, to be read after "this step"; empty if it is none.
        prior: the weight that a fit starts from and is drawn to.
        topic: features of one topic say nearly the same; one of them is shown as evidence. Its
            name if empty.
    """

    name: str
    sign: Sign
    wording: str = ""
    prior: float = 0.0
    topic: str = ""


@dataclass(frozen=True, eq=False)
class FindingKind(Feature):
    """A kind of finding that a check reports of a step; its amount is a feature.

    Attributes:
        detail: template of what was found, shown behind `wording`; its fields are given with each
            finding. Empty if there is nothing to show.
        content: the kind of checkable content that a run with such a finding has; empty if it
            tells nothing of that.
        marks_first: whether being the first step of a run with this finding is a feature of its
            own.
        decides: whether it is a contradiction that stands in the run on both sides, so that the
            step with it is blamed whatever its rank.
    """

    detail: str = ""
    content: str = ""
    marks_first: bool = True
    decides: bool = False


_Declared = TypeVar("_Declared", bound=Feature)


class Declarations(Generic[_Declared]):
    """A set of declared features with distinct names."""

    def __init__(self, *groups: Iterable[_Declared]) -> None:
        self._by_name: dict[str, _Declared] = {}
        for group in groups:
            for feature in group:
                self.declare(feature)

    def declare(self, feature: _Declared) -> _Declared:
        """Add a feature and return it.

        Raises:
            ValueError: the name is taken.
        """
        if feature.name in self._by_name:
            raise ValueError(f"the feature {feature.name!r} is declared twice")
        self._by_name[feature.name] = feature
        return feature

    def __contains__(self, feature: object) -> bool:
        return isinstance(feature, Feature) and self._by_name.get(feature.name) is feature

    def __iter__(self) -> Iterator[_Declared]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


class FindingKinds(Declarations[FindingKind]):
    """The kinds of findings that one check declares."""

    def against(
        self,
        name: str,
        wording: str,
        *,
        prior: float = CHECKED_PRIOR,
        detail: str = "",
        content: str = "",
        topic: str = "",
        marks_first: bool = True,
        decides: bool = False,
    ) -> FindingKind:
        """Declare a finding against a step; see `FindingKind`."""
        return self.declare(
            FindingKind(
                name, Sign.AGAINST, wording, prior, topic, detail, content, marks_first, decides
            )
        )

    def either(
        self,
        name: str,
        wording: str = "",
        *,
        detail: str = "",
        content: str = "",
        marks_first: bool = True,
    ) -> FindingKind:
        """Declare a finding that may count for or against a step; see `FindingKind`."""
        return self.declare(
            FindingKind(
                name,
                Sign.EITHER,
                wording,
                detail=detail,
                content=content,
                marks_first=marks_first,
            )
        )

    def decisive(self, name: str, wording: str, *, detail: str = "") -> FindingKind:
        """Declare a finding that decides; see `FindingKind`. Its weight in the ranking is 0."""
        return self.declare(
            FindingKind(name, Sign.AGAINST, wording, detail=detail, marks_first=False, decides=True)
        )

    def in_favour(self, name: str, *, content: str = "") -> FindingKind:
        """Declare a finding in favour of a step; it has no wording, as it is never shown."""
        return self.declare(FindingKind(name, Sign.FOR, content=content))
