"""Describe the result of a collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Collection"]


@dataclass(slots=True)
class Collection:
    """Counts and files of a finished collection.

    Attributes:
        folder: where it is.
        rows: labelled failures by split.
        outcomes: finished items by outcome: failure, success, undecided, broken.
        duplicates: rows that were left out because an equal one came before.
        audited: labels of runs whose truth is known by construction.
        agreeing: those that name the true step.
        files: what was written.
    """

    folder: Path
    rows: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    audited: int = 0
    agreeing: int = 0
    files: list[Path] = field(default_factory=list)

    @property
    def labelled(self) -> int:
        """All labelled failures."""
        return sum(self.rows.values())
