"""Keep Who&When out of the training data: its logs, and other runs of its tasks.

Half of Who&When is a hidden holdout for the final measurement: its rows are not known.
All its tasks come from GAIA and AssistantBench, whose task ids have formats that other sources do
not use: a UUID, and 64 hex digits. Rows with such an id are refused, and so are rows and files in
the layout of Who&When.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentracer.errors import TrainingError

__all__ = ["refuse_whowhen"]

_GAIA = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ASSISTANT_BENCH = re.compile(r"\b[0-9a-f]{64}\b", re.IGNORECASE)
# Fields of its logs that no TracerTraj has.
_OWN_FIELDS = frozenset({"is_corrected", "is_correct", "level", "groundtruth"})


def refuse_whowhen(row: Mapping[str, Any], source: Path, place: str) -> None:
    """Raise if a row is, or may be, from Who&When.

    Raises:
        TrainingError: the row may be from Who&When. No option overrides this.
    """
    reason = _reason(row)
    if reason is not None:
        raise TrainingError(
            f"this may be a run of Who&When ({reason}), which is for evaluation only",
            source=source,
            place=place,
            remedy="remove the row from the training data",
        )


def _reason(row: Mapping[str, Any]) -> str | None:
    task = str(row.get("question_ID", ""))
    if _GAIA.search(task):
        return f"question_ID {task!r} is from GAIA"
    if _ASSISTANT_BENCH.search(task):
        return f"question_ID {task[:12]}... is from AssistantBench"
    if "history" in row and "trace" not in row and _OWN_FIELDS & row.keys():
        return f"it has the field {min(_OWN_FIELDS & row.keys())!r}"
    trace = row.get("trace")
    metadata = trace.get("metadata") if isinstance(trace, Mapping) else None
    if isinstance(metadata, Mapping) and metadata.get("format") == "whowhen":
        return "its trace was read from a Who&When log"
    return None
