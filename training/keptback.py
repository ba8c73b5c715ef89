"""Who&When never enters training: neither its logs nor other runs of its tasks.

Half of it is kept back for a final measurement, and nobody here has seen that half. So the guard
does not compare with a list. Every Who&When task comes from GAIA or AssistantBench, and those name
their tasks by ids that nothing else has: a UUID, and 64 hex digits. Rows with such an id are
refused, whatever they hold, and so are rows and files in the layout of Who&When.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentracer.errors import TrainingError

__all__ = ["refuse"]

_GAIA = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ASSISTANT_BENCH = re.compile(r"\b[0-9a-f]{64}\b", re.IGNORECASE)
# Fields of its logs that no TracerTraj has.
_OWN_FIELDS = frozenset({"is_corrected", "is_correct", "level", "groundtruth"})


def refuse(row: Mapping[str, Any], source: Path, place: str) -> None:
    """Raise if a row is, or may be, of Who&When.

    Raises:
        TrainingError: it is. There is no option to train on it all the same.
    """
    reason = _reason(row)
    if reason is not None:
        raise TrainingError(
            f"this may be a run of Who&When ({reason}), which is for evaluation only",
            source=source,
            place=place,
            remedy="take the row out of the training data",
        )


def _reason(row: Mapping[str, Any]) -> str | None:
    task = str(row.get("question_ID", ""))
    if _GAIA.search(task):
        return f"question_ID {task!r} is one of GAIA"
    if _ASSISTANT_BENCH.search(task):
        return f"question_ID {task[:12]}... is one of AssistantBench"
    if "history" in row and "trace" not in row and _OWN_FIELDS & row.keys():
        return f"it has the field {min(_OWN_FIELDS & row.keys())!r}"
    trace = row.get("trace")
    metadata = trace.get("metadata") if isinstance(trace, Mapping) else None
    if isinstance(metadata, Mapping) and metadata.get("format") == "whowhen":
        return "its trace was read from a log of it"
    return None
