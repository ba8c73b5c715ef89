"""What the checks of a run noted at its steps, and where all of them are gathered."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Note", "Notes", "add_note"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something noted at a step.

    Attributes:
        weight: how much of it there is; 1 where it is a matter of yes or no.
        detail: what exactly, to be read after what the feature says.
    """

    weight: float
    detail: str = ""


Notes = dict[str, Note]
"""What was noted at a step, by the name of the feature."""


def add_note(notes: Notes, name: str, weight: float, detail: str = "") -> None:
    """Note something, unless there is nothing of it or it was noted before."""
    if weight and name not in notes:
        notes[name] = Note(float(weight), detail)
